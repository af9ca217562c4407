"""The commands `build` and `keywords`: from options to a list, an encoder and a new version."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index_builder import artifact
from index_builder.build import EmbeddingOptions, build_version
from index_builder.embedding import ENSEMBLE, PLAIN, Encode
from index_builder.embedding_processes import open_encoder, spread
from index_builder.keywords import DroppedLine, KeywordList, read_keywords
from index_builder.kinds import IndexKind, choose_kind
from index_builder.progress import progress

if TYPE_CHECKING:
    from models.clip import Encoder

_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def check_list(options: argparse.Namespace) -> None:
    """Read a list, say what is left and what is dropped."""
    words = _read(options)
    if options.json:
        facts = {"keywords": len(words.words), "dropped": dict(words.dropped), "sha256": words.sha256}
        print(json.dumps({"source": words.source, **facts}, ensure_ascii=False))
    else:
        print(_summary(words))


def build(options: argparse.Namespace) -> None:
    """Build a version, and publish it where that is asked for."""
    # Here, because the other commands need no ONNX Runtime.
    from models.bundle import open_bundle
    from models.clip import Encoder

    words = _read(options)
    started = time.perf_counter()
    encoder = Encoder.open(open_bundle(options.encoder, kind="encoder"), provider=options.provider)
    with progress(len(words.words)) as report, _encoding(options) as encode:
        version = build_version(
            words,
            encoder,
            root=options.root,
            batch=options.batch,
            kind=_kind(options, len(words.words)),
            embedding=_embedding(options, encoder),
            use_cache=not options.no_cache,
            encode=encode,
            report=report,
        )
    seconds = time.perf_counter() - started
    if options.publish:
        artifact.publish(options.root, version, min_recall=options.min_recall)
    _print_built(options, words, version, seconds=seconds)


def _read(options: argparse.Namespace) -> KeywordList:
    words = read_keywords(
        options.keywords,
        all_words=options.all_words,
        stop_lists=options.stop_list,
        script=options.script,
        subjects=options.subject,
    )
    if options.dropped:
        _write_dropped(options.dropped, words.dropped_lines)
    return words


def _write_dropped(path: Path, lines: Sequence[DroppedLine]) -> None:
    rows = (f"{line.number}\t{line.reason}\t{_printable(line.text)}\n" for line in lines)
    path.write_text("line\treason\ttext\n" + "".join(rows), encoding="utf-8")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _summary(words: KeywordList) -> str:
    dropped = ", ".join(f"{reason} {count}" for reason, count in words.dropped.items()) or "none"
    return f"{words.source}: {len(words.words)} keywords; dropped: {dropped}"


def _kind(options: argparse.Namespace, count: int) -> IndexKind | None:
    if options.kind is None and not options.set:
        return None
    return IndexKind(kind=options.kind or choose_kind(count).kind, parameters=dict(options.set))


def _embedding(options: argparse.Namespace, encoder: Encoder) -> EmbeddingOptions:
    templates: tuple[str, ...] = ENSEMBLE if options.ensemble else (PLAIN,)
    if options.templates:
        templates = tuple(options.templates.read_text(encoding="utf-8-sig").split("\n"))
        templates = tuple(template.strip() for template in templates if template.strip())
    reference = _mean_picture(options.reference, encoder) if options.reference else None
    return EmbeddingOptions(templates=templates, correction=options.correction, reference=reference)


def _mean_picture(folder: Path, encoder: Encoder) -> np.ndarray:
    """The mean vector of the pictures in a folder. Raises InvalidImage, OSError where there is none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{folder}: no pictures ({', '.join(_PICTURE_SUFFIXES)}) are here")
    total = np.zeros(encoder.dimension)
    for path in paths:
        total += encoder.encode_pictures([path.read_bytes()])[0]
    return np.asarray(total / len(paths), np.float32)


@contextmanager
def _encoding(options: argparse.Namespace) -> Iterator[Encode | None]:
    processes = len(options.gpus) or options.processes
    if processes == 1 and not options.gpus:
        yield None
        return
    opener = partial(open_encoder, options.encoder.absolute(), options.provider, 0 if options.gpus else 1)
    with spread(opener, processes, gpus=options.gpus) as encode:
        yield encode


def _print_built(options: argparse.Namespace, words: KeywordList, version: str, *, seconds: float) -> None:
    manifest = artifact.read_version(options.root, version, check_files=False)
    if options.json:
        print(json.dumps({"version": version, "published": options.publish, **manifest}, ensure_ascii=False))
        return
    print(_summary(words))
    recall, kind = manifest["recall"], manifest["index"]
    parameters = "".join(f", {name} {value}" for name, value in kind["parameters"].items())
    print(
        f"{version}: {kind['kind']}{parameters}; {manifest['dimension']} dimensions, "
        f"recall@{recall['k']} {recall['value']}"
    )
    print(f"built in {seconds:.1f} s" + (", published" if options.publish else ", not published"))
