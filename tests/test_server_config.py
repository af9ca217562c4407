"""Options: flag, else variable, else default; wrong ones are told at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from server.config import Config, parse


def test_defaults_need_nothing():
    config = parse([], {})
    assert config == Config()
    assert config.listen == "127.0.0.1:50051"
    assert [name for name, _ in config.poet] == ["t5", "gpt2"]
    assert config.index.is_absolute()


def test_a_flag_goes_before_a_variable_and_that_before_the_default():
    environment = {"IMAGE2POEM_LISTEN": "0.0.0.0:1", "IMAGE2POEM_GRACE": "3.5", "IMAGE2POEM_REFLECTION": "no"}
    config = parse(["--listen", "[::]:0"], environment)
    assert (config.listen, config.grace, config.reflection) == ("[::]:0", 3.5, False)
    assert parse(["--reflection"], environment).reflection is True


def test_poets_are_named_by_repeated_flags_or_one_variable():
    expected = (("a", Path("x")), ("b", Path("y")))
    assert parse(["--poet", "a=x", "--poet", "b=y"], {}).poet == expected
    assert parse([], {"IMAGE2POEM_POET": "a=x,b=y"}).poet == expected


def test_the_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().workers = 3


def test_threads_suit_the_cores(monkeypatch):
    monkeypatch.setattr("models.cores.available", lambda: 8)
    assert (Config().poet_threads, Config().encoder_threads) == (4, 8)
    assert (Config(threads=3).poet_threads, Config(threads=3).encoder_threads) == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "environment", "word"),
    [
        (["--listen", "nowhere"], {}, "HOST:PORT"),
        (["--listen", "host:99999"], {}, "HOST:PORT"),
        (["--workers", "0"], {}, "workers: must be at least 1"),
        (["--workers", "few"], {}, "--workers"),
        (["--grace", "nan"], {}, "grace"),
        (["--provider", "tpu"], {}, "--provider"),
        (["--poet", "t5"], {}, "NAME=BUNDLE"),
        (["--poet", "a=x", "--poet", "a=y"], {}, "only once"),
        (["--unheard-of"], {}, "--unheard-of"),
        ([], {"IMAGE2POEM_WORKERS": "few"}, "IMAGE2POEM_WORKERS"),
        ([], {"IMAGE2POEM_PROVIDER": "tpu"}, "provider: must be one of cpu, cuda"),
        ([], {"IMAGE2POEM_REFLECTION": "perhaps"}, "IMAGE2POEM_REFLECTION"),
    ],
    ids=str,
)
def test_wrong_options_are_2_and_named(capsys, arguments, environment, word):
    with pytest.raises(SystemExit) as caught:
        parse(arguments, environment)
    assert caught.value.code == 2
    assert word in capsys.readouterr().err
