"""A poet's bundle: written from a PyTorch model, with graphs in eight bits beside, or in eight bits alone.

With the graphs lie the weights as transformers reads them, and nothing twice: `from_pretrained` opens the
folder, and the graphs refer to the same `model.safetensors`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from transformers import PreTrainedModel

from models.bundle import Bundle, write_bundle
from models.fusion import FILE as NGRAM
from models.precision import INT8
from models.prompt import PromptTemplate
from models.tokenizer import CharacterTokenizer
from models.training import int8
from models.training.foreign import CONFIG, WEIGHTS
from models.training.poet_graphs import poet_graphs
from models.training.weight_file import refer_to_weights, write_weights

PRECISIONS = ("fp16", "fp32", "int8")
_VOCABULARY = "vocab.txt"
_INT8_WEIGHTS = "weights.safetensors"


def write_poet(
    model: PreTrainedModel,
    tokenizer: CharacterTokenizer,
    out: Path,
    *,
    name: str,
    template: PromptTemplate,
    facts: Mapping[str, Any],
    precision: str = "fp16",
) -> Bundle:
    """Export `model` and write its bundle.

    Args:
        model: a GPT2LMHeadModel or T5ForConditionalGeneration in fp32. For fp16 its weights are rounded in
            place, so that it goes on being what was exported.
        precision: how weights are stored, `fp16` or `fp32`; either way the bundle computes in fp32.
        facts: further entries of the manifest.
    """
    arch = model.config.model_type
    manifest = {
        "kind": "poet",
        "name": name,
        "architecture": arch,
        "tokenizer": {"type": "character", "vocabulary": _VOCABULARY},
        "prompt": template.to_manifest(),
        **({"decoder_start_id": model.config.decoder_start_token_id} if arch == "t5" else {}),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "precision": {"stored": precision, "computed": "fp32"},
        **facts,
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer.write(folder / _VOCABULARY)
        _save_weights(model, folder, precision)
        graphs = poet_graphs(model)
        refer_to_weights(graphs.values(), folder / WEIGHTS)
        return _write(out, manifest, folder, (_VOCABULARY, CONFIG, WEIGHTS), graphs)


def write_int8(bundle: Bundle, out: Path) -> Bundle:
    """Write a bundle as another one in eight bits, without the weights that transformers reads."""
    graphs = _graphs(bundle)
    for graph in graphs.values():
        int8.quantise(graph)
    manifest = {**bundle.manifest, "precision": {"stored": "int8", "computed": "int8"}}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        kept = [name for name in (_VOCABULARY, NGRAM) if name in bundle.files]
        for name in kept:
            (folder / name).write_bytes(bundle.file(name).read_bytes())
        write_weights(graphs.values(), folder / _INT8_WEIGHTS)
        return _write(out, manifest, folder, (*kept, _INT8_WEIGHTS), graphs)


def with_int8(bundle: Bundle, out: Path) -> Bundle:
    """Write a bundle in fp32 or fp16 with further graphs, which round its weights as they are loaded."""
    files = bundle.files
    with tempfile.TemporaryDirectory() as scratch:
        for name, graph in _graphs(bundle).items():
            int8.quantise(graph, when_loaded=True)
            refer_to_weights([graph], bundle.file(WEIGHTS))
            rounded = name.removesuffix(".onnx") + INT8
            files[rounded] = Path(scratch) / rounded
            files[rounded].write_bytes(graph.SerializeToString())
        precision = {**bundle.manifest["precision"], "computed": "fp32, or int8 on a CPU"}
        return write_bundle(out, {**bundle.manifest, "precision": precision}, files)


def _graphs(bundle: Bundle) -> dict[str, onnx.ModelProto]:
    """The graphs in fp32, weights and all, by the names of their files."""
    names = (name for name in bundle.files if name.endswith(".onnx") and not name.endswith(INT8))
    return {name: onnx.load(bundle.file(name)) for name in names}


def _save_weights(model: PreTrainedModel, folder: Path, precision: str) -> None:
    if precision == "fp16":
        model.half()
    model.save_pretrained(folder)
    model.float()


def _write(
    out: Path,
    manifest: Mapping[str, Any],
    folder: Path,
    names: tuple[str, ...],
    graphs: Mapping[str, onnx.ModelProto],
) -> Bundle:
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString())
    return write_bundle(out, manifest, {name: folder / name for name in (*names, *graphs)})
