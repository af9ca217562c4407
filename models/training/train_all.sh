#!/usr/bin/env bash
# From the npm package to the shipped bundles. Needs npm; the weights go to $RUNS and then to models/bundles.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${PYTHON:=python3}" "${RUNS:=runs}" "${MINUTES:=90}"

mkdir -p "$RUNS"
if [ ! -d "$RUNS/package" ]; then
    (cd "$RUNS" && npm pack --silent chinese-poetry@2.0.1 && tar xzf chinese-poetry-2.0.1.tgz)
fi
[ -f "$RUNS/corpus/corpus.json" ] ||
    "$PYTHON" -m models.training.corpus --package "$RUNS/package" --out "$RUNS/corpus"
"$PYTHON" -m models.training.keywords --corpus "$RUNS/corpus" --out index_builder/data/keywords.tsv
"$PYTHON" -m models.training.sources --corpus "$RUNS/corpus" --package "$RUNS/package" --out models/bundles/sources
# Its image tower in eight bits needs the labelled pictures too: docs/lite.md.
"$PYTHON" -m models.training.lite build --package "$RUNS/package" --out models/bundles/lite
# Large tensors come and go at each step: without these the allocator hands them back, and pages in new ones.
export MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=500000000
for arch in gpt2 t5; do
    "$PYTHON" -m models.training.train --arch "$arch" --corpus "$RUNS/corpus" \
        --keywords index_builder/data/keywords.tsv --out "$RUNS/$arch" --minutes "$MINUTES" \
        --layers "$([ "$arch" = gpt2 ] && echo 6 || echo 4)" --optimizer muon --accumulate 2
    "$PYTHON" -m models.training.export_poet --run "$RUNS/$arch" --corpus "$RUNS/corpus" --out "models/bundles/$arch"
    "$PYTHON" -m models.training.calibrate_poet --bundle "models/bundles/$arch" --corpus "$RUNS/corpus" \
        --out "models/bundles/$arch" --count 200 --rounds 5 --strength 2
    "$PYTHON" -m models.training.evaluate --bundle "models/bundles/$arch" --corpus "$RUNS/corpus" --record
done
