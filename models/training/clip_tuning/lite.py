"""The loop of `trainer.py` over the encoder `lite`: its towers stay, a matrix at each end is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.bundle import MANIFEST, Bundle, CorruptArtifact, open_bundle
from models.clip import Encoder
from models.training.chinese_clip.checkpoint import InvalidSource
from models.training.clip_tuning.adapter import Adapter, Frozen, FrozenBatches, write_adapted
from models.training.clip_tuning.objective import encode
from models.training.clip_tuning.pairs import Batches, Pair
from models.training.clip_tuning.trainer import LOG, Tuner, read_log
from models.training.config import InvalidRun
from models.training.parity import ParityError

_COMPARED = 16
# The matrices are rounded to fp16.
_LARGEST_DIFFERENCE = 2e-3


def is_bundle(source: str) -> bool:
    """Whether a source is an encoder bundle, as `lite` is."""
    return (Path(source) / MANIFEST).is_file()


class LiteTuner(Tuner):
    """One run in one folder. Raises InvalidRun or InvalidSource where none can be made or go on."""

    def _open(self) -> Any:
        if self.config.export != "fp32":
            raise InvalidRun(f"--export {self.config.export}: `lite` keeps the precision that it has")
        try:
            bundle = open_bundle(self.config.source, kind="encoder")
        except CorruptArtifact as error:
            raise InvalidSource(str(error)) from error
        self._frozen = Frozen(bundle, threads=self.config.threads)
        return Adapter(self._frozen.dimension, self._frozen.features)

    def _batches(self, pairs: list[Pair]) -> Batches:
        return FrozenBatches(pairs, self._frozen, size=self.config.batch, seed=self.config.seed)

    def _image_tower(self) -> torch.nn.Module:
        return self.model.picture

    def _export(self) -> Bundle:
        adapter = self.model.float().cpu().eval()
        facts = {"training": {**self._facts(), "recall": read_log(self.out / LOG)[-1]}}
        bundle = write_adapted(self._frozen.bundle, adapter, self.out / "bundle", facts)
        self._compare(bundle, adapter)
        return bundle

    @torch.no_grad()
    def _compare(self, bundle: Bundle, adapter: Adapter) -> None:
        """Raises ParityError where the bundle's vectors are not those that were trained."""
        pairs = self.held_out[:_COMPARED]
        encoder = Encoder.open(bundle, threads=self.config.threads)
        ours = (
            encoder.encode_pictures([pair.picture.read_bytes() for pair in pairs]),
            encoder.encode_texts([pair.text for pair in pairs]),
        )
        for mine, theirs in zip(ours, encode(adapter, self.batches.make(pairs)), strict=True):
            difference = float(np.abs(mine - theirs.numpy()).max())
            if difference > _LARGEST_DIFFERENCE:
                raise ParityError(f"the written bundle differs by {difference:.1e} from what was trained")
