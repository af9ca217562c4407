"""What a run reads, refused in one line where it is not there."""

from __future__ import annotations

from pathlib import Path

from models.training.config import InvalidRun
from models.training.corpus import Poem, load
from models.training.keywords import MinedWord, read_keywords


def read_split(corpus: Path, name: str) -> list[Poem]:
    """The poems of a split. Raises InvalidRun where there are none."""
    path = corpus / f"{name}.jsonl"
    try:
        poems = load(corpus, name)
    except OSError as error:
        raise InvalidRun(f"--corpus: {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRun(f"--corpus: {path} is not of models.training.corpus ({error})") from None
    if not poems:
        raise InvalidRun(f"--corpus: {path} holds no poem")
    return poems


def read_words(path: Path) -> list[MinedWord]:
    """The keyword list. Raises InvalidRun where there is none."""
    try:
        words = read_keywords(path)
    except OSError as error:
        raise InvalidRun(f"--keywords: {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRun(f"--keywords: {path} is not of models.training.keywords ({error!r})") from None
    if not words:
        raise InvalidRun(f"--keywords: {path} holds no word")
    return words
