"""Between the contract's messages and the server's own nouns; nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import server
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from index_builder.index import Keyword
from models.drafting import PoemToken
from models.image import MAX_PIXELS
from models.prosody import FORMS, Form
from models.sampling import InvalidOption, Sampling
from models.sources import Sources
from server import request as limits
from server.catalog import Snapshot
from server.events import Candidate, CopiedLine, Event, Finished, Found, Line, Retrieved, Timings
from server.request import Composition, Embedding, Lookup, Picture, Text, Words
from server.rules_wire import FORM_TO_WIRE, from_report, rhyme_books, to_rules

_FORM_FROM_WIRE = {number: FORMS[name] for name, number in FORM_TO_WIRE.items()}
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty")


def to_lookup(message: pb.LookupKeywordsRequest) -> Lookup:
    """Raises InvalidOption."""
    source: Picture | Text | Embedding
    match message.WhichOneof("source"):
        case "picture":
            source = Picture(data=message.picture)
        case "text":
            source = Text(text=message.text.strip())
        case "vector":
            source = Embedding(values=message.vector.values)
        case _:
            raise InvalidOption("source: give one of picture, text, vector")
    return Lookup(source=source, **_given(message, "top_k"))


def to_composition(message: pb.ComposePoemRequest, *, line_choices: int) -> Composition:
    """Draws a seed where the request has none; `line_choices` is the default. Raises InvalidOption."""
    source: Picture | Text | Words
    match message.WhichOneof("source"):
        case "picture":
            source = Picture(data=message.picture)
        case "keywords":
            source = Words(words=tuple(word.strip() for word in message.keywords.words))
        case "text":
            source = Text(text=message.text.strip())
        case _:
            raise InvalidOption("source: give one of picture, keywords, text")
    if message.HasField("line_choices"):
        line_choices = message.line_choices
    else:
        line_choices = limits.line_choices_for(message.candidates, default=line_choices)
    drawn = limits.STREAMED if line_choices == 1 else {}
    return Composition(
        source=source,
        poet=message.poet,
        form=_to_form(message.form),
        subject=message.subject.strip(),
        sampling=Sampling(**drawn | _given(message.sampling, *_SAMPLING)),
        rules=to_rules(message.rules),
        seed=message.seed if message.HasField("seed") else secrets.randbits(32),
        line_choices=line_choices,
        **_given(message, "top_k", "candidates"),
    )


def from_found(found: Found) -> pb.LookupKeywordsResponse:
    message = pb.LookupKeywordsResponse(
        index_version=found.index_version, timings=_from_timings(found.timings)
    )
    # Made in its place, a keyword costs half as much as one that is copied there.
    add = message.keywords.add
    for keyword in found.keywords:
        add(text=keyword.text, score=keyword.score)
    return message


def from_event(event: Event) -> pb.ComposePoemResponse:
    match event:
        case PoemToken():
            return pb.ComposePoemResponse(
                token=poem_pb2.Token(
                    candidate=event.candidate,
                    line=event.line,
                    position=event.position,
                    id=event.id,
                    text=event.text,
                    log_probability=event.log_probability,
                )
            )
        case Line():
            line = poem_pb2.Line(candidate=event.candidate, line=event.line, text=event.text)
            return pb.ComposePoemResponse(line=line)
        case Retrieved():
            return pb.ComposePoemResponse(
                retrieved=poem_pb2.Retrieved(
                    keywords=_from_keywords(event.keywords), index_version=event.index_version
                )
            )
        case Finished():
            return pb.ComposePoemResponse(finished=_from_finished(event))


def from_snapshot(
    snapshot: Snapshot, *, max_message_bytes: int, line_choices: int
) -> pb.GetServerInfoResponse:
    """What this server has and allows."""
    encoder, index = snapshot.encoder, snapshot.index
    written = {form for poet in snapshot.poets.values() for form in poet.forms}
    return pb.GetServerInfoResponse(
        server_version=server.__version__,
        poets=[
            pb.PoetInfo(
                name=name,
                architecture=poet.architecture,
                forms=_from_forms(poet.forms),
                fingerprint=poet.fingerprint,
                execution_providers=poet.providers,
                subjects=poet.subjects,
            )
            for name, poet in snapshot.poets.items()
        ],
        default_poet=snapshot.default_poet,
        encoder=pb.EncoderInfo(
            name=encoder.name,
            fingerprint=encoder.fingerprint,
            dimension=encoder.dimension,
            execution_providers=encoder.providers,
        ),
        index=pb.IndexInfo(version=index.version, size=index.count, kind=index.kind),
        forms=_from_forms(name for name in FORMS if name in written),
        limits=pb.Limits(
            max_message_bytes=max_message_bytes,
            max_picture_pixels=MAX_PIXELS,
            max_top_k=limits.MAX_TOP_K,
            max_candidates=limits.MAX_CANDIDATES,
            max_keywords=limits.MAX_KEYWORDS,
            max_keyword_characters=limits.MAX_KEYWORD_CHARACTERS,
            max_text_characters=limits.MAX_TEXT_CHARACTERS,
            max_line_choices=limits.MAX_LINE_CHOICES,
            max_lines_at_once=limits.MAX_LINES_AT_ONCE,
        ),
        rhyme_books=rhyme_books(),
        sources=_from_sources(snapshot.sources),
        default_line_choices=line_choices,
    )


def _from_sources(sources: Sources | None) -> pb.SourcesInfo | None:
    if sources is None:
        return None
    return pb.SourcesInfo(name=sources.name, fingerprint=sources.fingerprint, lines=sources.layout.lines)


def _given(message: Any, *names: str) -> dict[str, Any]:
    """The optional fields that the caller set."""
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _to_form(number: int) -> Form | None:
    if number == poem_pb2.FORM_UNSPECIFIED:
        return None
    if number not in _FORM_FROM_WIRE:
        raise InvalidOption(f"form: there is no form {number}; choose one of {', '.join(FORMS)}")
    return _FORM_FROM_WIRE[number]


def _from_forms(names: Iterable[str]) -> list[poem_pb2.Form]:
    return [FORM_TO_WIRE[name] for name in names]


def _from_keywords(keywords: Iterable[Keyword]) -> list[poem_pb2.Keyword]:
    return [poem_pb2.Keyword(text=keyword.text, score=keyword.score) for keyword in keywords]


def _from_timings(timings: Timings) -> poem_pb2.Timings:
    return poem_pb2.Timings(**vars(timings))


def _reason(complete: bool) -> poem_pb2.FinishReason:
    return poem_pb2.FINISH_REASON_COMPLETE if complete else poem_pb2.FINISH_REASON_INCOMPLETE


def _from_copied(copied: CopiedLine) -> poem_pb2.CopiedLine:
    return poem_pb2.CopiedLine(line=copied.line, **asdict(copied.source))


def _from_candidate(candidate: Candidate) -> poem_pb2.Candidate:
    return poem_pb2.Candidate(
        lines=candidate.lines,
        finish_reason=_reason(candidate.complete),
        mean_log_probability=candidate.mean_log_probability,
        similarity=candidate.similarity,
        score=candidate.score,
        conformity=from_report(candidate.report),
        copied_lines=map(_from_copied, candidate.copied_lines),
    )


def _from_finished(event: Finished) -> poem_pb2.Finished:
    return poem_pb2.Finished(
        poem=event.best.lines,
        finish_reason=_reason(event.best.complete),
        best_candidate=event.best_candidate,
        candidates=map(_from_candidate, event.candidates),
        seed=event.seed,
        keywords=_from_keywords(event.keywords),
        index_version=event.index_version,
        poet=event.poet,
        form=FORM_TO_WIRE[event.form.name],
        timings=_from_timings(event.timings),
        conformity=from_report(event.best.report),
        copied_lines=map(_from_copied, event.best.copied_lines),
    )
