"""Turn a trained run into a poet bundle for ONNX Runtime, and prove that nothing changed.

    python -m models.training.export_poet --run runs/gpt2 --corpus runs/corpus --out models/bundles/gpt2

Weights are rounded to fp16 first, and stored so; ONNX Runtime computes in fp32. Then
greedy decoding with the cache is compared, id for id, with the same weights in PyTorch without one. Last, the
poet is evaluated on the test split, and the figures go into the manifest.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

import torch
from transformers import PreTrainedModel

from models.bundle import Bundle, sha256_of, write_bundle
from models.tokenizer import CharacterTokenizer
from models.training import onnx_file
from models.training.architectures import new_model
from models.training.corpus import load
from models.training.dataset import ExampleMaker, quatrains
from models.training.evaluate import evaluate, held_out_loss, keyword_sampler
from models.training.onnx_modules import Gpt2Decoder, T5Decoder, T5Encoder
from models.training.parity import check_greedy
from models.training.train import CHECKPOINT, template_for

OPSET = 18
_FLAGS = ("arch", "minutes", "d_model", "layers", "batch", "learning_rate", "warmup_steps", "seed", "threads")
_LICENCE = "Apache-2.0; trained from scratch on poems of the npm package chinese-poetry (MIT)"
_AUTO = torch.export.Dim.AUTO


def export_onnx(model: PreTrainedModel, folder: Path) -> dict[str, Path]:
    """Write `decoder.onnx`, and for a T5 `encoder.onnx`; all batch and length axes are dynamic."""
    model.eval()
    if model.config.model_type == "gpt2":
        return {"decoder.onnx": _export_gpt2(model, folder / "decoder.onnx")}
    return {
        "encoder.onnx": _export_t5_encoder(model, folder / "encoder.onnx"),
        "decoder.onnx": _export_t5_decoder(model, folder / "decoder.onnx"),
    }


def load_run(run: Path) -> tuple[PreTrainedModel, CharacterTokenizer, dict]:
    """A run's model with its weights rounded to fp16, its tokenizer, and what it was started with."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    tokenizer = CharacterTokenizer.read(run / "vocab.txt")
    model = new_model(config["arch"], tokenizer, d_model=config["d_model"], layers=config["layers"])
    state = torch.load(run / CHECKPOINT, weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    model.half().float()
    return model, tokenizer, {**config, **state["progress"]}


def write_poet(
    model: PreTrainedModel, tokenizer: CharacterTokenizer, out: Path, *, name: str, facts: dict
) -> Bundle:
    """Export `model` and write its bundle; `facts` are further entries of the manifest."""
    arch = model.config.model_type
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer.write(folder / "vocab.txt")
        files = {"vocab.txt": folder / "vocab.txt", **export_onnx(model, folder)}
        manifest = {
            "kind": "poet",
            "name": name,
            "architecture": arch,
            "tokenizer": {"type": "character", "vocabulary": "vocab.txt"},
            "prompt": template_for(arch).to_manifest(),
            **({"decoder_start_id": model.config.decoder_start_token_id} if arch == "t5" else {}),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            **facts,
        }
        return write_bundle(out, manifest, files)


def _training_facts(run: dict, corpus: Path, keywords: Path) -> dict:
    """What the manifest says of a run: its command, where it ended, and what it read, by content."""
    settings = {name: value for name, value in run.items() if name not in ("corpus", "keywords", "out")}
    flags = (f"--{name.replace('_', '-')} {settings[name]}" for name in _FLAGS)
    return {
        "command": f"python -m models.training.train --corpus C --keywords K --out RUN {' '.join(flags)}",
        **settings,
        "corpus": "npm chinese-poetry 2.0.1, by models.training.corpus",
        "corpus_sha256": sha256_of(corpus / "train.jsonl"),
        "keywords_sha256": sha256_of(keywords),
    }


def _export_gpt2(model: PreTrainedModel, path: Path) -> Path:
    config = model.config
    past = _cache(config.n_layer, config.n_head, config.n_embd // config.n_head)
    arguments = {
        "input_ids": torch.ones(2, 3, dtype=torch.int64),
        "position_ids": torch.ones(2, 3, dtype=torch.int64),
        "mask": _mask(2, 8),
        "past": past,
    }
    return _export(Gpt2Decoder(model), arguments, path, present=config.n_layer)


def _export_t5_encoder(model: PreTrainedModel, path: Path) -> Path:
    arguments = {"input_ids": torch.ones(2, 7, dtype=torch.int64), "mask": _mask(2, 7)}
    module = T5Encoder(model)
    outputs = _names("cross", len(module.cross))
    return _run_export(module, arguments, path, outputs)


def _export_t5_decoder(model: PreTrainedModel, path: Path) -> Path:
    config = model.config
    layers, heads, width = config.num_decoder_layers, config.num_heads, config.d_kv
    arguments = {
        "input_ids": torch.ones(2, 3, dtype=torch.int64),
        "mask": _mask(2, 8),
        "source_mask": _mask(2, 7),
        "past": _cache(layers, heads, width),
        "cross": _cache(layers, heads, width, length=7),
    }
    return _export(T5Decoder(model), arguments, path, present=layers)


def _export(module: torch.nn.Module, arguments: dict, path: Path, *, present: int) -> Path:
    return _run_export(module, arguments, path, ["logits", *_names("present", present)])


def _run_export(module: torch.nn.Module, arguments: dict, path: Path, outputs: list[str]) -> Path:
    inputs: list[str] = []
    shapes: dict = {}
    for name, value in arguments.items():
        if isinstance(value, list):
            inputs += _names(name, len(value) // 2)
            shapes[name] = [{0: _AUTO, 2: _AUTO} for _ in value]
        else:
            inputs.append(name)
            shapes[name] = {0: _AUTO, 1: _AUTO}
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            kwargs=arguments,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    onnx_file.save(program.model_proto, path)
    return path


def _names(prefix: str, layers: int) -> list[str]:
    return [f"{prefix}.{index}.{part}" for index in range(layers) for part in ("key", "value")]


def _cache(layers: int, heads: int, width: int, *, length: int = 5) -> list[torch.Tensor]:
    return [torch.zeros(2, heads, length, width) for _ in range(2 * layers)]


def _mask(rows: int, length: int) -> torch.Tensor:
    return torch.ones(rows, length, dtype=torch.int64)


def add_evaluation(
    bundle: Bundle, model: PreTrainedModel, tokenizer: CharacterTokenizer, corpus: Path, keywords: Path
) -> Bundle:
    """Evaluate a bundle on the test split and write the figures into its manifest."""
    figures, _ = evaluate(bundle, corpus, keywords, count=200)
    arch = model.config.model_type
    poems = load(corpus, "test")
    if arch == "t5":
        poems = quatrains(poems)
    maker = ExampleMaker(arch, tokenizer, template_for(arch), keyword_sampler(keywords))
    sample = random.Random(0).sample(poems, 1000)
    loss = held_out_loss(model, maker, sample, pad_id=tokenizer.pad_id)
    figures = {"nats_per_token": round(loss, 4), **figures}
    names = bundle.manifest["files"]
    return write_bundle(
        bundle.path, {**bundle.manifest, "evaluation": figures}, {name: bundle.file(name) for name in names}
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.export_poet", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--out", type=Path, required=True, help="the bundle to write")
    parser.add_argument("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    parser.add_argument("--prompts", type=int, default=50, help="held-out prompts for the parity check")
    options = parser.parse_args()
    model, tokenizer, training = load_run(options.run)
    facts = {"licence": _LICENCE, "training": _training_facts(training, options.corpus, options.keywords)}
    bundle = write_poet(model, tokenizer, options.out, name=training["arch"], facts=facts)
    checked = check_greedy(bundle, model, options.corpus, prompts=options.prompts)
    print(f"{options.out}: {checked} characters of {options.prompts} prompts equal PyTorch's, id for id")
    bundle = add_evaluation(bundle, model, tokenizer, options.corpus, options.keywords)
    print(json.dumps(bundle.manifest["evaluation"]))


if __name__ == "__main__":
    main()
