"""`server.rebuild_worker` with a fake encoder: slow where a list holds 慢, dead where it holds 亡."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import models.bundle  # noqa: E402
import models.clip  # noqa: E402
import server.rebuild_worker  # noqa: E402
from fakes import FakeEncoder  # noqa: E402


class SlowEncoder(FakeEncoder):
    def encode_texts(self, texts):
        if any("慢" in text for text in texts):
            time.sleep(0.2)
        if any("亡" in text for text in texts):
            print("the encoder broke", file=sys.stderr, flush=True)
            os._exit(7)
        if any("坏" in text for text in texts):
            raise OSError(28, "No space left on device")
        return super().encode_texts(texts)

    @classmethod
    def open(cls, bundle, **options):
        print("a library that talks")
        return cls()


models.bundle.open_bundle = lambda path, kind: None
models.clip.Encoder = SlowEncoder
sys.exit(server.rebuild_worker.main())
