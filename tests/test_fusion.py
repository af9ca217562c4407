import numpy as np
import pytest

from models.fusion import STEP, Fusion, context_key
from models.sampling import log_softmax
from models.tokenizer import SPECIAL_TOKENS, CharacterTokenizer
from models.training import ngram_arrays as module
from models.training.ngram_arrays import ngram_arrays
from models.training.quality.ngrams import NgramModel

CHARACTERS = "春江潮水连海平上明月共生"
LINES = ["春江潮水连海平", "海上明月共潮生", "春江明月", "春江春水", "春江潮水", "明月春水"]
TOKENIZER = CharacterTokenizer([*SPECIAL_TOKENS, *CHARACTERS])
SIZE = len(TOKENIZER)


def fusion(arrays=None, *, poet=0.0, ngram=1.0) -> Fusion:
    arrays = ngram_arrays(LINES, TOKENIZER) if arrays is None else arrays
    return Fusion(arrays, poet=poet, ngram=ngram, line_start=TOKENIZER.eos_id)


def fused(model: Fusion, logits: np.ndarray, line: str) -> np.ndarray:
    [changed] = rows = logits[np.newaxis].copy()
    model.fuse(rows, [TOKENIZER.encode(line)])
    return changed


def test_by_itself_it_is_the_ngram_model(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_COUNTS", {2: 1, 3: 1})
    rng = np.random.default_rng(1)
    odds = 1 / np.arange(1, len(CHARACTERS) + 1)
    lines = ["".join(rng.choice([*CHARACTERS], size=5, p=odds / odds.sum())) for _ in range(60)]
    expected = NgramModel(lines, order=3)
    model, ids = fusion(ngram_arrays(lines, TOKENIZER)), TOKENIZER.encode(CHARACTERS)
    for line in ["春江明月共潮", "月明海上", "水水水", *lines[:5]]:
        wanted = expected.log_probabilities([line])
        for place, character in enumerate(line):
            logits = fused(model, np.zeros(SIZE, dtype=np.float32), line[:place])
            found = log_softmax(logits[ids])[CHARACTERS.index(character)]
            # To half a step for each of two lifts; the unknown character's share is the n-gram model's alone.
            assert found == pytest.approx(wanted[place], abs=STEP + 0.02), (line, place)


def test_powers_multiply_each_model():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=SIZE).astype(np.float32)
    alone = fused(fusion(), np.zeros(SIZE, dtype=np.float32), "春江")
    mixed = fused(fusion(poet=0.8, ngram=0.4), logits, "春江")
    np.testing.assert_allclose(mixed, 0.8 * logits + 0.4 * alone, atol=1e-5)


def test_the_beginning_of_a_line_is_a_context():
    zero = np.zeros(SIZE, dtype=np.float32)
    first = fused(fusion(), zero, "")
    assert TOKENIZER.vocabulary[int(first.argmax())] == "春"
    # After 春 at the beginning of a line 江 always came; inside one it need not have.
    江, 水 = TOKENIZER.id_of("江"), TOKENIZER.id_of("水")
    begun, inside = fused(fusion(), zero, "春"), fused(fusion(), zero, "明月春")
    assert begun[江] - begun[水] > inside[江] - inside[水]


def test_what_was_never_seen_after_a_context_is_not_lifted():
    arrays = ngram_arrays(LINES, TOKENIZER)
    zero = np.zeros(SIZE, dtype=np.float32)
    after = fused(fusion(arrays), zero, "平")
    np.testing.assert_array_equal(after, arrays["unigrams"])
    # Nor after a character that the poet does not know.
    np.testing.assert_array_equal(fused(fusion(arrays), zero, "龙"), arrays["unigrams"])


def test_arrays_are_the_same_each_time_and_without_special_tokens():
    one, other = ngram_arrays(LINES, TOKENIZER), ngram_arrays(LINES, TOKENIZER)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert set(one["ids"].tolist()) <= {TOKENIZER.id_of(character) for character in CHARACTERS}
    assert (np.diff(one["contexts"].astype(np.int64)) > 0).all()
    assert context_key(SIZE, TOKENIZER.eos_id) in one["contexts"]
    for start, end in zip(one["starts"], one["starts"][1:], strict=False):
        assert len(set(one["ids"][start:end])) == end - start


def test_characters_that_the_vocabulary_lacks_are_left_out():
    small = CharacterTokenizer([*SPECIAL_TOKENS, *"春水"])
    arrays = ngram_arrays(LINES, small)
    assert len(arrays["unigrams"]) == len(small)
    assert set(arrays["ids"].tolist()) <= {small.id_of("春"), small.id_of("水")}


def test_what_does_not_fit_together_is_refused():
    arrays = ngram_arrays(LINES, TOKENIZER)
    with pytest.raises(ValueError, match="do not fit"):
        fusion({**arrays, "lifts": arrays["lifts"][1:]})
    with pytest.raises(ValueError, match="do not fit"):
        fusion({**arrays, "starts": arrays["starts"][1:]})


def test_a_vocabulary_that_is_too_large_is_refused():
    many = [chr(0x20000 + number) for number in range(0x10000)]
    with pytest.raises(ValueError, match="65535"):
        ngram_arrays(LINES, CharacterTokenizer([*SPECIAL_TOKENS, *many]))
