"""Two servers behind one client: calls go to both, and when one goes, none that had not begun is lost."""

from __future__ import annotations

import importlib.util
import json
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from image2poem import Client, Image2PoemError
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc
from test_server_process import process

ROOT = Path(__file__).resolve().parent.parent
# Larger than what gRPC keeps for a repetition by default.
PICTURE = b"a large picture" * 40_000
CALLERS, POEMS, STEP_SECONDS = 6, 12, "0.004"


def example():
    path = ROOT / "deploy" / "examples" / "balanced_client.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ByChannel:
    """Calls by way of the example's channel; its service config balances and repeats."""

    def __init__(self, target):
        self._channel = example().open_channel(target)
        self._stub = pb_grpc.PoemServiceStub(self._channel)
        self.close = self._channel.close

    def compose(self):
        return self._stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE), timeout=60)


class ByClient:
    """Calls by way of the Python client, which repeats them itself."""

    def __init__(self, target):
        self._client = Client(target, timeout=60)
        self.close = self._client.close

    def compose(self):
        return self._client.compose(picture=PICTURE)


@pytest.fixture
def pair():
    """Two servers as processes of their own, and their addresses."""
    with ExitStack() as stack:
        options = ("--workers", str(CALLERS), "--log-format", "json")
        both = [stack.enter_context(process(*options, FAKE_STEP_SECONDS=STEP_SECONDS)) for _ in range(2)]
        yield both, [json.loads(child.stdout.readline())["address"] for child in both]


def load(client, at_a_third):
    """Poems by many callers; what became of each: `finished`, or `broken` or `lost` by an error.

    `at_a_third` is called when a third of them have ended.
    """
    ended, third = [], threading.Event()

    def call(_):
        received = 0
        try:
            for _ in client.compose():
                received += 1
            ended.append("finished")
        except (grpc.RpcError, Image2PoemError) as error:
            # In the middle of a poem it is for the caller to say what is to be done.
            ended.append("broken" if received else f"lost: {error}")
        if len(ended) >= CALLERS * POEMS // 3:
            third.set()

    with ThreadPoolExecutor(CALLERS) as callers:
        calls = callers.map(call, range(CALLERS * POEMS))
        assert third.wait(60)
        at_a_third()
        list(calls)
    return Counter(ended)


def requests_logged(child):
    """How many calls a server that has ended saw to their end."""
    return sum(json.loads(line)["message"] == "request" for line in child.stderr if line.endswith("}\n"))


@pytest.mark.parametrize("caller", [ByChannel, ByClient])
def test_no_call_is_lost_that_had_not_begun_when_a_server_is_killed(pair, caller):
    (first, second), addresses = pair
    client = caller("ipv4:" + ",".join(addresses))
    outcomes = load(client, first.kill)
    client.close()
    assert not [outcome for outcome in outcomes if outcome.startswith("lost")], outcomes
    # No more poems were under way on the one that was killed than there are callers.
    assert outcomes["broken"] <= CALLERS
    assert outcomes["finished"] >= CALLERS * (POEMS - 1)
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    assert requests_logged(second) >= CALLERS * POEMS // 2


def test_none_at_all_fails_when_a_server_is_told_to_stop(pair):
    (first, second), addresses = pair
    client = ByChannel("ipv4:" + ",".join(addresses))
    outcomes = load(client, lambda: first.send_signal(signal.SIGTERM))
    client.close()
    assert outcomes == {"finished": CALLERS * POEMS}
    assert first.wait(20) == 0
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    shares = requests_logged(first), requests_logged(second)
    assert sum(shares) >= CALLERS * POEMS
    assert min(shares) >= 4, shares


def test_the_example_writes_poems_from_both(pair, capsys, monkeypatch):
    children, addresses = pair
    target = "ipv4:" + ",".join(addresses)
    monkeypatch.setattr("sys.argv", ["balanced_client.py", target, "明月", "--poems", "6"])
    assert example().main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    for child in children:
        child.send_signal(signal.SIGTERM)
    assert [child.wait(20) for child in children] == [0, 0]
    assert min(map(requests_logged, children)) >= 1


def test_the_example_says_in_a_line_that_nobody_is_there(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["balanced_client.py", "ipv4:127.0.0.1:1", "明月"])
    assert example().main() == 1
    assert capsys.readouterr().err.startswith("UNAVAILABLE: ")
