"""The service: pictures in, poems out, over gRPC."""

__version__ = "0.1.0"
