"""Whether a poem speaks of its keywords: in so many words, or in meaning, by the text encoder.

A meaning is present where the cosine between the keyword and the poem's nearest line is above a threshold. It
is set on other verse than is measured, such that in people's poems a keyword of some other poem of the same
form exceeds it one time in twenty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.clip import Encoder
from models.training.quality.prompts import Prompt

_BY_CHANCE = 0.05

Lines = Sequence[str]
Words = Sequence[str]


def literal_use(poems: Sequence[Lines], keywords: Sequence[Words]) -> float:
    """Share of the keywords that stand in a line of their poem."""
    used = [
        any(word in line for line in lines)
        for lines, words in zip(poems, keywords, strict=True)
        for word in words
    ]
    return sum(used) / len(used)


def similarities(encoder: Encoder, poems: Sequence[Lines], keywords: Sequence[Words]) -> np.ndarray:
    """float32 (K,): for each keyword of each poem the cosine to that poem's nearest line."""
    lines = encoder.encode_texts([line for poem in poems for line in poem])
    words = encoder.encode_texts([word for own in keywords for word in own])
    line_ends = np.cumsum([len(poem) for poem in poems])
    word_ends = np.cumsum([len(own) for own in keywords])
    nearest = [
        (words[word_end - len(own) : word_end] @ lines[line_end - len(poem) : line_end].T).max(axis=1)
        for poem, own, line_end, word_end in zip(poems, keywords, line_ends, word_ends, strict=True)
    ]
    return np.concatenate(nearest)


def chance_threshold(encoder: Encoder, prompts: Sequence[Prompt]) -> float:
    """The cosine that a keyword of the next prompt exceeds one time in twenty in a prompt's own poem."""
    poems = [prompt.person.lines for prompt in prompts]
    strange = [prompt.keywords for prompt in (*prompts[1:], prompts[0])]
    return float(np.quantile(similarities(encoder, poems, strange), 1 - _BY_CHANCE))


def meaning_use(
    encoder: Encoder, poems: Sequence[Lines], keywords: Sequence[Words], threshold: float
) -> float:
    """Share of the keywords whose meaning is present in their poem."""
    return float((similarities(encoder, poems, keywords) > threshold).mean())
