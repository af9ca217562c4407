"""The rules of a poem, between this package's values and the contract's messages."""

from __future__ import annotations

from typing import Any

from image2poem import events
from image2poem.errors import InvalidOption
from image2poem.v1 import rules_pb2

RULES = ("regulated", "pattern", "rhyme_book", "rhyme_group", "acrostic", "fixed_texts")


def rules_message(values: dict[str, Any]) -> rules_pb2.Rules:
    """Takes the rules out of a wish. Raises InvalidOption."""
    given = {name: values.pop(name) for name in RULES if name in values}
    if "regulated" in given:
        given["unregulated"] = not given.pop("regulated")
    if "pattern" in given:
        given["pattern"] = number_of(rules_pb2.TonalPattern, given["pattern"], "pattern")
    if "rhyme_book" in given:
        given["rhyme_book"] = number_of(rules_pb2.RhymeBook, given["rhyme_book"], "rhyme_book")
    try:
        given["fixed_texts"] = [
            rules_pb2.FixedText(line=line, position=position, text=text)
            for line, position, text in given.get("fixed_texts", ())
        ]
        return rules_pb2.Rules(**given)
    except (ValueError, TypeError) as error:
        raise InvalidOption(str(error)) from error


def to_conformity(message: rules_pb2.Conformity) -> events.Conformity:
    return events.Conformity(
        conforms=message.conforms,
        conforms_resolved=message.conforms_resolved,
        pattern=name_of(rules_pb2.TonalPattern, message.pattern),
        rhyme_book=name_of(rules_pb2.RhymeBook, message.rhyme_book),
        rhyme_group=message.rhyme_group,
    )


def number_of(kind: Any, name: str, option: str) -> int:
    """The enum's number for a stable name such as `pingshui`. Raises InvalidOption, naming the choices."""
    numbers = {name_of(kind, number): number for number in kind.values() if number}
    if name not in numbers:
        raise InvalidOption(f"{option}: must be one of {', '.join(numbers)}, not {name!r}")
    return numbers[name]


def name_of(kind: Any, number: int) -> str:
    """Its stable name; empty where it is not set, the number where this version does not know it."""
    names = kind.DESCRIPTOR.values_by_number
    if number == 0:
        return ""
    if number not in names:
        return str(number)
    prefix = names[0].name.removesuffix("UNSPECIFIED")
    return str(names[number].name.removeprefix(prefix).lower())
