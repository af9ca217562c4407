"""The command line. Exit status: 0, 2 for wrong usage, 130 after Ctrl-C, 1 for any other failure."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from image2poem._check import CheckReport, add_check, poems_of
from image2poem._report import JsonReport, TextReport
from image2poem._rules_options import add_rules, rules_of
from image2poem.client import DEFAULT_TARGET, DEFAULT_TIMEOUT, Client
from image2poem.errors import DeadlineExceeded, Image2PoemError, Unavailable

FORMS = ("wujue", "qijue", "wulv", "qilv")
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. A failure is one line on stderr; wrong usage exits."""
    _speak_utf8()
    options = _parser().parse_args(arguments)
    try:
        with Client(options.target, timeout=options.timeout) as client:
            options.run(client, options)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough. What Python would flush at exit goes nowhere instead of failing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\nimage2poem: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (Image2PoemError, OSError) as error:
        print(f"image2poem: {_explain(error, options)}", file=sys.stderr)
        return 1
    return 0


def _compose(client: Client, options: argparse.Namespace) -> None:
    report = JsonReport(sys.stdout) if options.json else TextReport(sys.stdout, candidates=options.candidates)
    rules = rules_of(options)
    for event in client.compose(
        picture=_read(options.image),
        keywords=options.keywords,
        text=options.text,
        poet=options.poet,
        form=options.form,
        subject=options.subject,
        top_k=options.top_k,
        candidates=options.candidates,
        line_choices=options.line_choices,
        seed=options.seed,
        temperature=options.temperature,
        top_p=options.top_p,
        sampling_top_k=options.sampling_top_k,
        min_p=options.min_p,
        frequency_penalty=options.frequency_penalty,
        **rules,
    ):
        report.event(event)


def _keywords(client: Client, options: argparse.Namespace) -> None:
    lookup = client.lookup_keywords(picture=_read(options.image), text=options.text, top_k=options.top_k)
    _report(options).keywords(lookup)


def _check(client: Client, options: argparse.Namespace) -> None:
    report = JsonReport(sys.stdout) if options.json else CheckReport(sys.stdout)
    for name, text in poems_of(options.poem):
        report.poem(client.check_poem(text, rhyme_book=options.rhyme_book), name)


def _info(client: Client, options: argparse.Namespace) -> None:
    _report(options).info(client.info())


def _report(options: argparse.Namespace) -> JsonReport | TextReport:
    return JsonReport(sys.stdout) if options.json else TextReport(sys.stdout)


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _explain(error: Exception, options: argparse.Namespace) -> str:
    """One line."""
    text = " ".join(str(error).split())
    if isinstance(error, Unavailable) and error.reason is None:
        return f"no server answers at {options.target}: {text}"
    if isinstance(error, DeadlineExceeded):
        return f"{options.target} did not finish within {options.timeout:g} s"
    return text


def _speak_utf8() -> None:
    """Poems are Chinese, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if stream.encoding.lower().replace("-", "") != "utf8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="image2poem", description="A picture in, classical Chinese verse out."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_compose(commands)
    _add_keywords(commands)
    add_check(_command(commands, "check", _check, "check a poem under the rules of its form"))
    _command(commands, "info", _info, "say what the server has and allows")
    return parser


def _add_compose(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compose = _command(commands, "compose", _compose, "write a poem, and show it as it is written")
    source = compose.add_mutually_exclusive_group(required=True)
    source.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="an image file")
    source.add_argument(
        "--keywords", type=_words, metavar="明月,故乡", help="write about these words instead"
    )
    source.add_argument(
        "--text", metavar="TEXT", help="write about the keywords nearest to this text instead"
    )
    compose.add_argument("--poet", metavar="NAME", help="one of the server's poets, e.g. t5 or gpt2")
    compose.add_argument(
        "--form", choices=FORMS, help="五绝, 七绝, 五律 or 七律; the poet's choice by default"
    )
    compose.add_argument("--subject", metavar="送别", help="what kind of poem; see info")
    compose.add_argument("--top-k", type=int, metavar="K", help="how many keywords are looked up (8)")
    compose.add_argument(
        "--candidates", type=int, default=1, metavar="N", help="write N poems, show the best (1)"
    )
    compose.add_argument(
        "--line-choices", type=int, metavar="N", help="choose each line of N; 1 streams every character"
    )
    compose.add_argument("--seed", type=int, metavar="N", help="the same seed writes the same poem")
    compose.add_argument("--temperature", type=float, metavar="T", help="0 … 2, higher is bolder")
    compose.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest characters")
    compose.add_argument("--sampling-top-k", type=int, metavar="K", help="draw from K characters (no bound)")
    compose.add_argument("--min-p", type=float, metavar="P", help="draw from the not much less likely (off)")
    compose.add_argument("--frequency-penalty", type=float, metavar="F", help="repeat less; 0 is off (2)")
    add_rules(compose)


def _add_keywords(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keywords = _command(commands, "keywords", _keywords, "look up the imagery words of a picture or a text")
    source = keywords.add_mutually_exclusive_group(required=True)
    source.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="an image file")
    source.add_argument("--text", metavar="秋江", help="look up the words nearest to this text instead")
    keywords.add_argument("--top-k", type=int, metavar="K", help="how many keywords (8)")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    target = os.environ.get("IMAGE2POEM_TARGET") or DEFAULT_TARGET
    command.add_argument(
        "--target",
        default=target,
        metavar="HOST:PORT",
        help=f"the server; else IMAGE2POEM_TARGET, else {DEFAULT_TARGET}",
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="S",
        help="give up after so many seconds (60)",
    )
    command.add_argument("--json", action="store_true", help="print JSON, one object a line")
    command.set_defaults(run=run)
    return command


def _words(text: str) -> list[str]:
    words = [word for word in re.split(r"[,，、\s]+", text) if word]
    if not words:
        raise argparse.ArgumentTypeError("names no word")
    return words


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
