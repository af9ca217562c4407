"""Poems from several servers: each address of a name in turn, and from another one where one goes away.

python deploy/examples/balanced_client.py dns:///image2poem:50051 明月 故乡 [--poems 10]

The channel does all of it by clients/service_config.json, which gRPC reads alike in every language: calls go
round among the servers that say SERVING, and one that fails with UNAVAILABLE before anything of its answer
has arrived is made again on another. Where a call has begun to stream, only its caller can say what to do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grpc

from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc

SERVICE_CONFIG = Path(__file__).resolve().parents[2] / "clients" / "service_config.json"


def open_channel(target: str) -> grpc.Channel:
    """A channel to every address of the target: `dns:///NAME:PORT`, or `ipv4:HOST:PORT,HOST:PORT`."""
    options = [
        ("grpc.service_config", SERVICE_CONFIG.read_text(encoding="utf-8")),
        # What is kept of a request to send it again; a larger one is never repeated. Pictures are large.
        ("grpc.per_rpc_retry_buffer_size", 16 * 2**20),
        # How long to leave a server alone that was lost, at most, in milliseconds.
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    return grpc.insecure_channel(target, options=options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("keywords", nargs="+")
    parser.add_argument("--poems", type=int, default=1)
    options = parser.parse_args()
    request = pb.ComposePoemRequest(keywords=pb.KeywordList(words=options.keywords))
    with open_channel(options.target) as channel:
        stub = pb_grpc.PoemServiceStub(channel)
        for _ in range(options.poems):
            try:
                [*_, last] = stub.ComposePoem(request, timeout=60)
            except grpc.RpcError as error:
                print(f"{error.code().name}: {error.details()}", file=sys.stderr)
                return 1
            print("，".join(last.finished.poem) + "。")
    return 0


if __name__ == "__main__":
    sys.exit(main())
