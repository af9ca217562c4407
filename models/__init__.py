"""What is learned, and what poems obey: bundles, encoders, poets and prosody."""

import os

# Before anything imports it: from 1.29 on, ONNX Runtime tells its maker which models are run where, unless
# this is set when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
