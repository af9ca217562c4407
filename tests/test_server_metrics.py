"""Metrics: what they count, a page that Prometheus's own parser reads, and nothing that was not asked for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from types import SimpleNamespace

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes import PICTURE, GatedPoet, eventually, snapshot
from image2poem import Client
from image2poem.v1 import poem_service_pb2 as pb
from models.batching import BatchStats
from models.continuous import StepStats
from models.shared_engine import EngineStats
from server.catalog import Catalog
from server.config import parse
from server.index_watch import IndexCounters
from server.metrics import Metrics
from test_server_process import process

COMPOSE = pb.ComposePoemRequest(picture=PICTURE, candidates=2, seed=1)
SERVICE = "image2poem.v1.PoemService"


@pytest.fixture
def metered(serve):
    return serve(metrics="127.0.0.1:0")


def page(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return answer.read().decode()


def read(address):
    """(name, labels) → value, as Prometheus reads it."""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page(address))
        for sample in family.samples
    }


def of(running):
    return read(running.app.observability.metrics_address)


def ended(running, method, code="OK", count=1):
    """Waits until so many calls have ended with the code: for the caller they end a moment earlier."""
    key = ("image2poem_requests_total", f"code={code}", f"method={method}", f"service={SERVICE}")
    return eventually(lambda: of(running).get(key) == count)


def test_requests_are_counted_by_method_and_code(metered):
    metered.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=PICTURE))
    for _ in range(2):
        with pytest.raises(grpc.RpcError):
            metered.stub.LookupKeywords(pb.LookupKeywordsRequest())
    assert ended(metered, "LookupKeywords")
    assert ended(metered, "LookupKeywords", "INVALID_ARGUMENT", 2)
    values = of(metered)
    assert values["image2poem_request_seconds_count", "method=LookupKeywords"] == 3
    assert values["image2poem_requests_in_flight", "method=LookupKeywords"] == 0
    assert values["image2poem_queue_seconds_count", "method=LookupKeywords"] == 1


def test_a_poem_gives_its_tokens_their_times_and_its_stages(metered):
    messages = list(metered.stub.ComposePoem(COMPOSE))
    assert ended(metered, "ComposePoem")
    values = of(metered)
    assert values["image2poem_tokens_total",] == 56 == sum(m.HasField("token") for m in messages)
    assert values["image2poem_first_token_seconds_count",] == 1
    assert values["image2poem_inter_token_seconds_count",] == 27
    assert values["image2poem_poems_total", "form=qijue", "poet=t5"] == 1
    for stage in ("encode", "search", "write", "rank"):
        assert values["image2poem_stage_seconds_count", "method=ComposePoem", f"stage={stage}"] == 1
    timings = messages[-1].finished.timings
    written = values["image2poem_stage_seconds_sum", "method=ComposePoem", "stage=write"]
    assert written == pytest.approx(timings.write_ms / 1000, rel=1e-3)


def test_what_is_in_use_is_read_when_somebody_looks(metered):
    values = of(metered)
    assert values["image2poem_info", "version=0.1.0"] == 1
    assert values["image2poem_ready",] == 1
    assert values["image2poem_index_info", "kind=flat", "version=index-1"] == 1
    assert values["image2poem_index_keywords",] == 12
    assert values["image2poem_provider_info", "model=fake", "provider=CPUExecutionProvider"] == 1
    assert values["image2poem_provider_info", "model=gpt2", "provider=CPUExecutionProvider"] == 1
    assert values["image2poem_lane_places", "lane=poems"] == 4
    assert values["process_resident_memory_bytes",] > 0
    metered.app.catalog.swap(snapshot(version="index-2"))
    assert ("image2poem_index_info", "kind=flat", "version=index-2") in of(metered)


def test_work_in_flight_shows(serve):
    poet = GatedPoet()
    poet.let(100)
    running = serve(poets={"t5": poet}, metrics="127.0.0.1:0", workers=1, waiting=3)
    while poet._gate.acquire(blocking=False):
        pass
    calls = [running.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE)) for _ in range(3)]
    state = ("lane=poems",)
    assert eventually(lambda: of(running)["image2poem_lane_waiting", *state] == 2)
    values = of(running)
    assert values["image2poem_lane_running", *state] == 1
    assert values["image2poem_requests_in_flight", "method=ComposePoem"] == 3
    for call in calls:
        call.cancel()
    poet.let(100)
    assert ended(running, "ComposePoem", "CANCELLED", 3)
    assert of(running)["image2poem_requests_in_flight", "method=ComposePoem"] == 0


def test_a_server_that_is_loading_says_so(serve):
    running = serve(metrics="127.0.0.1:0", late=True)
    values = of(running)
    assert values["image2poem_ready",] == 0
    assert not any(key[0] == "image2poem_index_info" for key in values)
    with pytest.raises(grpc.RpcError):
        list(running.stub.ComposePoem(COMPOSE))
    assert ended(running, "ComposePoem", "UNAVAILABLE")


def test_batches_and_changes_of_the_index():
    catalog, loaded = Catalog(), snapshot()
    loaded.encoder.stats = {"text": BatchStats(sizes={2: 4})}
    loaded.poets["t5"].stats = EngineStats(BatchStats(), StepStats(sizes={1: 5, 3: 2, 300: 1}))
    catalog.swap(loaded)
    counters = IndexCounters(swaps=2, refusals=Counter(corrupt=1), load_seconds=0.5, retired=1)
    value = Metrics(catalog, index=counters).registry.get_sample_value
    steps = {"model": "t5", "work": "step"}
    assert value("image2poem_batch_rows_bucket", {**steps, "le": "2"}) == 5
    assert value("image2poem_batch_rows_bucket", {**steps, "le": "4"}) == 7
    assert value("image2poem_batch_rows_count", steps) == 8
    assert value("image2poem_batch_rows_sum", steps) == 311
    assert value("image2poem_batch_rows_sum", {"model": "fake", "work": "text"}) == 8
    assert value("image2poem_index_reloads_total", {"result": "swapped"}) == 2
    assert value("image2poem_index_reloads_total", {"result": "corrupt"}) == 1
    assert value("image2poem_index_reloads_total", {"result": "missing"}) == 0
    assert value("image2poem_index_retired") == 1


def test_two_servers_in_one_process_count_apart(serve):
    first, second = serve(metrics="127.0.0.1:0"), serve(metrics="127.0.0.1:0")
    list(first.stub.ComposePoem(COMPOSE))
    assert ended(first, "ComposePoem")
    assert of(second)["image2poem_tokens_total",] == 0


def test_a_running_process_shows_its_metrics_and_a_taken_port_is_one_clear_line():
    with process("--metrics", "0", "--log-format", "json", "--log-poems") as child:
        target = json.loads(child.stdout.readline())["address"]
        lines = iter(child.stderr.readline, "")
        address = next(fact["metrics"] for fact in map(json.loads, lines) if fact["message"] == "serving")
        assert address.startswith("127.0.0.1:")
        assert "image2poem_ready 1.0" in page(address)
        with process("--metrics", address) as other:
            out, err = other.communicate(timeout=20)
            assert (other.returncode, out) == (1, "")
            [complaint] = [line for line in err.splitlines() if line.startswith("server: ")]
            assert f"cannot show metrics on {address}" in complaint
        with Client(target) as client:
            [*_, last] = client.compose(keywords=["明月"])
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        [line] = [fact for fact in map(json.loads, child.stderr) if fact["message"] == "request"]
        assert (line["keywords"], line["poem"]) == ("明月", "，".join(last.poem))


def test_no_library_is_loaded_for_what_nobody_asked_for():
    code = (
        "import sys, server.app; from server.config import Config; server.app.Observability(Config())"
        "; sys.exit(bool({'prometheus_client', 'opentelemetry'} & {m.split('.')[0] for m in sys.modules}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )


@pytest.mark.parametrize(
    ("given", "address"),
    [("none", None), ("9464", "127.0.0.1:9464"), ("0.0.0.0:9464", "0.0.0.0:9464"), ("[::1]:0", "[::1]:0")],
)
def test_metrics_are_on_loopback_unless_a_host_is_named(given, address):
    assert parse(["--metrics", given], {}).metrics == address
    assert parse([], {}).metrics is None


@pytest.mark.parametrize(
    "arguments", [["--metrics", "all"], ["--metrics", "host:99999"], ["--traces", "localhost:4317"]]
)
def test_wrong_addresses_are_told(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        parse(arguments, {})
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_stages_that_others_add_have_labels_of_their_own():
    metrics = Metrics(Catalog())
    request = SimpleNamespace(
        method="ComposePoem",
        service=SERVICE,
        code="OK",
        seconds=1.0,
        laps=SimpleNamespace(laps=[("queue", 0.0, 0.25), ("join", 0.25, 1.0)]),
    )
    metrics.began(request, {})
    metrics.ended(request)
    labels = {"method": "ComposePoem", "stage": "join"}
    assert metrics.registry.get_sample_value("image2poem_stage_seconds_sum", labels) == 0.75
