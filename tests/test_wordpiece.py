"""WordPiece in plain Python against transformers' BertTokenizer and cn-clip's: the same ids for any text."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from transformers import BertTokenizer

from cn_clip_package import cn_clip
from models.wordpiece import WordPiece

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ASCII = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
_WORDS = [
    "moon",
    "moonlight",
    "##light",
    "##ing",
    "##s",
    "river",
    "emoji",
    "qq",
    "2024",
    "##20",
    "poem",
    "の",
    "한",
]
_KANA = [chr(code) for code in range(0x3041, 0x30FF)]
_CHINESE = [chr(code) for code in range(0x4E00, 0x9FA6) if code % 7 != 6]
_SIGNS = "，。、；：？！「」《》（）…—·“”‘’😀❤🌙①ασб"
_INSIDE = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789月山水ασбの"]
VOCABULARY = [*SPECIAL, *dict.fromkeys([*_ASCII, *_WORDS, *_KANA, *_CHINESE, *_SIGNS, *_INSIDE])]

_CLUSTERS = [
    "👩‍👩‍👧",
    "❤️",
    "🇨🇳",
    "1️⃣",
    "👍🏽",
    "é",
    "e\u0301",
    "ß",
    "Ω",
    "の",
    "ガ",
    "한",
    "ﬁ",
    "㈱",
    "Ⅳ",
    "½",
]
_INVISIBLE = [
    "\u200b",
    "\ufeff",
    "\u00ad",
    "\u200d",
    "\ufe0f",
    "\0",
    "\ufffd",
    "\x07",
    "\ue000",
    "\u2028",
    "\u00a0",
]


def pools(rng: random.Random) -> list[Callable[[], str]]:
    """What texts are drawn from."""
    return [
        lambda: rng.choice("明月山水江湖春花楼台"),
        lambda: chr(rng.randint(0x4E00, 0x9FFF)),
        lambda: chr(rng.choice([rng.randint(0x3400, 0x4DBF), rng.randint(0x20000, 0x2A6DF)])),
        lambda: chr(rng.randint(33, 126)),
        lambda: rng.choice("abcdefgMOON "),
        lambda: rng.choice(" \t\n\r\u3000，。！？「」《》—…·"),
        lambda: chr(rng.randint(0x1F300, 0x1FAFF)),
        lambda: rng.choice(_CLUSTERS),
        lambda: rng.choice(_INVISIBLE),
        lambda: chr(rng.randint(0xC0, 0x24F)),
        lambda: rng.choice(VOCABULARY),
        lambda: "moonlight" * rng.randint(1, 14),
    ]


def texts(count: int) -> list[str]:
    rng = random.Random(0)
    every = pools(rng)
    drawn = []
    for _ in range(count):
        kinds = rng.sample(every, rng.choice([1, 2, 4]))
        length = rng.randint(0, rng.choice([1, 3, 8, 20, 60, 200]))
        drawn.append("".join(rng.choice(kinds)() for _ in range(length)))
    return drawn


def test_ids_of_ten_thousand_texts_are_those_of_transformers() -> None:
    theirs = BertTokenizer(vocab={token: place for place, token in enumerate(VOCABULARY)})
    ours = WordPiece(VOCABULARY, added=SPECIAL)
    drawn = texts(10_000)
    expected = theirs(drawn, truncation=True, max_length=52)["input_ids"]
    differing = [text for text, ids in zip(drawn, expected, strict=True) if ours(text) != ids]
    assert differing == []
    assert sum(len(ids) == 52 for ids in expected) > 500
    assert sum(len(ids) > 4 for ids in expected) > 4_000


def test_ids_of_two_thousand_texts_are_those_of_cn_clip(tmp_path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    theirs = cn_clip("clip.bert_tokenizer").FullTokenizer(str(tmp_path / "vocab.txt"))
    ours = WordPiece(VOCABULARY, longest_word=200)
    for text in texts(2_000):
        if "\ue000" in text:
            continue  # A private character: transformers drops it, cn-clip takes it for a letter.
        pieces = theirs.convert_tokens_to_ids(theirs.tokenize(text))
        assert ours(text) == [theirs.vocab["[CLS]"], *pieces[:50], theirs.vocab["[SEP]"]], text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("明月", ["明", "月"]),
        ("Moonlight，明月", ["moonlight", "，", "明", "月"]),
        ("moons", ["moon", "##s"]),
        ("moon月", ["moon", "月"]),
        ("MÖÖN", ["moon"]),
        ("a" * 101, ["[UNK]"]),
        ("[MASK]月", ["[", "mask", "]", "月"]),
        ("", []),
        ("\u200b \t", []),
    ],
)
def test_words_and_pieces(text: str, tokens: list[str]) -> None:
    vocabulary = [*VOCABULARY, "mask"]
    ids = WordPiece(vocabulary)(text)
    assert [vocabulary[place] for place in ids] == ["[CLS]", *tokens, "[SEP]"]


@pytest.mark.parametrize("limit", [2, 3, 10])
def test_long_texts_keep_their_end_token(limit: int) -> None:
    ids = WordPiece(VOCABULARY, limit=limit)("月" * 500)
    assert len(ids) == limit
    assert (VOCABULARY[ids[0]], VOCABULARY[ids[-1]]) == ("[CLS]", "[SEP]")


def test_an_endless_text_is_read_as_far_as_it_counts() -> None:
    assert len(WordPiece(VOCABULARY)("moonlight " * 10_000)) == 52


def test_a_vocabulary_without_its_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[CLS\], \[SEP\]"):
        WordPiece(["[UNK]", "月"])
