"""Train a poet.

    python -m models.training.train --arch gpt2 --corpus runs/corpus \
        --keywords index_builder/data/keywords.tsv --out runs/gpt2 --minutes 90

AdamW, or with it Muon for hidden matrices; bf16 autocast; linear warm-up, then cosine or stable and decay.
The run's folder gets the settings (`config.json`), the vocabulary, a log (`log.jsonl`), a chart
(`chart.png`), and every few minutes a checkpoint. A run started again in the same folder goes on from it:
exactly, if it was planned in steps.

On several GPUs, or in several processes of one machine (there with `--device cpu`):

    accelerate launch --multi_gpu --num_processes 2 -m models.training.train ...
"""

from __future__ import annotations

import os
import sys

import torch

from models.training.config import InvalidRun, parse_config
from models.training.devices import open_devices
from models.training.trainer import Trainer


def main() -> None:
    config = parse_config(about=__doc__ or "")
    try:
        devices = open_devices(config)
        torch.set_num_threads(config.threads)
        Trainer(config, devices).run()
    except InvalidRun as error:
        # Of several processes all find the same, and one says so.
        if os.environ.get("RANK", "0") == "0":
            print(f"train: {error}", file=sys.stderr)
        sys.exit(2)
    devices.finish()


if __name__ == "__main__":
    main()
