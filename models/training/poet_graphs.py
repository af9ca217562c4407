"""A poet as ONNX graphs, with a key-value cache; all batch and length axes are dynamic."""

from __future__ import annotations

import onnx
import torch
from transformers import PreTrainedModel

from models.training import onnx_file
from models.training.onnx_modules import Gpt2Decoder, T5Decoder, T5Encoder

OPSET = 20
_AUTO = torch.export.Dim.AUTO


def poet_graphs(model: PreTrainedModel) -> dict[str, onnx.ModelProto]:
    """The graphs, weights and all, by the names of their files: `decoder.onnx`, and a T5's `encoder.onnx`."""
    model.eval()
    if model.config.model_type == "gpt2":
        return {"decoder.onnx": _gpt2(model)}
    return {"encoder.onnx": _t5_encoder(model), "decoder.onnx": _t5_decoder(model)}


def _gpt2(model: PreTrainedModel) -> onnx.ModelProto:
    config = model.config
    past = _cache(config.n_layer, config.n_head, config.n_embd // config.n_head)
    return _decoder(Gpt2Decoder(model), {**_read(), "past": past}, layers=config.n_layer)


def _t5_encoder(model: PreTrainedModel) -> onnx.ModelProto:
    module = T5Encoder(model)
    arguments = {"input_ids": torch.ones(2, 7, dtype=torch.int64), "mask": _mask(2, 7)}
    return _graph(module, arguments, _names("cross", len(module.cross)))


def _t5_decoder(model: PreTrainedModel) -> onnx.ModelProto:
    config = model.config
    layers, heads, width = config.num_decoder_layers, config.num_heads, config.d_kv
    arguments = {
        **_read(),
        "source_mask": _mask(2, 7),
        "past": _cache(layers, heads, width),
        "cross": _cache(layers, heads, width, length=7),
    }
    return _decoder(T5Decoder(model), arguments, layers=layers)


def _read() -> dict[str, torch.Tensor]:
    """Three tokens of two sequences, whose caches have five places."""
    return {
        "input_ids": torch.ones(2, 3, dtype=torch.int64),
        "position_ids": torch.ones(2, 3, dtype=torch.int64),
        "seqlens_k": torch.ones(2, dtype=torch.int32),
        "total_sequence_length": torch.ones(1, dtype=torch.int32),
    }


def _decoder(module: torch.nn.Module, arguments: dict, *, layers: int) -> onnx.ModelProto:
    return _graph(module, arguments, ["logits", *_names("present", layers)])


def _graph(module: torch.nn.Module, arguments: dict, outputs: list[str]) -> onnx.ModelProto:
    inputs: list[str] = []
    shapes: dict = {}
    for name, value in arguments.items():
        if isinstance(value, list):
            inputs += _names(name, len(value) // 2)
            shapes[name] = [{0: _AUTO, 2: _AUTO} for _ in value]
        else:
            inputs.append(name)
            shapes[name] = dict.fromkeys(range(value.dim() if len(value) > 1 else 0), _AUTO)
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
    graph = program.model_proto
    onnx_file.drop_notes(graph)
    onnx_file.divide_by_roots(graph)
    return graph


def _names(prefix: str, layers: int) -> list[str]:
    return [f"{prefix}.{index}.{part}" for index in range(layers) for part in ("key", "value")]


def _cache(layers: int, heads: int, width: int, *, length: int = 5) -> list[torch.Tensor]:
    if width % 8:
        raise ValueError(f"ONNX Runtime's attention takes heads of a multiple of 8 numbers, not of {width}")
    return [torch.zeros(2, heads, length, width) for _ in range(2 * layers)]


def _mask(rows: int, length: int) -> torch.Tensor:
    return torch.ones(rows, length, dtype=torch.int64)
