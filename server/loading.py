"""Opening and warming up what requests work with, off the event loop."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from models.bundle import open_bundle
from models.choice import LineJudge
from models.clip import Encoder
from models.poet import Poet
from models.prosody import FORMS, RHYME_BOOKS, parallelism, rhyme_book
from models.sampling import Sampling
from models.sources import KIND as SOURCES_KIND
from models.sources import Sources
from server.catalog import Snapshot
from server.config import Config
from server.index_source import index_source, load_published

# Pillow warns of damaged pictures with numbers from inside of them, and Python remembers each text.
warnings.filterwarnings("ignore", module=r"PIL\.")


def load_snapshot(config: Config) -> Snapshot:
    """Open bundles and the published index; every hash is checked.

    Raises CorruptArtifact, IndexMissing, IndexUnreachable, EncoderMismatch or ProviderUnavailable, each with
    a line of advice.
    """
    bundle = open_bundle(config.encoder, kind="encoder")
    encoder = Encoder.open(
        bundle,
        provider=config.provider,
        threads=config.encoder_threads,
        int8=config.int8,
        batching=config.batching,
    )
    index = load_published(
        index_source(config), encoder_fingerprint=encoder.fingerprint, advice=_advice(config)
    )
    poets = {
        name: Poet.open(
            open_bundle(path, kind="poet"),
            provider=config.provider,
            threads=config.poet_threads,
            int8=config.int8,
            batching=config.batching,
        )
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


def _advice(config: Config) -> str:
    """How an index gets into the folder; Milvus has its own words."""
    if config.milvus is not None:
        return ""
    return (
        "build one with `make index`, or with `python -m index_builder build --publish "
        f"--keywords index_builder/data/keywords.tsv --encoder {config.encoder} --out {config.index}`"
    )


def facts(snapshot: Snapshot) -> dict[str, object]:
    """What a snapshot holds, for the log."""
    return {
        "index_version": snapshot.index.version,
        "keywords": snapshot.index.count,
        "encoder": snapshot.encoder.name,
        "poets": ",".join(snapshot.poets),
        "providers": ",".join(snapshot.encoder.providers),
        "sources": snapshot.sources.layout.lines if snapshot.sources else "none",
    }
