"""A poem's check, between this package's values and the contract's messages."""

from __future__ import annotations

from typing import Any

from image2poem import checks
from image2poem._rules_wire import name_of, number_of
from image2poem.errors import InvalidOption
from image2poem.v1 import poem_pb2, prosody_pb2, rules_pb2


def check_request(text: str, rhyme_book: str | None) -> prosody_pb2.CheckPoemRequest:
    """Raises InvalidOption for a rhyme book that is none, or a text that is none."""
    book: Any = number_of(rules_pb2.RhymeBook, rhyme_book, "rhyme_book") if rhyme_book else None
    try:
        return prosody_pb2.CheckPoemRequest(text=text, rhyme_book=book)
    except (ValueError, TypeError) as error:
        raise InvalidOption(str(error)) from error


def to_check(message: prosody_pb2.CheckPoemResponse) -> checks.PoemCheck:
    return checks.PoemCheck(
        form=name_of(poem_pb2.Form, message.form),
        pattern=name_of(rules_pb2.TonalPattern, message.pattern),
        pattern_name=message.pattern_name,
        rhyme_book=name_of(rules_pb2.RhymeBook, message.rhyme_book),
        rhyme_group=message.rhyme_group,
        conforms=message.conforms,
        conforms_resolved=message.conforms_resolved,
        lines=tuple(_line(line) for line in message.lines),
        faults=tuple(_fault(fault) for fault in message.faults),
        rescues=tuple(_rescue(rescue) for rescue in message.rescues),
    )


def _line(message: prosody_pb2.LineCheck) -> checks.LineCheck:
    return checks.LineCheck(
        text=message.text,
        characters=tuple(_character(character) for character in message.characters),
        rhymed=message.rhymed,
    )


def _character(message: prosody_pb2.CharacterCheck) -> checks.CharacterCheck:
    return checks.CharacterCheck(
        text=message.text,
        tone=name_of(prosody_pb2.Tone, message.tone),
        readings=tuple(
            checks.Reading(
                tone=name_of(prosody_pb2.Tone, reading.tone),
                rhyme_group=reading.rhyme_group,
                prior=reading.prior,
            )
            for reading in message.readings
        ),
        required=name_of(prosody_pb2.Tone, message.required),
        verdict=name_of(prosody_pb2.Verdict, message.verdict),
    )


def _fault(message: prosody_pb2.Fault) -> checks.Fault:
    return checks.Fault(
        kind=message.kind,
        name=message.name,
        severity=name_of(prosody_pb2.Severity, message.severity),
        line=message.line,
        positions=tuple(message.positions),
        explanation=message.explanation,
    )


def _rescue(message: prosody_pb2.Rescue) -> checks.Rescue:
    return checks.Rescue(
        kind=message.kind,
        name=message.name,
        line=message.line,
        positions=tuple(message.positions),
        explanation=message.explanation,
    )
