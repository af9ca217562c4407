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
from dataclasses import fields
from pathlib import Path

import torch
from transformers import PreTrainedModel

from models.bundle import Bundle, sha256_of, write_bundle
from models.prompt import PromptTemplate
from models.tokenizer import CharacterTokenizer
from models.training import onnx_file
from models.training.checkpoint import load_weights
from models.training.config import PLACES, TrainingConfig
from models.training.corpus import load
from models.training.dataset import ExampleMaker
from models.training.evaluate import evaluate, keyword_sampler
from models.training.onnx_modules import Gpt2Decoder, T5Decoder, T5Encoder
from models.training.parity import check_greedy
from models.training.validation import validate

OPSET = 18
_LICENCE = "Apache-2.0; trained from scratch on poems of the npm package chinese-poetry (MIT)"
_CORPUS = "npm chinese-poetry 2.0.1, by models.training.corpus"
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


def write_poet(
    model: PreTrainedModel,
    tokenizer: CharacterTokenizer,
    out: Path,
    *,
    name: str,
    template: PromptTemplate,
    facts: dict,
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
            "prompt": template.to_manifest(),
            **({"decoder_start_id": model.config.decoder_start_token_id} if arch == "t5" else {}),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            **facts,
        }
        return write_bundle(out, manifest, files)


def _licence(corpus: dict) -> str:
    """What may be done with the weights, as far as the poems' own licence tells (corpus.json)."""
    return f"of the poems: {corpus['licence']}" if "licence" in corpus else _LICENCE


def _training_facts(run: dict, corpus: dict, folder: Path, keywords: Path) -> dict:
    """What the manifest says of a run: its command, where it ended, and what it read, by content."""
    settings = {name: value for name, value in run.items() if name not in (*PLACES, "prompt")}
    known = {field.name for field in fields(TrainingConfig)}
    config = TrainingConfig(**{name: value for name, value in run.items() if name in known})
    return {
        "command": config.command(),
        **settings,
        "corpus": "own poems, by models.training.own_poems" if "licence" in corpus else _CORPUS,
        "corpus_sha256": sha256_of(folder / "train.jsonl"),
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
    template = PromptTemplate.from_manifest(bundle.manifest)
    maker = ExampleMaker(model.config.model_type, tokenizer, template, keyword_sampler(keywords))
    held = validate(model, maker, random.Random(0).sample(load(corpus, "test"), 1000))
    figures = {
        "nats_per_token": round(held.loss, 4),
        "keyword_accuracy": round(held.keyword_accuracy, 4),
        **figures,
    }
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
    model, tokenizer, training = load_weights(options.run)
    model.half().float()
    template = PromptTemplate(**training["prompt"])
    corpus = json.loads((options.corpus / "corpus.json").read_text(encoding="utf-8"))
    facts = {
        "licence": _licence(corpus),
        "training": _training_facts(training, corpus, options.corpus, options.keywords),
    }
    bundle = write_poet(model, tokenizer, options.out, name=training["arch"], template=template, facts=facts)
    checked = check_greedy(bundle, model, options.corpus, prompts=options.prompts)
    print(f"{options.out}: {checked} characters of {options.prompts} prompts equal PyTorch's, id for id")
    bundle = add_evaluation(bundle, model, tokenizer, options.corpus, options.keywords)
    print(json.dumps(bundle.manifest["evaluation"]))


if __name__ == "__main__":
    main()
