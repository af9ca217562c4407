"""Between the contract's messages of CheckPoem and the checker's nouns; nothing else."""

from __future__ import annotations

from typing import Any

from image2poem.v1 import prosody_pb2
from models.prosody import Reading, RhymeBook, Tone
from models.prosody.report import CharacterCheck, Fault, LineCheck, Report, Rescue, Severity, Verdict
from server.request import Text
from server.rules_wire import BOOK_TO_WIRE, FORM_TO_WIRE, PATTERN_TO_WIRE, to_book

_TONES: dict[Tone | None, Any] = {
    None: prosody_pb2.TONE_UNSPECIFIED,
    Tone.LEVEL: prosody_pb2.TONE_LEVEL,
    Tone.OBLIQUE: prosody_pb2.TONE_OBLIQUE,
    Tone.EITHER: prosody_pb2.TONE_EITHER,
}
_VERDICTS: dict[Verdict, Any] = {each: prosody_pb2.Verdict.Value(f"VERDICT_{each.name}") for each in Verdict}
_SEVERITIES: dict[Severity, Any] = {
    each: prosody_pb2.Severity.Value(f"SEVERITY_{each.name}") for each in Severity
}


def to_check(message: prosody_pb2.CheckPoemRequest) -> tuple[str, RhymeBook]:
    """The text, and the book to go by. Raises InvalidOption."""
    return Text(text=message.text.strip()).text, to_book(message.rhyme_book)


def from_check(report: Report) -> prosody_pb2.CheckPoemResponse:
    return prosody_pb2.CheckPoemResponse(
        form=FORM_TO_WIRE[report.form.name] if report.form else None,
        pattern=PATTERN_TO_WIRE[report.pattern.name] if report.pattern else None,
        rhyme_book=BOOK_TO_WIRE[report.rhyme_book],
        rhyme_group=report.rhyme_group,
        conforms=report.conforms,
        lines=map(_from_line, report.lines),
        faults=map(_from_fault, report.faults),
        pattern_name=report.pattern_name,
        conforms_resolved=report.conforms_resolved,
        rescues=map(_from_rescue, report.rescues),
    )


def _from_line(line: LineCheck) -> prosody_pb2.LineCheck:
    return prosody_pb2.LineCheck(
        text=line.text, characters=map(_from_character, line.characters), rhymed=line.rhymed
    )


def _from_character(character: CharacterCheck) -> prosody_pb2.CharacterCheck:
    return prosody_pb2.CharacterCheck(
        text=character.text,
        tone=_TONES[character.tone],
        readings=map(_from_reading, character.readings),
        required=_TONES[character.required],
        verdict=_VERDICTS[character.verdict],
    )


def _from_reading(reading: Reading) -> prosody_pb2.Reading:
    return prosody_pb2.Reading(tone=_TONES[reading.tone], rhyme_group=reading.group, prior=reading.prior)


def _from_fault(fault: Fault) -> prosody_pb2.Fault:
    return prosody_pb2.Fault(
        kind=fault.kind,
        name=fault.name,
        severity=_SEVERITIES[fault.severity],
        line=fault.line,
        positions=fault.positions,
        explanation=fault.explanation,
    )


def _from_rescue(rescue: Rescue) -> prosody_pb2.Rescue:
    return prosody_pb2.Rescue(
        kind=rescue.kind,
        name=rescue.name,
        line=rescue.line,
        positions=rescue.positions,
        explanation=rescue.explanation,
    )
