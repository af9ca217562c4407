"""Import checkpoints as large as the original work's, of random weights, and say what it takes.

    python -m models.training.import_check --arch t5

T5 has 12 layers each way and GPT2 12, both of width 768, over BERT's 21,128 tokens. The bundle is written and
checked as any other, put into eight bits, and deleted; time, size and memory are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, T5Config, T5ForConditionalGeneration

from models.bundle import Bundle, open_bundle
from models.engine import open_engine
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.tokenizer import SPECIAL_TOKENS
from models.training.import_poet import check_greedy, import_poet, replace_by_int8

_SIZE = 21_128
_HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 8_000)]
_KEYWORDS = ("明月", "江山", "春花", "楼台", "孤舟", "秋风", "夜雨", "白云")


def full_size(arch: str, *, vocabulary: int = _SIZE) -> PreTrainedModel:
    """A model with the original's sizes and random weights."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 3, "eos_token_id": 2, "pad_token_id": 0}
    if arch == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=768, n_layer=12, n_head=12, **ids))
    sizes = {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12}
    return T5ForConditionalGeneration(
        T5Config(vocab_size=vocabulary, decoder_start_token_id=3, **sizes, **ids)
    )


def save(arch: str, folder: Path) -> None:
    """Write a Hugging Face folder; its vocabulary is shorter than the model's, as happens."""
    full_size(arch).save_pretrained(folder)
    others = [*(f"[unused{number}]" for number in range(1, 100)), *(f"##{character}" for character in _HAN)]
    tokens = [*SPECIAL_TOKENS, " ", "|", "：", *_HAN, *(c for c in "关键词" if c not in _HAN), *others]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


@torch.no_grad()
def logit_difference(bundle: Bundle, model: PreTrainedModel) -> float:
    """The largest difference of a logit, for the token after a prompt of sixteen."""
    ids = list(range(6, 22))
    ours = torch.from_numpy(open_engine(bundle).begin([ids]).logits[0])
    start = {} if model.config.model_type == "gpt2" else {"decoder_input_ids": torch.tensor([[3]])}
    theirs = model(input_ids=torch.tensor([ids]), **start, use_cache=False).logits[0, -1]
    return float((ours - theirs).abs().max())


def measure(arch: str, folder: Path) -> dict[str, object]:
    """Import, compare and write a poem. Raises ParityError."""
    save(arch, folder)
    about = {"origin": "models.training.import_check", "licence": "none: random weights"}
    started = time.monotonic()
    bundle, model = import_poet(folder, folder / f"original-{arch}", **about)
    imported = time.monotonic()
    characters = check_greedy(bundle, model, _KEYWORDS, prompts=1).characters
    checked = time.monotonic()
    exact = {**_served(bundle), "largest_logit_difference": logit_difference(bundle, model)}
    ratio = replace_by_int8(bundle, _KEYWORDS, prompts=1)
    small = {**_served(open_bundle(bundle.path)), "perplexity_ratio": round(ratio, 5)}
    return {
        "parameters": bundle.manifest["parameters"],
        "import_seconds": round(imported - started, 1),
        "characters_equal": characters,
        "check_seconds": round(checked - imported, 1),
        "fp16": exact,
        "int8": small,
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
    }


def _served(bundle: Bundle) -> dict[str, float]:
    started = time.monotonic()
    poet = Poet.open(bundle)
    opened = time.monotonic()
    form = FORMS["qijue"]
    free = poet.constraint(form, Rules(regulated=False))
    list(poet.compose(_KEYWORDS[:4], form=form, sampling=Sampling(), seed=0, constraint=free))
    written = time.monotonic()
    return {
        "bundle_mb": round(sum(path.stat().st_size for path in bundle.files.values()) / 1e6),
        "open_seconds": round(opened - started, 1),
        "qijue_seconds": round(written - opened, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.import_check", description=__doc__)
    parser.add_argument("--arch", choices=("t5", "gpt2"), required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"arch": options.arch, **measure(options.arch, Path(folder))}))


if __name__ == "__main__":
    main()
