"""ONNX with a key-value cache against PyTorch that reads the whole sequence anew for each character."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT
from benchmarks.result import Benchmark, Result, describe, timed
from models.bundle import open_bundle
from models.poet import Poet
from models.prompt import PromptTemplate
from models.prosody import FORMS, Form, LengthsOnly, Rules
from models.sampling import Sampling
from models.tokenizer import CharacterTokenizer
from models.wishes import OFF

_KEYWORDS = ["明月", "江水", "孤舟", "白云"]


def _kv_cache(poet: str) -> Result:
    """A greedy 七绝 of the same architecture with random weights, both ways, the same ids."""
    # Here: learning alone may import torch, and the other benchmarks run without it.
    from models.training.architectures import new_model
    from models.training.poet_bundle import write_poet

    shipped = open_bundle(ROOT / "models" / "bundles" / poet, kind="poet")
    tokenizer = CharacterTokenizer.read(shipped.file("vocab.txt"))
    sizes = {name: shipped.manifest["training"][name] for name in ("d_model", "layers")}
    model = new_model(poet, tokenizer, **sizes)
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_poet(
            model,
            tokenizer,
            Path(folder) / poet,
            name=poet,
            template=PromptTemplate.from_manifest(shipped.manifest),
            facts={"licence": "random weights"},
        )
        opened = Poet.open(bundle)
        form, greedy = FORMS["qijue"], Sampling(temperature=0.0, frequency_penalty=0.0)
        free = opened.constraint(form, Rules(regulated=False))

        def ours() -> list[int]:
            tokens = opened.compose(_KEYWORDS, form=form, sampling=greedy, seed=0, constraint=free, bonus=OFF)
            return [token.id for token in tokens]

        def theirs() -> list[int]:
            return _torch_greedy(model, tokenizer, PromptTemplate.from_manifest(bundle.manifest), form)

        assert ours() == theirs()
        fast = describe("ONNX Runtime with cache", timed(ours, repeat=20))
        slow = describe("PyTorch without", timed(theirs, repeat=3, warm=1))
    return Result(value=fast, unit="ms", ratio=slow / fast, against="PyTorch without a cache, same weights")


def _torch_greedy(
    model: Any, tokenizer: CharacterTokenizer, template: PromptTemplate, form: Form
) -> list[int]:
    """The poem's token ids by the transformers model itself, the whole sequence read anew for each token."""
    import torch

    weights = torch.from_numpy(LengthsOnly(form, tokenizer.vocabulary, {}).mask.copy())
    lines: list[str] = []
    for _ in range(form.lines):
        prompt = tokenizer.encode(template.render(_KEYWORDS, form=form, lines=lines))
        line: list[int] = []
        for _ in range(form.characters):
            if model.config.model_type == "gpt2":
                read = {"input_ids": torch.tensor([prompt + line])}
            else:
                begun = [model.config.decoder_start_token_id, *line]
                read = {"input_ids": torch.tensor([prompt]), "decoder_input_ids": torch.tensor([begun])}
            with torch.no_grad():
                logits = model(**read, use_cache=False).logits[0, -1]
            line.append(int((logits + weights).argmax()))
        lines.append(tokenizer.decode(line))
    return tokenizer.encode("".join(lines))


BENCHMARKS: dict[str, Benchmark] = {f"kv-cache-{poet}": partial(_kv_cache, poet) for poet in ("t5", "gpt2")}
