"""Fine-tune a Chinese-CLIP on pictures and their texts, then export it as an encoder bundle.

    python -m models.training.finetune_clip --source OFA-Sys/chinese-clip-vit-base-patch16 \\
        --pairs pairs.jsonl --out runs/clip --steps 2000 --batch 64

SOURCE is what `models.training.export_clip` reads, or the bundle of `lite` (models/bundles/lite), which gets
a matrix at the end of each tower. PAIRS is a folder with pictures and a `.txt` beside each, or a JSONL file
with `image` and `text` a line. The run's folder gets a log (`log.jsonl`), a chart
(`chart.png`), checkpoints, the model (`model`, a folder of transformers) and the encoder (`bundle`). A run
started again in the same folder goes on from its last checkpoint.

On several GPUs, whose pairs of a step are all compared with one another:

    accelerate launch --multi_gpu --num_processes 2 -m models.training.finetune_clip ...
"""

from __future__ import annotations

import argparse
import json
import sys

import torch

from models.training.chinese_clip.checkpoint import InvalidSource
from models.training.clip_tuning.config import TuningConfig
from models.training.clip_tuning.lite import LiteTuner, is_bundle
from models.training.clip_tuning.trainer import Tuner
from models.training.config import PRECISIONS, InvalidRun
from models.training.devices import Devices, Processes, started
from models.training.export_clip import PRECISIONS as EXPORTS
from models.training.parity import ParityError


def parse(arguments: list[str] | None = None) -> TuningConfig:
    """Read the command line."""
    default = TuningConfig(source="", pairs="", out="")
    parser = argparse.ArgumentParser(
        prog="python -m models.training.finetune_clip",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(name: str, text: str, **kind: object) -> None:
        value = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", default=value, help=text, type=type(value), **kind)

    parser.add_argument("--source", required=True, help="folder, name on the hub, .pt of cn-clip, or `lite`")
    parser.add_argument("--pairs", required=True, help="folder or JSONL file of pictures with texts")
    parser.add_argument("--out", required=True, help="folder of this run; an interrupted run there goes on")
    add("steps", "steps to train")
    add("batch", "pairs that a process reads together; each is compared with all others")
    add("learning-rate", "at its highest")
    add("weight-decay", "of matrices")
    add("warmup-steps", "steps until the learning rate is at its highest")
    add("held-out", "share of the pictures that recall is measured on")
    parser.add_argument("--freeze-image", action="store_true", help="train the text tower alone")
    add("evaluate-every", "steps between two measurements of recall")
    add("checkpoint-minutes", "time between two checkpoints")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=best)
    add("precision", "of training; auto is bf16 where the device computes in it", choices=PRECISIONS)
    add("export", "precision of the bundle", choices=EXPORTS)
    add("vocabulary", "vocab.txt, where the source has none")
    add("seed", "of order and dropout")
    return TuningConfig(**vars(parser.parse_args(arguments)))


def main() -> None:
    config = parse()
    torch.set_num_threads(config.threads)
    kind = Processes if started() > 1 else Devices
    try:
        devices = kind(config.device, config.precision)
        bundle = (LiteTuner if is_bundle(config.source) else Tuner)(config, devices).run()
    except (InvalidRun, InvalidSource, ParityError) as error:
        print(f"finetune_clip: {error}", file=sys.stderr)
        sys.exit(2)
    if bundle is not None:
        print(json.dumps({"bundle": str(bundle.path), **bundle.manifest["training"]["recall"]}))
    devices.finish()


if __name__ == "__main__":
    main()
