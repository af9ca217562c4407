"""Give a poet's bundle graphs in eight bits, which a server takes on a CPU, and say what they cost.

    python -m models.training.round_poet --bundle bundles/t5 --corpus runs/corpus --out bundles/t5

They hold no weights: those of the bundle are rounded as ONNX Runtime loads them. The perplexity of 400
held-out poems, measured through ONNX Runtime, may be at most 1.01 times that of fp32; else nothing is
written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from models.bundle import Bundle, open_bundle, with_facts
from models.training.bundle_perplexity import held_out, verse_of
from models.training.corpus import load
from models.training.evaluate import keyword_sampler
from models.training.parity import ParityError, check_perplexity
from models.training.poet_bundle import with_int8

# Poems of each form that fp32 and eight bits are compared on.
_COMPARED = 100


def rounded(
    exact: Bundle,
    corpus: Path,
    keywords: Path,
    out: Path,
    *,
    make: Callable[[Bundle, Path], Bundle] = with_int8,
) -> Bundle:
    """What `make` makes of a bundle, written to `out`, with its perplexity over fp32's in the manifest.

    Raises ParityError.
    """
    sampler = keyword_sampler(keywords)
    poems = held_out(load(corpus, "validation"), per_form=_COMPARED)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = make(exact, Path(scratch) / "int8")
        ratio = check_perplexity(bundle, exact, [verse_of(poem, sampler) for poem in poems])
        print(f"int8: {ratio:.4f} times fp32's perplexity on {len(poems)} poems")
        stated = {**bundle.manifest["precision"], "perplexity_ratio": round(ratio, 5)}
        return with_facts(bundle, out, {"precision": stated})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.round_poet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bundle", type=Path, required=True, help="a bundle in fp16 or fp32")
    add("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    add("--out", type=Path, required=True, help="the bundle to write; may be the same")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    options = parser.parse_args(arguments)
    try:
        rounded(open_bundle(options.bundle, kind="poet"), options.corpus, options.keywords, options.out)
    except ParityError as error:
        print(f"{options.out} is not written: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
