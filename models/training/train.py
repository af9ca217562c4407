"""Train a poet.

    python -m models.training.train --arch gpt2 --corpus runs/corpus \
        --keywords index_builder/data/keywords.tsv --out runs/gpt2 --minutes 90

AdamW, bf16 autocast, linear warm-up, then cosine or stable and decay. The run's folder gets the settings
(`config.json`), the vocabulary, a log (`log.jsonl`), a chart (`chart.png`), and every few minutes a
checkpoint. A run started again in the same folder goes on from it: exactly, if it was planned in steps.
"""

from __future__ import annotations

import torch

from models.training.config import parse_config
from models.training.trainer import Trainer


def main() -> None:
    config = parse_config(about=__doc__ or "")
    torch.set_num_threads(config.threads)
    Trainer(config).run()


if __name__ == "__main__":
    main()
