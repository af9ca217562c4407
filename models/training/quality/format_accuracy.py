"""Whether a poet keeps a form's lengths by itself: nothing is forbidden, and it says where lines end.

The model writes alone, without the n-gram model, which knows no ends of lines, and without rules or a choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from models.bundle import Bundle
from models.engine import Decoding, open_engine
from models.prompt import PromptTemplate, select_keywords
from models.prosody import Form, is_han
from models.sampling import Sampling, draw, generator_of
from models.tokenizer import EOS, CharacterTokenizer
from models.training.quality.prompts import Prompt

_BATCH = 32
# What is usual for a model that nothing holds back. Bolder draws end lines early now and then.
_SAMPLING = Sampling(temperature=0.7, top_p=0.9)


def format_accuracy(bundle: Bundle, prompts: Sequence[Prompt], *, threads: int = 0) -> list[bool]:
    """Of each prompt, whether the poem has the form's number of lines of its number of Chinese characters.

    A GPT2 writes until it ends the poem. A T5 writes line after line, each until it ends it, and reads what
    it wrote before the next one, as in serving; how many lines it is asked for follows from the form.
    """
    writer = _FreeWriter(bundle, threads)
    good: dict[int, bool] = {}
    for group in writer.groups(prompts):
        good |= dict(zip((prompt.index for prompt in group), writer.keeps_form(group), strict=True))
    return [good[prompt.index] for prompt in prompts]


class _FreeWriter:
    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._by_line = bundle.manifest["architecture"] == "t5"
        self._engine = open_engine(bundle, threads=threads)
        self._tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
        self._template = PromptTemplate.from_manifest(bundle.manifest)

    def groups(self, prompts: Sequence[Prompt]) -> Iterator[Sequence[Prompt]]:
        """Prompts that can be written side by side: of one form, for GPT2 also of one length."""
        alike: dict[tuple[str, int], list[Prompt]] = defaultdict(list)
        for prompt in prompts:
            length = 0 if self._by_line else len(self._ids(prompt, []))
            alike[prompt.form.name, length].append(prompt)
        for group in alike.values():
            yield from (group[start : start + _BATCH] for start in range(0, len(group), _BATCH))

    def keeps_form(self, prompts: Sequence[Prompt]) -> list[bool]:
        """One verdict a prompt."""
        form = prompts[0].form
        generators = [generator_of(prompt.index, 0) for prompt in prompts]
        if not self._by_line:
            decoding = self._engine.begin([self._ids(prompt, []) for prompt in prompts])
            most = (form.characters + 1) * form.lines
            written = self._write(decoding, generators, self._tokenizer.sep_id, most)
            poems = [self._ended(ids, self._tokenizer.sep_id).split(EOS) for ids in written]
            return [_keeps(poem, form) for poem in poems]
        lines: list[list[str]] = [[] for _ in prompts]
        for _ in range(form.lines):
            texts = [self._ids(prompt, own) for prompt, own in zip(prompts, lines, strict=True)]
            decoding = self._engine.begin(texts)
            written = self._write(decoding, generators, self._tokenizer.eos_id, form.characters + 1)
            for own, ids in zip(lines, written, strict=True):
                own.append(self._ended(ids, self._tokenizer.eos_id))
        return [_keeps(poem, form) for poem in lines]

    def _ids(self, prompt: Prompt, lines: Sequence[str]) -> list[int]:
        keywords = select_keywords(prompt.keywords, prompt.form)
        return self._tokenizer.encode(self._template.render(keywords, form=prompt.form, lines=lines))

    def _write(
        self, decoding: Decoding, generators: Sequence[np.random.Generator], stop: int, most: int
    ) -> list[list[int]]:
        """What each row writes until it says `stop`, that included; at most `most` tokens."""
        written: list[list[int]] = [[] for _ in generators]
        free = np.zeros(len(self._tokenizer), dtype=np.float32)
        for step in range(most):
            ids, _ = draw(decoding.logits, free, _SAMPLING, generators)
            for row, index in zip(written, ids, strict=True):
                if stop not in row:
                    row.append(int(index))
            if step + 1 == most or all(stop in row for row in written):
                break
            decoding.step(ids[:, None])
        return written

    def _ended(self, ids: Sequence[int], stop: int) -> str:
        """The text before `stop`; none where it was never said."""
        return self._tokenizer.decode(ids[:-1]) if ids[-1] == stop else ""


def _keeps(lines: Sequence[str], form: Form) -> bool:
    """Whether these are the form's lines; a special token is no Chinese character."""
    return len(lines) == form.lines and all(len(line) == form.characters and is_han(line) for line in lines)
