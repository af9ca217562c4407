"""The service: pictures in, poems out, over gRPC."""

import os

__version__ = "0.1.0"

# Before NumPy is loaded, which reads it once: the threads of its BLAS spin for a while after each product of
# a search, on the cores that the models need then.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
