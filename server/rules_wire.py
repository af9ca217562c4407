"""Between the contract's rules of a poem and the server's own nouns; nothing else."""

from __future__ import annotations

from typing import Any

from image2poem.v1 import poem_pb2, rules_pb2
from image2poem.v1 import poem_service_pb2 as pb
from models.prosody import FORMS, PATTERNS, RHYME_BOOKS, RhymeBook, UnknownRhymeGroup, rhyme_book
from models.prosody.report import Report
from models.sampling import InvalidOption
from server.request import RulesWish

FORM_TO_WIRE: dict[str, Any] = {name: poem_pb2.Form.Value(f"FORM_{name.upper()}") for name in FORMS}
BOOK_TO_WIRE: dict[str, Any] = {
    name: rules_pb2.RhymeBook.Value(f"RHYME_BOOK_{name.upper()}") for name in RHYME_BOOKS
}
BOOK_FROM_WIRE = {number: name for name, number in BOOK_TO_WIRE.items()}
PATTERN_TO_WIRE: dict[str, Any] = {
    name: rules_pb2.TonalPattern.Value(f"TONAL_PATTERN_{name.upper()}") for name in PATTERNS
}
PATTERN_FROM_WIRE = {number: PATTERNS[name] for name, number in PATTERN_TO_WIRE.items()}


def to_rules(message: rules_pb2.Rules) -> RulesWish:
    """Raises InvalidOption."""
    book = to_book(message.rhyme_book)
    if message.pattern and message.pattern not in PATTERN_FROM_WIRE:
        raise InvalidOption(f"rules.pattern: there is no pattern {message.pattern}")
    return RulesWish(
        regulated=not message.unregulated,
        pattern=PATTERN_FROM_WIRE.get(message.pattern),
        book=book,
        rhyme_group=_to_group(book, message.rhyme_group.strip()),
        acrostic=message.acrostic.strip(),
        fixed_texts=tuple((entry.line, entry.position, entry.text.strip()) for entry in message.fixed_texts),
    )


def to_book(number: int) -> RhymeBook:
    """平水韵 where none is named. Raises InvalidOption."""
    if number == rules_pb2.RHYME_BOOK_UNSPECIFIED:
        return rhyme_book("pingshui")
    if number not in BOOK_FROM_WIRE:
        raise InvalidOption(f"rhyme_book: there is no rhyme book {number}")
    return rhyme_book(BOOK_FROM_WIRE[number])


def from_report(report: Report | None) -> rules_pb2.Conformity | None:
    """The report in short."""
    if report is None:
        return None
    return rules_pb2.Conformity(
        conforms=report.conforms,
        conforms_resolved=report.conforms_resolved,
        pattern=PATTERN_TO_WIRE[report.pattern.name] if report.pattern else None,
        rhyme_book=BOOK_TO_WIRE[report.rhyme_book],
        rhyme_group=report.rhyme_group,
    )


def rhyme_books() -> list[pb.RhymeBookInfo]:
    """What callers can rhyme by."""
    return [
        pb.RhymeBookInfo(book=BOOK_TO_WIRE[name], name=chinese, rhyme_groups=rhyme_book(name).level_groups)
        for name, chinese in RHYME_BOOKS.items()
    ]


def _to_group(book: RhymeBook, name: str) -> str | None:
    try:
        return book.group_named(name) if name else None
    except UnknownRhymeGroup as error:
        raise InvalidOption(f"rules.rhyme_group: {error}") from error
