"""What the service costs beside bare gRPC: lookups by vector against an echo of messages of the same size.

The client does the same for both: it sends one message, which it turns into bytes at each call, and reads one
answer out of bytes. The echo's server does neither: it answers any bytes with those of one answer.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import Any

import grpc.aio
import numpy as np

from benchmarks.process import ROOT, server
from benchmarks.result import Benchmark, Result
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc

_AT_ONCE = 32
_SECONDS = 4.0
_ROUNDS = 3
_METHOD = "/echo.Echo/Echo"
# An echo server that answers every request with the bytes that it is told, and does nothing else.
_ECHO = """
import asyncio, sys, grpc, grpc.aio
answer = bytes.fromhex(sys.argv[1])
async def echo(request, context):
    return answer
async def main():
    server = grpc.aio.server()
    methods = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""


@contextmanager
def _echo(answer: bytes) -> Any:
    command = [sys.executable, "-c", _ECHO, answer.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def _rate(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    """Calls a second, with so many under way at any time."""
    end = time.perf_counter() + seconds

    async def caller() -> int:
        count = 0
        while time.perf_counter() < end:
            await call()
            count += 1
        return count

    started = time.perf_counter()
    counts = await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    return sum(counts) / (time.perf_counter() - started)


async def _measure(address: str) -> Result:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = pb_grpc.PoemServiceStub(channel)
        dimension = (await stub.GetServerInfo(pb.GetServerInfoRequest())).encoder.dimension
        values = np.random.default_rng(0).standard_normal(dimension).astype(np.float32)
        request = pb.LookupKeywordsRequest(vector=pb.Vector(values=values.tolist()))
        answer = await stub.LookupKeywords(request)
        with _echo(answer.SerializeToString()) as bare:
            async with grpc.aio.insecure_channel(bare) as other:
                echo = other.unary_unary(
                    _METHOD,
                    request_serializer=pb.LookupKeywordsRequest.SerializeToString,
                    response_deserializer=pb.LookupKeywordsResponse.FromString,
                )
                # By turns, so that both sides see the same machine.
                rates = {"lookup": [], "echo": []}
                for seconds in (1.0, *[_SECONDS] * _ROUNDS):
                    rates["lookup"].append(await _rate(lambda: stub.LookupKeywords(request), seconds))
                    rates["echo"].append(await _rate(lambda: echo(request), seconds))
    ours, theirs = (float(np.median(found[1:])) for found in rates.values())
    sizes = f"request {request.ByteSize()} bytes, answer {answer.ByteSize()} bytes"
    print(f"  {sizes}, {_AT_ONCE} calls at once", flush=True)
    print(f"  LookupKeywords {ours:.0f}/s, bare echo {theirs:.0f}/s", flush=True)
    return Result(
        value=ours, unit="calls/s", ratio=ours / theirs, against="a bare grpc.aio echo, at least 0.6"
    )


def grpc_layer() -> Result:
    """LookupKeywords by vector of a server with the shipped index."""
    with server() as running:
        return asyncio.run(_measure(running.address))


BENCHMARKS: dict[str, Benchmark] = {"grpc-layer": grpc_layer}
