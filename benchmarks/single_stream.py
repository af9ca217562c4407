"""One poem at a time: tokens per second against `generate` of transformers with its cache, and CTranslate2.

All sides have the same weights and draw from the same prompts. The other sides keep no rules and know no
lengths: they are given the number of tokens. Here rules, penalties and line ends are in the time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT
from benchmarks.result import Benchmark, Result, describe, timed
from models.bundle import Bundle, open_bundle
from models.poet import Poet
from models.prompt import PromptTemplate
from models.prosody import FORMS
from models.sampling import Sampling
from models.tokenizer import CharacterTokenizer

_WORDS = ["明月", "江水", "孤舟", "白云"]
_FORM = FORMS["qijue"]
_TOKENS = _FORM.lines * _FORM.characters
_SAMPLING = Sampling(temperature=0.7, top_p=0.9)
# As the server gives a decoder of two cores.
_THREADS = 1


class Prompts:
    """What a poet reads: before each line for T5, once for GPT2; the lines are any lines."""

    def __init__(self, bundle: Bundle) -> None:
        self.tokenizer = CharacterTokenizer.read(bundle.file(bundle.manifest["tokenizer"]["vocabulary"]))
        self._template = PromptTemplate.from_manifest(bundle.manifest)
        self._by_line = bundle.manifest["architecture"] == "t5"

    def __iter__(self) -> Any:
        """(ids, number of tokens to write) of each call that writes a part of the poem."""
        lines = ["明月照江水孤舟"] * (_FORM.lines - 1)
        if self._by_line:
            for line in range(_FORM.lines):
                yield self._ids(lines[:line]), _FORM.characters
        else:
            # Line ends are written as tokens too, but not counted.
            yield self._ids([]), _TOKENS + _FORM.lines - 1

    def _ids(self, lines: list[str]) -> list[int]:
        return self.tokenizer.encode(self._template.render(_WORDS, form=_FORM, lines=lines))


def _ours(bundle: Bundle, *, int8: bool) -> Callable[[], object]:
    # The other side has no n-gram model.
    poet = Poet.open(bundle, threads=_THREADS, fused=False, int8=int8)
    return lambda: list(poet.compose(_WORDS, form=_FORM, sampling=_SAMPLING, seed=1))


def _transformers(bundle: Bundle, prompts: Prompts) -> Callable[[], object]:
    import torch
    from transformers import GPT2LMHeadModel, T5ForConditionalGeneration

    torch.set_num_threads(_THREADS)
    kind = T5ForConditionalGeneration if bundle.manifest["architecture"] == "t5" else GPT2LMHeadModel
    model = kind.from_pretrained(bundle.path, dtype=torch.float32).eval()

    @torch.inference_mode()
    def write() -> None:
        for ids, count in prompts:
            model.generate(
                input_ids=torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
                do_sample=True,
                temperature=_SAMPLING.temperature,
                top_p=_SAMPLING.top_p,
                top_k=0,
                min_new_tokens=count,
                max_new_tokens=count,
                use_cache=True,
            )

    return write


def _ctranslate2(bundle: Bundle, prompts: Prompts, folder: Path) -> Callable[[], object] | None:
    """None where it is not installed; it is no dependency of anything here."""
    try:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter
    except ImportError:
        print("  CTranslate2: not installed (pip install ctranslate2)", flush=True)
        return None
    t5 = bundle.manifest["architecture"] == "t5"
    source = _with_tokenizer(bundle, prompts.tokenizer, folder / "source")
    out = TransformersConverter(str(source)).convert(str(folder / "ct2"), quantization="int8", force=True)
    kind = ctranslate2.Translator if t5 else ctranslate2.Generator
    model = kind(out, device="cpu", compute_type="int8", intra_threads=_THREADS, inter_threads=1)
    vocabulary = prompts.tokenizer.vocabulary
    options = {
        "sampling_temperature": _SAMPLING.temperature,
        "sampling_topp": _SAMPLING.top_p,
        "sampling_topk": 0,
    }

    def write() -> None:
        for ids, count in prompts:
            tokens = [vocabulary[index] for index in ids]
            if t5:
                model.translate_batch(
                    [tokens],
                    beam_size=1,
                    min_decoding_length=count,
                    max_decoding_length=count,
                    **options,
                )
            else:
                model.generate_batch(
                    [tokens],
                    min_length=count,
                    max_length=count,
                    include_prompt_in_result=False,
                    **options,
                )

    return write


def _with_tokenizer(bundle: Bundle, tokenizer: CharacterTokenizer, folder: Path) -> Path:
    """The folder that transformers reads, with a tokenizer as CTranslate2's converter wants one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).symlink_to(bundle.file(name).resolve())
    ids = {token: index for index, token in enumerate(tokenizer.vocabulary)}
    words = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    specials = {"eos_token": "[EOS]", "pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[CLS]"}
    PreTrainedTokenizerFast(tokenizer_object=words, **specials).save_pretrained(folder)
    return folder


def _single_stream(arch: str) -> Result:
    bundle = open_bundle(ROOT / "models" / "bundles" / arch, kind="poet")
    prompts = Prompts(bundle)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides = {
            "here, fp32": _ours(bundle, int8=False),
            "here, int8": _ours(bundle, int8=True),
            "transformers generate with cache, fp32": _transformers(bundle, prompts),
            "CTranslate2, int8": _ctranslate2(bundle, prompts, folder),
        }
        rates = {
            label: _TOKENS / describe(label, timed(write, repeat=15)) * 1000
            for label, write in sides.items()
            if write is not None
        }
    for label, rate in rates.items():
        print(f"  {label}: {rate:.0f} tokens/s", flush=True)
    fast, slow = max(list(rates.values())[:2]), rates["transformers generate with cache, fp32"]
    return Result(
        value=fast,
        unit="tokens/s",
        ratio=fast / slow,
        against="transformers generate with cache",
    )


BENCHMARKS: dict[str, Benchmark] = {
    f"single-stream-{arch}": partial(_single_stream, arch) for arch in ("t5", "gpt2")
}
