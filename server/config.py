"""The server's options: flag, else IMAGE2POEM_* variable, else default. Parsed once, checked, then frozen."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from server.request import MAX_LINE_CHOICES

_ROOT = Path(__file__).resolve().parent.parent
_BUNDLES = _ROOT / "models" / "bundles"
_VARIABLE_PREFIX = "IMAGE2POEM_"
_TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _poet(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ValueError(f"must be NAME=BUNDLE, not {text!r}")
    return name, Path(path)


def _poets(text: str) -> tuple[tuple[str, Path], ...]:
    return tuple(_poet(part) for part in text.split(","))


def _path_or_none(text: str) -> Path | None:
    return None if text == "none" else Path(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError(f"must be one of {', '.join(_TRUTHS)}, not {text!r}")
    return _TRUTHS[text.lower()]


def _about(help: str, parse: Callable[[str], Any], **more: Any) -> dict[str, Any]:
    return {"help": help, "parse": parse, **more}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Each field is the flag `--field-name` and the variable IMAGE2POEM_FIELD_NAME. Raises ValueError."""

    listen: str = field(
        default="127.0.0.1:50051", metadata=_about("HOST:PORT to serve on; port 0 takes a free one", str)
    )
    index: Path = field(
        default=_ROOT / ".image2poem" / "index",
        metadata=_about("folder with the published keyword index", Path),
    )
    encoder: Path = field(default=_BUNDLES / "lite", metadata=_about("bundle of the encoder", Path))
    poet: tuple[tuple[str, Path], ...] = field(
        default=(("t5", _BUNDLES / "t5"), ("gpt2", _BUNDLES / "gpt2")),
        metadata=_about(
            "NAME=BUNDLE of a poet, may be repeated; the first is the default poet", _poets, parse_one=_poet
        ),
    )
    sources: Path | None = field(
        # A checkout may lack it: then copied lines are not looked for.
        default=_BUNDLES / "sources" if (_BUNDLES / "sources").exists() else None,
        metadata=_about("bundle that copied lines are known by, or none", _path_or_none),
    )
    provider: str = field(default="cpu", metadata=_about("where models run", str, choices=("cpu", "cuda")))
    line_choices: int = field(
        default=4,
        metadata=_about("lines that each line is chosen of where a request does not say; 1 is off", int),
    )
    line_similarity: bool = field(
        default=True,
        metadata=_about("choose lines by the text encoder too; turn it off where that is slow", _boolean),
    )
    workers: int = field(
        default=max(1, min(os.cpu_count() or 1, 8)), metadata=_about("poems written at the same time", int)
    )
    threads: int = field(
        default=0, metadata=_about("threads of one model run; 0 suits them to the cores", int)
    )
    waiting: int = field(
        default=32, metadata=_about("requests of a kind that may wait for a worker; more are refused", int)
    )
    max_message_bytes: int = field(
        default=8 * 2**20, metadata=_about("largest request in bytes, its picture included", int)
    )
    grace: float = field(
        default=10.0, metadata=_about("seconds that running poems get to finish when the server stops", float)
    )
    drain_wait: float = field(
        default=0.0, metadata=_about("seconds between NOT_SERVING and refusing work, for a balancer", float)
    )
    reflection: bool = field(default=True, metadata=_about("offer gRPC reflection", _boolean))
    port_file: Path | None = field(
        default=None, metadata=_about("write the bound HOST:PORT here once serving", Path)
    )
    log_level: str = field(
        default="info",
        metadata=_about("least level logged", str, choices=("debug", "info", "warning", "error")),
    )
    log_format: str = field(
        default="text", metadata=_about("how a log line looks", str, choices=("text", "json"))
    )

    def __post_init__(self) -> None:
        host, colon, port = self.listen.rpartition(":")
        if not (host and colon and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"listen: must be HOST:PORT, not {self.listen!r}")
        names = [name for name, _ in self.poet]
        if not names or len(set(names)) < len(names):
            raise ValueError("poet: name at least one, and each only once")
        for name, lowest in _LOWEST.items():
            if not getattr(self, name) >= lowest:
                raise ValueError(f"{name}: must be at least {lowest}, not {getattr(self, name)}")
        if self.line_choices > MAX_LINE_CHOICES:
            raise ValueError(f"line_choices: must be at most {MAX_LINE_CHOICES}, not {self.line_choices}")
        for option in fields(self):
            choices, value = option.metadata.get("choices"), getattr(self, option.name)
            if choices and value not in choices:
                raise ValueError(f"{option.name}: must be one of {', '.join(choices)}, not {value!r}")

    def described(self) -> dict[str, str]:
        """Every option as text, for the log."""
        return {option.name: _shown(getattr(self, option.name)) for option in fields(self)}

    @property
    def poet_threads(self) -> int:
        """Threads of a decoding step: few, for steps are small and several poems are written at once."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.workers)

    @property
    def encoder_threads(self) -> int:
        """Threads of an encoding: every core, for a picture is one burst that all else waits for."""
        return self.threads or os.cpu_count() or 1


_LOWEST = {
    "line_choices": 1,
    "threads": 0,
    "workers": 1,
    "waiting": 0,
    "max_message_bytes": 1024,
    "grace": 0,
    "drain_wait": 0,
}


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The options of a command line and an environment. Exits with 2 and advice where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve image2poem over gRPC. Each flag --some-name is also IMAGE2POEM_SOME_NAME.",
        # None is a value that a flag may have.
        argument_default=argparse.SUPPRESS,
    )
    for option in fields(Config):
        _add_flag(parser, option.name, option.default, option.metadata)
    flags = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    for option in fields(Config):
        variable = _VARIABLE_PREFIX + option.name.upper()
        if option.name in flags:
            flag = flags[option.name]
            values[option.name] = tuple(flag) if isinstance(flag, list) else flag
        elif environment.get(variable):
            values[option.name] = _parse_variable(
                parser, variable, environment[variable], option.metadata["parse"]
            )
    try:
        return Config(**values)
    except ValueError as error:
        parser.error(str(error))


def _add_flag(parser: argparse.ArgumentParser, name: str, default: Any, metadata: Mapping[str, Any]) -> None:
    flag = "--" + name.replace("_", "-")
    help = f"{metadata['help']} (default: {_shown(default)})"
    if isinstance(default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=help)
    elif "parse_one" in metadata:
        parser.add_argument(
            flag, action="append", type=_typed(metadata["parse_one"]), metavar="NAME=BUNDLE", help=help
        )
    else:
        choices = metadata.get("choices")
        parser.add_argument(flag, type=_typed(metadata["parse"]), choices=choices, help=help)


def _parse_variable(
    parser: argparse.ArgumentParser, variable: str, text: str, parse: Callable[[str], Any]
) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        parser.error(f"{variable}: {error}")


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """`parse` with its own words in argparse's complaint."""

    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return typed


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return " ".join(f"{name}={_shown(path)}" for name, path in default)
    if isinstance(default, Path) and default.is_relative_to(_ROOT):
        return str(default.relative_to(_ROOT))
    return str(default)
