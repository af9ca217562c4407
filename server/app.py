"""The composition root: puts the parts together, starts them, and stops them in good order.

The port is open from the start, with health NOT_SERVING and UNAVAILABLE (NOT_READY) for every call, until
models and index are loaded and warm. Stopping: NOT_SERVING first, then no new work, then the end of
running work or of the grace period, whichever is sooner.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from PIL import Image

from image2poem.v1 import poem_service_pb2_grpc
from index_builder.artifact import IndexMissing, open_published
from models.bundle import open_bundle
from models.choice import LineJudge
from models.clip import Encoder
from models.poet import Poet
from models.prosody import FORMS, RHYME_BOOKS, parallelism, rhyme_book
from models.sampling import Sampling
from models.sources import KIND as SOURCES_KIND
from models.sources import Sources
from server import telemetry
from server.catalog import Catalog, Snapshot
from server.config import Config
from server.errors import Boundary
from server.scheduling import Lane
from server.service import SERVICE_NAME, PoemService

_HEALTH_NAMES = ("", SERVICE_NAME)
_RETRY_POEM_MS, _RETRY_LOOKUP_MS = 500, 100


class CannotListen(Exception):
    """The address is taken, or not ours."""


class App:
    """A server with everything that it needs. Create and use it inside one event loop.

    Attributes:
        address: the bound HOST:PORT, after `listen`.
        catalog: what requests work with; a newer snapshot may be swapped in.
        poems, lookups: the lanes of work.
    """

    def __init__(self, config: Config, *, load: Callable[[Config], Snapshot] | None = None) -> None:
        """`load` makes the snapshot, in a thread; `load_snapshot` where none is given."""
        self._config = config
        self._load = load or load_snapshot
        self.catalog = Catalog()
        self._health = health.aio.HealthServicer()
        self.poems = Lane(
            "poems", workers=config.workers, waiting=config.waiting, retry_after_ms=_RETRY_POEM_MS
        )
        self.lookups = Lane(
            "lookups", workers=config.workers, waiting=config.waiting, retry_after_ms=_RETRY_LOOKUP_MS
        )
        self._server = self._assemble()
        self.address = ""

    def _assemble(self) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=[Boundary()], options=_options(self._config))
        service = PoemService(
            self.catalog,
            poems=self.poems,
            lookups=self.lookups,
            max_message_bytes=self._config.max_message_bytes,
            line_choices=self._config.line_choices,
            line_similarity=self._config.line_similarity,
        )
        poem_service_pb2_grpc.add_PoemServiceServicer_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._config.reflection:
            names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        return server

    async def listen(self) -> None:
        """Open the port, NOT_SERVING. Raises CannotListen."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            port = self._server.add_insecure_port(self._config.listen)
        except RuntimeError as error:
            raise CannotListen(f"cannot listen on {self._config.listen}: is it taken?") from error
        await self._server.start()
        self.address = f"{self._config.listen.rpartition(':')[0]}:{port}"

    async def make_ready(self) -> None:
        """Load and warm up off the event loop, then serve. Raises what loading raises."""
        started = time.perf_counter()
        snapshot = await asyncio.to_thread(self._load, self._config)
        await asyncio.to_thread(warm_up, snapshot)
        self.catalog.swap(snapshot)
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        telemetry.event("serving", **_facts(snapshot, self.address), seconds=time.perf_counter() - started)

    async def drain(self) -> None:
        """Stop in good order; returns when nothing runs any more."""
        telemetry.event("draining", grace_seconds=self._config.grace)
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._config.drain_wait)
        self.poems.close()
        self.lookups.close()
        await self.stop(self._config.grace)
        telemetry.event("stopped")

    async def stop(self, grace: float | None = None) -> None:
        """Stop at once, or when what runs has ended but `grace` seconds from now at the latest."""
        await self._server.stop(grace)
        self.poems.shutdown()
        self.lookups.shutdown()

    async def _set_health(self, status: int) -> None:
        for name in _HEALTH_NAMES:
            await self._health.set(name, status)


def load_snapshot(config: Config) -> Snapshot:
    """Open bundles and the published index; every hash is checked.

    Raises CorruptArtifact, IndexMissing, EncoderMismatch or ProviderUnavailable, each with a line of advice.
    """
    bundle = open_bundle(config.encoder, kind="encoder")
    encoder = Encoder.open(bundle, provider=config.provider, threads=config.encoder_threads)
    try:
        index = open_published(config.index, encoder_fingerprint=encoder.fingerprint)
    except IndexMissing as error:
        raise IndexMissing(f"{error}; {_advice(config)}") from error
    poets = {
        name: Poet.open(open_bundle(path, kind="poet"), provider=config.provider, threads=config.poet_threads)
        for name, path in config.poet
    }
    sources = Sources.open(open_bundle(config.sources, kind=SOURCES_KIND)) if config.sources else None
    return Snapshot(index=index, encoder=encoder, poets=poets, sources=sources)


def warm_up(snapshot: Snapshot) -> None:
    """Go every way that a request goes once: first runs allocate and read tables, and are slow."""
    for name in RHYME_BOOKS:
        rhyme_book(name)
    parallelism()
    if snapshot.sources:
        snapshot.sources.prepare()
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (127, 127, 127)).save(picture, "JPEG")
    vector = snapshot.encoder.encode_pictures([picture.getvalue()])[0]
    snapshot.encoder.encode_texts(["春风"])
    keywords = [keyword.text for keyword in snapshot.index.diverse(vector, 8)]
    judge = LineJudge(query=vector, encode=snapshot.encoder.encode_texts)
    for poet in snapshot.poets.values():
        form = FORMS[poet.forms[0]]
        for _ in poet.compose(
            keywords,
            form=form,
            sampling=Sampling(),
            seed=0,
            line_choices=2,
            judge=judge,
            stopped=lambda: False,
        ):
            pass


def _options(config: Config) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        # Two servers on one port would share its connections silently.
        ("grpc.so_reuseport", 0),
        # By default, two pings inside five minutes end a connection: clients behind NATs need more.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _advice(config: Config) -> str:
    return (
        "build one with `make index`, or with `python -m index_builder build --publish "
        f"--keywords index_builder/data/keywords.tsv --encoder {config.encoder} --out {config.index}`"
    )


def _facts(snapshot: Snapshot, address: str) -> dict[str, object]:
    return {
        "address": address,
        "index_version": snapshot.index.version,
        "keywords": snapshot.index.count,
        "encoder": snapshot.encoder.name,
        "poets": ",".join(snapshot.poets),
        "providers": ",".join(snapshot.encoder.providers),
        "sources": snapshot.sources.layout.lines if snapshot.sources else "none",
    }
