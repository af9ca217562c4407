"""Random requests to IndexAdminService: mostly near to what is allowed, and wrong in some place or none."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fuzzing import HAN, MUTATIONS, Call, message
from image2poem.v1 import index_admin_service_pb2 as pb

_NAMES = st.sampled_from(
    ["", ".", "..", "../", "/", "/etc/passwd", "CURRENT", "..\\x", "a\x00b", "versions", "秋" * 300, "%2e%2e"]
)
_WORDS = st.lists(st.text(st.sampled_from(HAN), min_size=1, max_size=4), min_size=1, max_size=30)
_LINES = _WORDS.map(lambda words: "\n".join(words).encode())
_LISTS = _LINES | _LINES | st.binary(max_size=300) | st.text(max_size=60).map(str.encode)
_WORD_LISTS = st.lists(st.text(st.sampled_from(HAN), max_size=4) | st.text(max_size=8), max_size=4)


def _now_and_then(strategy: Any) -> Any:
    return st.integers(0, 5).flatmap(lambda chance: strategy if chance == 0 else st.none())


_OPTIONS = message(
    pb.RebuildOptions,
    source=_now_and_then(st.sampled_from(["list.csv", "list.tsv", "list.jsonl", "list.xyz", "../../x.txt"])),
    all_words=_now_and_then(st.booleans()),
    stop_words=_now_and_then(_WORD_LISTS),
    simplified=_now_and_then(st.booleans()),
    subjects=_now_and_then(_WORD_LISTS),
    templates=_now_and_then(
        st.lists(st.sampled_from(["一幅有{}的画", "{}", "{}{}", "画", "{0}", "{x}"]), max_size=3)
    ),
    correction=_now_and_then(st.floats() | st.sampled_from([0.0, 0.5, 1.0])),
    kind=_now_and_then(st.sampled_from(["flat", "hnsw", "ivf_pq", "sq8", "octree"])),
)


@st.composite
def _parts(draw: Any) -> list[bytes]:
    """What a rebuild is sent: options and a list in parts; seldom in another order, or damaged."""
    first = pb.RebuildIndexRequest(options=draw(_OPTIONS))
    data = draw(_LISTS)
    cut = draw(st.integers(0, len(data)))
    parts = [first, *(pb.RebuildIndexRequest(list=part) for part in (data[:cut], data[cut:]))]
    chance = draw(st.integers(0, 7))
    if chance == 0:
        parts = parts[draw(st.integers(1, 3)) :]
    elif chance == 1:
        parts.append(first)
    found = [part.SerializeToString() for part in parts]
    if chance == 2:
        place = draw(st.integers(0, len(found) - 1))
        for mutate in draw(st.lists(MUTATIONS, min_size=1, max_size=3)):
            found[place] = mutate(found[place])
    return found


def versions(known: list[str]) -> st.SearchStrategy[Call]:
    """Lists, activations and roll-backs, of versions that there are and others."""
    names = st.sampled_from(known) | _NAMES | st.text(max_size=20)
    activations = names.map(lambda name: pb.ActivateIndexVersionRequest(version=name).SerializeToString())
    garbled = st.binary(max_size=40)
    return st.one_of(
        st.builds(Call, st.just("ActivateIndexVersion"), activations | activations | garbled),
        st.builds(Call, st.sampled_from(["ListIndexVersions", "RollBackIndex"]), st.just(b"") | garbled),
    )


rebuilds = st.builds(Call, st.just("RebuildIndex"), _parts())
