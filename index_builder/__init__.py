"""The index of imagery words (意象): keyword lists, vectors, search, and the artifact on disk."""

import os

# Before anything imports it: from 1.29 on, ONNX Runtime tells its maker which models are run where, unless
# this is set when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
