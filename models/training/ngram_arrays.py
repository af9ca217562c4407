"""The arrays of a `models.fusion.Fusion`, from lines of verse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.fusion import STEP, context_key
from models.tokenizer import CharacterTokenizer
from models.training.quality.ngrams import Lifts, NgramModel

# Runs of three that were seen once are six of seven, and gain 0.02 nats a character.
_LEAST_COUNTS = {2: 1, 3: 2}
_MOST_TOKENS = 0xFFFF


def ngram_arrays(lines: Sequence[str], tokenizer: CharacterTokenizer) -> dict[str, np.ndarray]:
    """What `Fusion` is made of, for a poet's vocabulary; the same lines give the same arrays.

    Raises ValueError for a vocabulary of more than 65,535 tokens, and where there is no verse to learn from.
    """
    size = len(tokenizer)
    if size > _MOST_TOKENS:
        raise ValueError(f"a vocabulary of {size} tokens; contexts are numbered for up to {_MOST_TOKENS}")
    model = NgramModel(lines, order=max(_LEAST_COUNTS))
    characters = [token for token in tokenizer.vocabulary if len(token) == 1]
    ids = np.array([tokenizer.id_of(character) for character in characters])
    numbers = model.numbers("".join(characters))
    single = model.unigrams(numbers)
    unigrams = np.full(size, single.min(), dtype=np.float32)
    unigrams[ids] = single
    token_of = _inverse(numbers, ids, unknown=int(model.numbers("\0")[0]))
    token_of[model.line_start] = tokenizer.eos_id
    found = [
        _rows(model.lifts(length), token_of, size, least=least) for length, least in _LEAST_COUNTS.items()
    ]
    keys, lifted, codes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((lifted, keys))
    contexts, starts = np.unique(keys[order], return_index=True)
    return {
        "unigrams": unigrams,
        "contexts": contexts.astype(np.uint32),
        "starts": np.append(starts, len(keys)).astype(np.uint32),
        "ids": lifted[order].astype(np.uint16),
        "lifts": codes[order],
    }


def _inverse(numbers: np.ndarray, ids: np.ndarray, *, unknown: int) -> np.ndarray:
    """Token ids, int64 (unknown + 1,), by a character's number; −1 where the vocabulary lacks it."""
    tokens = np.full(unknown + 1, -1)
    tokens[numbers] = ids
    tokens[unknown] = -1
    return tokens


def _rows(
    lifts: Lifts, token_of: np.ndarray, size: int, *, least: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys of contexts, lifted ids and codes, of the runs that count and that a poet can write."""
    histories, last = token_of[lifts.histories], token_of[lifts.last]
    codes = np.rint(lifts.nats / STEP).clip(max=255).astype(np.uint8)
    kept = (histories >= 0).all(axis=1) & (last >= 0) & (lifts.counts >= least) & (codes > 0)
    histories = histories[kept]
    before = histories[:, 0] if histories.shape[1] == 2 else None
    return context_key(size, histories[:, -1], before), last[kept], codes[kept]
