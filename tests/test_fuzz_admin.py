"""No request to IndexAdminService crashes the server, and none is answered by INTERNAL.

A few in CI, to a server whose rebuilds are made by a stand-in. The long run sends more, and to a real server;
let it work on a copy of the index, for versions come and go:

    python -m server --listen 127.0.0.1:50051 --index COPY --admin &
    IMAGE2POEM_FUZZ=20000 IMAGE2POEM_FUZZ_TARGET=127.0.0.1:50051 python -m pytest -q tests/test_fuzz_admin.py
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzzing_admin
from fakes import snapshot
from fuzzing import Call
from image2poem.v1 import index_admin_service_pb2 as pb
from index_versions import ENCODER, MARKS, publish
from server.index_rebuild import Rebuilder
from server.index_source import FolderSource, load_published
from serving import RunningServer

CODE = grpc.StatusCode
ANSWERS = {CODE.OK, CODE.INVALID_ARGUMENT, CODE.NOT_FOUND, CODE.FAILED_PRECONDITION, CODE.ABORTED}
EXAMPLES = int(os.environ.get("IMAGE2POEM_FUZZ", "1000"))
TARGET = os.environ.get("IMAGE2POEM_FUZZ_TARGET")
WORKER = (sys.executable, str(Path(__file__).resolve().parent / "fake_rebuild_worker.py"))


@pytest.fixture(scope="module")
def channel(tmp_path_factory) -> Iterator[grpc.Channel]:
    if TARGET:
        with grpc.insecure_channel(TARGET, [("grpc.enable_http_proxy", 0)]) as channel:
            yield channel
        return
    root = tmp_path_factory.mktemp("index")
    for mark in MARKS[:3]:
        publish(root, mark)

    def load(config):
        index = load_published(FolderSource(root=root), encoder_fingerprint=ENCODER.fingerprint)
        return replace(snapshot(), index=index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.app.Rebuilder", partial(Rebuilder, command=WORKER))
        with RunningServer(load, index=root, admin=True) as running:
            yield running.channel


def send(channel: grpc.Channel, call: Call) -> tuple[grpc.StatusCode, str | None, str | None]:
    path = f"/image2poem.v1.IndexAdminService/{call.method}"
    try:
        if call.method == "RebuildIndex":
            list(channel.stream_stream(path, None, None)(iter(call.request), timeout=120))
        else:
            channel.unary_unary(path, None, None)(call.request, timeout=120)
    except grpc.RpcError as error:
        return error.code(), dict(error.trailing_metadata() or ()).get("image2poem-reason"), error.details()
    return CODE.OK, "", ""


def fuzz(channel: grpc.Channel, strategy: st.SearchStrategy[Call], share: float) -> Counter[Any]:
    seen: Counter[Any] = Counter()

    @settings(
        max_examples=max(5, int(EXAMPLES * share)),
        deadline=None,
        database=None,
        derandomize=EXAMPLES == 1000,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(call: Call) -> None:
        code, reason, details = send(channel, call)
        seen[call.method, code] += 1
        assert code in ANSWERS, (code, reason, details)
        assert code == CODE.OK or reason

    each()
    print(f"\nfuzzing: { {(method, code.name): count for (method, code), count in seen.items()} }")
    return seen


def known(channel: grpc.Channel) -> list[str]:
    path = "/image2poem.v1.IndexAdminService/ListIndexVersions"
    found = pb.ListIndexVersionsResponse.FromString(channel.unary_unary(path, None, None)(b"", timeout=20))
    return [version.name for version in found.versions]


def test_versions(channel):
    seen = fuzz(channel, fuzzing_admin.versions(known(channel)), 0.04)
    assert seen["ActivateIndexVersion", CODE.OK]
    assert seen["ListIndexVersions", CODE.OK]


def test_rebuilds(channel):
    # Each takes a process of its own.
    fuzz(channel, fuzzing_admin.rebuilds, 0.005)
    assert known(channel)
