"""Whether a server says SERVING: exit status 0 or 1. For health checks of containers.

python deploy/health.py [--target HOST:PORT] [--service image2poem.v1.PoemService] [--roots PEM] [--name HOST]

With `--roots` it connects by TLS, and `--name` is the name that the server's certificate is for.
"""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PORT = os.environ.get("IMAGE2POEM_LISTEN", "127.0.0.1:50051").rpartition(":")[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target", default=f"127.0.0.1:{PORT}")
    parser.add_argument("--service", default="", help="the name asked for; empty is the server as a whole")
    parser.add_argument("--roots", type=argparse.FileType("rb"), help="PEM of the authorities to trust")
    parser.add_argument("--certificate", type=argparse.FileType("rb"), help="PEM of a client certificate")
    parser.add_argument("--key", type=argparse.FileType("rb"), help="PEM of its private key")
    parser.add_argument("--name", default="localhost", help="the name in the server's certificate")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds")
    options = parser.parse_args()
    try:
        with open_channel(options) as channel:
            request = health_pb2.HealthCheckRequest(service=options.service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=options.timeout)
    except grpc.RpcError as error:
        print(error.code().name, file=sys.stderr)
        return 1
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(status)
    return 0 if status == "SERVING" else 1


def open_channel(options: argparse.Namespace) -> grpc.Channel:
    arguments = [("grpc.enable_http_proxy", 0)]
    if options.roots is None:
        return grpc.insecure_channel(options.target, options=arguments)
    credentials = grpc.ssl_channel_credentials(
        options.roots.read(),
        options.key.read() if options.key else None,
        options.certificate.read() if options.certificate else None,
    )
    arguments.append(("grpc.ssl_target_name_override", options.name))
    return grpc.secure_channel(options.target, credentials, options=arguments)


if __name__ == "__main__":
    sys.exit(main())
