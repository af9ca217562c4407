"""A dataclass of options from flags, else environment variables, else its defaults. Parsed once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parent.parent
_TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def about(help: str, parse: Callable[[str], Any], **more: Any) -> dict[str, Any]:
    """Metadata of an option's field.

    Args:
        help: a line for people.
        parse: from text to the value; raises ValueError with words for people.
        more: `choices`; `parse_one` and `metavar` for a flag that may be repeated; `secret` for what only
            the environment may hold, since everyone sees a command line.
    """
    return {"help": help, "parse": parse, **more}


def boolean(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError(f"must be one of {', '.join(_TRUTHS)}, not {text!r}")
    return _TRUTHS[text.lower()]


def path_or_none(text: str) -> Path | None:
    return None if text == "none" else Path(text)


def page(text: str) -> str | None:
    """HOST:PORT of [HOST:]PORT, on loopback where no host is named, or None of `none`."""
    if text == "none":
        return None
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"must be [HOST:]PORT or none, not {text!r}")
    return f"{host or '127.0.0.1'}:{port}"


def url(text: str) -> str | None:
    if text != "none" and not text.startswith(("http://", "https://")):
        raise ValueError(f"must be http://HOST:PORT, https://HOST:PORT or none, not {text!r}")
    return None if text == "none" else text


def milvus(text: str) -> str | None:
    """The address of a Milvus, or None of `none`."""
    if text == "none":
        return None
    if not text.startswith(("http://", "https://")) and not text.endswith(".db"):
        raise ValueError("must be http://HOST:PORT, https://HOST:PORT, a milvus-lite file FILE.db, or none")
    if urlsplit(text).username is not None:
        raise ValueError("must hold no user and password; give them as the token")
    return text


def parse(
    kind: Callable[..., T],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    prefix: str,
    prog: str,
    description: str,
    profile: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: {},
) -> T:
    """An instance of the dataclass `kind`. Exits with 2 and advice where an option is wrong.

    `profile` sees the values that were given and returns defaults that take the place of the dataclass's.
    """
    # None is a value that a flag may have.
    parser = argparse.ArgumentParser(
        prog=prog, description=description, argument_default=argparse.SUPPRESS, allow_abbrev=False
    )
    options: Any = fields(kind)  # type: ignore[arg-type]
    for option in options:
        if option.metadata.get("secret"):
            continue
        _add_flag(parser, option.name, option.default, option.metadata)
    flags = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    for option in options:
        variable = prefix + option.name.upper()
        if option.name in flags:
            flag = flags[option.name]
            values[option.name] = tuple(flag) if isinstance(flag, list) else flag
        elif environment.get(variable):
            values[option.name] = _parse_variable(
                parser, variable, environment[variable], option.metadata["parse"]
            )
    try:
        return kind(**profile(values) | values)
    except ValueError as error:
        parser.error(str(error))


def _add_flag(parser: argparse.ArgumentParser, name: str, default: Any, metadata: Mapping[str, Any]) -> None:
    flag = "--" + name.replace("_", "-")
    help = f"{metadata['help']} (default: {shown(default)})"
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


def shown(default: Any) -> str:
    """An option's value as text."""
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return " ".join(f"{name}={shown(path)}" for name, path in default)
    if isinstance(default, Path) and default.is_relative_to(_ROOT):
        return str(default.relative_to(_ROOT))
    return str(default)
