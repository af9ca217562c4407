import numpy as np
import pytest

from models.tokenizer import SPECIAL_TOKENS, CharacterTokenizer
from models.wishes import Bonus, Wishes

TOKENIZER = CharacterTokenizer([*SPECIAL_TOKENS, *"明月故乡春江潮水"])


def wished(keywords, line, lines=(), *, length=5):
    """The characters that get a bonus, and how much."""
    weights = np.zeros(len(TOKENIZER), dtype=np.float32)
    wishes = Wishes(keywords, TOKENIZER, length=length, bonus=Bonus(first=2.0, next=3.0))
    wishes.add(weights, lines, line)
    return {TOKENIZER.vocabulary[index]: float(weights[index]) for index in np.flatnonzero(weights)}


def test_each_keyword_may_begin():
    assert wished(["明月", "故乡"], "") == {"明": 2.0, "故": 2.0}
    assert wished(["明月", "明", "春"], "水") == {"明": 2.0, "春": 2.0}


def test_one_that_was_begun_goes_on():
    assert wished(["明月", "故乡"], "春明") == {"月": 3.0}
    assert wished(["春江潮", "江水"], "明春江") == {"潮": 3.0, "水": 3.0}


def test_one_without_room_is_not_wished():
    assert wished(["明月", "春"], "潮水潮水") == {"春": 2.0}
    assert wished(["春江潮"], "水水春江", length=4) == {}
    assert wished(["春江潮"], "水春江", length=4) == {"潮": 3.0}


def test_a_line_is_wished_one_keyword_and_a_poem_each_once():
    assert wished(["明月", "故乡"], "明月") == {}
    assert wished(["明月", "故乡"], "", ["明月春江水"]) == {"故": 2.0}
    assert wished(["明月", "故乡"], "明月", ["明月春江水"]) == {"故": 2.0}


def test_what_the_poet_cannot_write_is_not_wished():
    assert wished(["龙舟", "明"], "") == {"明": 2.0}
    assert wished([], "") == {}


def test_what_is_forbidden_stays_so():
    weights = np.full(len(TOKENIZER), -np.inf, dtype=np.float32)
    Wishes(["明月"], TOKENIZER, length=5, bonus=Bonus()).add(weights, [], "")
    assert np.isneginf(weights).all()


@pytest.mark.parametrize("line", ["", "明"])
def test_without_a_bonus_nothing_changes(line):
    weights = np.zeros(len(TOKENIZER), dtype=np.float32)
    Wishes(["明月"], TOKENIZER, length=5, bonus=Bonus(first=0.0, next=0.0)).add(weights, [], line)
    assert not weights.any()
