"""The page: a small ASGI gateway that is itself a gRPC client, and what it serves to browsers."""
