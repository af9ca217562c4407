"""Lines being written: rows of one batch, each under its own rules and with its own random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.engine import Decoding
from models.prosody import Form, Writing
from models.sampling import Sampling, draw
from models.tokenizer import CharacterTokenizer


@dataclass(frozen=True, kw_only=True)
class PoemToken:
    """One Chinese character of one candidate.

    Attributes:
        candidate, line, position: where it stands, all from 0.
        id: its token id.
        text: the character.
        log_probability: natural logarithm, under the model at temperature 1, before any constraint.
    """

    candidate: int
    line: int
    position: int
    id: int
    text: str
    log_probability: float


@dataclass(kw_only=True)
class Row:
    """One candidate, or one of the lines that a candidate chooses from.

    Attributes:
        candidate: which candidate it belongs to, from 0.
        lines: the finished lines.
        ids: the poem's token ids.
        writing: the rules, as far as the poem is written.
        generator: its random numbers.
    """

    candidate: int
    lines: list[str]
    ids: list[int]
    writing: Writing
    generator: np.random.Generator

    def copy(self, generator: np.random.Generator) -> Row:
        """The same poem so far, to go on with other random numbers."""
        return Row(
            candidate=self.candidate,
            lines=list(self.lines),
            ids=list(self.ids),
            writing=self.writing.copy(),
            generator=generator,
        )


def write_line(
    rows: Sequence[Row],
    decoding: Decoding,
    *,
    form: Form,
    sampling: Sampling,
    tokenizer: CharacterTokenizer,
    stopped: Callable[[], bool],
) -> Iterator[list[PoemToken]]:
    """Write one line of every row: at each position, one token a row.

    At the line's end `decoding` has read all but its last character. Ends early once `stopped` says so; a
    line that was stopped is not in `Row.lines`.
    """
    texts = [""] * len(rows)
    tokens: list[PoemToken] = []
    for position in range(form.characters):
        if stopped():
            return
        if position:
            decoding.step(np.array([[token.id] for token in tokens], dtype=np.int64))
        tokens = _draw(rows, decoding.logits, position, sampling, tokenizer)
        for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            row.writing.accept(token.text)
            row.ids.append(token.id)
            texts[place] += token.text
        if position + 1 == form.characters:
            for row, text in zip(rows, texts, strict=True):
                row.lines.append(text)
        yield tokens


def _draw(
    rows: Sequence[Row], logits: np.ndarray, position: int, sampling: Sampling, tokenizer: CharacterTokenizer
) -> list[PoemToken]:
    weights = np.stack([_weights(row, position, sampling, tokenizer) for row in rows])
    ids, log_probabilities = draw(logits, weights, sampling, [row.generator for row in rows])
    return [
        PoemToken(
            candidate=row.candidate,
            line=len(row.lines),
            position=position,
            id=int(index),
            # A fixed character that the vocabulary lacks is read as unknown, and written all the same.
            text=row.writing.forced() or tokenizer.vocabulary[index],
            log_probability=float(value),
        )
        for row, index, value in zip(rows, ids, log_probabilities, strict=True)
    ]


def _weights(row: Row, position: int, sampling: Sampling, tokenizer: CharacterTokenizer) -> np.ndarray:
    forced = row.writing.forced()
    if forced is not None:
        return _only(forced, tokenizer)
    weights = row.writing.weights()
    written = row.ids[:-1] if position else row.ids
    if not sampling.frequency_penalty or not written:
        return weights
    weights = weights.copy()
    np.subtract.at(weights, written, np.float32(sampling.frequency_penalty))
    return weights


def _only(character: str, tokenizer: CharacterTokenizer) -> np.ndarray:
    weights = np.full(len(tokenizer), -np.inf, dtype=np.float32)
    [index] = tokenizer.encode(character)
    weights[index] = 0.0
    return weights
