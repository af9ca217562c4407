"""Between this package's values and the contract's messages; shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Unpack

from google.protobuf.message import Message

from image2poem import events
from image2poem._rules_wire import name_of, number_of, rules_message, to_conformity
from image2poem.errors import InvalidOption
from image2poem.v1 import poem_pb2, rules_pb2
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.wishes import ComposeWish, LookupWish

M = TypeVar("M", bound=Message)

# The wish's names of the fields of Sampling; top_k alone is the number of keywords.
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "sampling_top_k": "top_k",
    "min_p": "min_p",
    "frequency_penalty": "frequency_penalty",
}


def lookup_request(**wish: Unpack[LookupWish]) -> pb.LookupKeywordsRequest:
    """Raises InvalidOption unless exactly one source is given, or where a value fits no field."""
    values = _with_one_of(wish, "picture", "text", "vector")
    if "vector" in values:
        values["vector"] = _message(pb.Vector, values=values["vector"])
    return _message(pb.LookupKeywordsRequest, **values)


def compose_request(**wish: Unpack[ComposeWish]) -> pb.ComposePoemRequest:
    """Raises InvalidOption unless exactly one source is given, or where a value fits no field."""
    values = _with_one_of(wish, "picture", "keywords", "text")
    if isinstance(values.get("keywords"), str):
        raise InvalidOption("keywords: must be words, not one string")
    if "keywords" in values:
        values["keywords"] = _message(pb.KeywordList, words=values["keywords"])
    if "form" in values:
        values["form"] = number_of(poem_pb2.Form, values["form"], "form")
    values["rules"] = rules_message(values)
    drawn = {field: values.pop(name) for name, field in _SAMPLING.items() if name in values}
    return _message(pb.ComposePoemRequest, **values, sampling=_message(poem_pb2.Sampling, **drawn))


def to_lookup(message: pb.LookupKeywordsResponse) -> events.Lookup:
    return events.Lookup(
        keywords=_keywords(message.keywords),
        index_version=message.index_version,
        timings=_timings(message.timings),
    )


def to_event(message: pb.ComposePoemResponse) -> events.Event | None:
    """The typed event; None for one that this version does not know."""
    match message.WhichOneof("event"):
        case "token":
            return events.Token(**_fields(message.token))
        case "line":
            return events.Line(**_fields(message.line))
        case "retrieved":
            found = message.retrieved
            return events.Retrieved(keywords=_keywords(found.keywords), index_version=found.index_version)
        case "finished":
            return _finished(message.finished)
        case _:
            return None


def to_info(message: pb.GetServerInfoResponse) -> events.ServerInfo:
    return events.ServerInfo(
        server_version=message.server_version,
        poets=tuple(
            events.Poet(
                name=poet.name,
                architecture=poet.architecture,
                forms=_forms(poet.forms),
                fingerprint=poet.fingerprint,
                execution_providers=tuple(poet.execution_providers),
                subjects=tuple(poet.subjects),
            )
            for poet in message.poets
        ),
        default_poet=message.default_poet,
        encoder=events.Encoder(
            name=message.encoder.name,
            fingerprint=message.encoder.fingerprint,
            dimension=message.encoder.dimension,
            execution_providers=tuple(message.encoder.execution_providers),
        ),
        index=events.Index(**_fields(message.index)),
        forms=_forms(message.forms),
        limits=events.Limits(**_fields(message.limits)),
        rhyme_books=tuple(
            events.RhymeBook(
                book=name_of(rules_pb2.RhymeBook, book.book),
                name=book.name,
                rhyme_groups=tuple(book.rhyme_groups),
            )
            for book in message.rhyme_books
        ),
        sources=events.Sources(**_fields(message.sources)) if message.HasField("sources") else None,
        default_line_choices=message.default_line_choices,
    )


def _finished(message: poem_pb2.Finished) -> events.Finished:
    return events.Finished(
        poem=tuple(message.poem),
        finish_reason=_finish_reason(message.finish_reason),
        best_candidate=message.best_candidate,
        candidates=tuple(
            events.Candidate(
                lines=tuple(candidate.lines),
                finish_reason=_finish_reason(candidate.finish_reason),
                mean_log_probability=candidate.mean_log_probability,
                similarity=candidate.similarity,
                score=candidate.score,
                conformity=_conformity(candidate),
                copied_lines=_copied_lines(candidate.copied_lines),
            )
            for candidate in message.candidates
        ),
        keywords=_keywords(message.keywords),
        index_version=message.index_version,
        seed=message.seed,
        poet=message.poet,
        form=name_of(poem_pb2.Form, message.form),
        timings=_timings(message.timings),
        conformity=_conformity(message),
        copied_lines=_copied_lines(message.copied_lines),
    )


def _conformity(message: poem_pb2.Finished | poem_pb2.Candidate) -> events.Conformity | None:
    return to_conformity(message.conformity) if message.HasField("conformity") else None


def _copied_lines(messages: Iterable[poem_pb2.CopiedLine]) -> tuple[events.CopiedLine, ...]:
    return tuple(events.CopiedLine(**_fields(message)) for message in messages)


def _with_one_of(wish: Mapping[str, Any], *sources: str) -> dict[str, Any]:
    """What the wish says, None left out. Raises InvalidOption unless it has exactly one of the sources."""
    given = {name: value for name, value in wish.items() if value is not None}
    count = sum(name in given for name in sources)
    if count != 1:
        raise InvalidOption(f"give exactly one of {', '.join(sources)}, not {count}")
    return given


def _message(kind: type[M], **values: Any) -> M:
    """Raises InvalidOption where a value fits no field."""
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise InvalidOption(str(error)) from error


def _fields(message: Any) -> dict[str, Any]:
    """All fields of a message without messages in it."""
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}


def _keywords(messages: Iterable[poem_pb2.Keyword]) -> tuple[events.Keyword, ...]:
    return tuple(events.Keyword(text=message.text, score=message.score) for message in messages)


def _timings(message: poem_pb2.Timings) -> events.Timings:
    return events.Timings(**_fields(message))


def _forms(numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(name_of(poem_pb2.Form, number) for number in numbers)


def _finish_reason(number: int) -> str:
    return "complete" if number == poem_pb2.FINISH_REASON_COMPLETE else "incomplete"
