"""The command line. Exit status: 0, 2 for wrong usage, 1 for any other failure.

After Ctrl-C the process ends by the signal, as shells expect: they see 130, and their loops end too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from image2poem._cli import admin, batch, check, compose, info, keywords
from image2poem.errors import DeadlineExceeded, Image2PoemError, Unavailable

_COMMANDS = (compose, batch, keywords, check, info, admin)
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status, 130 after Ctrl-C.

    A failure is one line on stderr; wrong usage exits.
    """
    _speak_utf8()
    options = _parser().parse_args(arguments)
    try:
        status: int | None = options.run(options)
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
    return status or 0


def program() -> None:
    """Run the command of this process, and end the process."""
    status = main()
    if status == _INTERRUPTED and os.name == "posix":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(status)


def _explain(error: Exception, options: argparse.Namespace) -> str:
    """One line."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
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
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    program()
