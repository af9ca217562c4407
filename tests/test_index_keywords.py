"""Keyword lists: formats, cleaning, counts of what is dropped, errors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from index_builder.keywords import (
    MAX_CHARACTERS,
    DroppedLine,
    InvalidKeywordList,
    normalize,
    parse_keywords,
    read_keywords,
    simplified,
)


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_plain_text_is_cleaned_and_every_dropped_line_counted(tmp_path: Path) -> None:
    long = "山" * (MAX_CHARACTERS + 1)
    path = _write(tmp_path, "list.txt", f"明月\n\n 秋江 \nmoon\n明月\n{long}\n山\t水\n   \n123\nA月\n")
    found = read_keywords(path)
    assert found.words == ("明月", "秋江", "A月")
    assert found.dropped == {
        "control_character": 1,
        "duplicate": 1,
        "empty": 2,
        "not_chinese": 2,
        "too_long": 1,
    }
    assert found.source == "list.txt"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", ["\ufeff明月\r\n秋江\r\n", "明月\n秋江", "\n明月\u2028秋江\n\n"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path, text: str) -> None:
    assert read_keywords(_write(tmp_path, "list", text)).words == ("明月", "秋江")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("　明月　", "明月"),  # ideographic spaces
        ("\u200b明\u200d月\ufeff", "明月"),  # zero-width characters
        ("凉\ufa5b", "凉者"),  # a compatibility ideograph
        ("Ａ月", "A月"),  # full width
    ],
)
def test_words_are_normalized(raw: str, clean: str) -> None:
    assert normalize(raw) == clean


@pytest.mark.parametrize("word", ["㐂", "〇", "𠮷", "\U00030000"])
def test_rare_characters_are_chinese(tmp_path: Path, word: str) -> None:
    assert read_keywords(_write(tmp_path, "list.txt", word)).words == (word,)


def test_duplicates_are_found_after_normalization(tmp_path: Path) -> None:
    found = read_keywords(_write(tmp_path, "list.txt", "明月\n\u200b明月\n　明月\n"))
    assert (found.words, found.dropped) == (("明月",), {"duplicate": 2})


TABLE = 'word\tcount\tcategory\tvisual\n明月\t9\tsky\t1\n相思\t7\tmood\t0\n\n"舟\t5\tboat\t1\n'


def test_a_table_leaves_out_what_cannot_be_seen(tmp_path: Path) -> None:
    path = _write(tmp_path, "list.tsv", TABLE)
    assert read_keywords(path).words == ("明月", '"舟')
    assert read_keywords(path).dropped == {"empty": 1, "not_visual": 1}
    assert read_keywords(path, all_words=True).words == ("明月", "相思", '"舟')


@pytest.mark.parametrize(
    "text",
    ['Visual,Word\n1,明月\n0,相思\n1,"秋,江"\n', 'count,word\n1,明月\n2,"秋,江"\n', "word\n明月\n秋,江\n"],
)
def test_columns_are_found_by_name_and_visual_may_be_missing(tmp_path: Path, text: str) -> None:
    assert "明月" in read_keywords(_write(tmp_path, "list.CSV", text)).words
    assert "相思" not in read_keywords(_write(tmp_path, "list.csv", text)).words


def test_a_quoted_line_break_does_not_get_into_a_word(tmp_path: Path) -> None:
    found = read_keywords(_write(tmp_path, "list.csv", 'word\n"明\n月"\n秋江\n'))
    assert (found.words, found.dropped) == (("秋江",), {"control_character": 1})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.txt", "", "no lines"),
        ("list.txt", "moon\nsun\n", "not_chinese 2"),
        ("list.txt", "word\tcount\n明月\t9\n", "control_character 1"),
        ("list.tsv", "", "header"),
        ("list.tsv", "明月\t1\n", "header"),
        ("list.tsv", "word\tvisual\n明月\tyes\n", "line 2"),
        ("list.tsv", "word\tvisual\n明月\n", "line 2"),
        ("list.tsv", "word\tvisual\n相思\t0\n", "not_visual 1"),
        ("list.csv", "word\n" + "山" * 200_000, "line"),
        ("list.csv", "word,weight\n明月,heavy\n", "line 2: `weight`"),
        ("list.csv", "word,weight\n明月,0\n", "line 2: `weight`"),
        ("list.csv", "word,weight\n明月,nan\n", "line 2: `weight`"),
        ("list.csv", "word,weight\n明月,11\n", "line 2: `weight`"),
        ("list.jsonl", "", "empty 1"),
        ("list.jsonl", '"明月"\n{\n', "line 2: not JSON"),
        ("list.jsonl", "[1]\n", "line 1: must be a string or an object"),
        ("list.jsonl", '{"text": "明月"}\n', "line 1: must be a string or an object"),
        ("list.jsonl", '{"word": 7}\n', "line 1: must be a string or an object"),
        ("list.jsonl", '{"word": "明月", "subject": 7}\n', "line 1: `subject`"),
        ("list.jsonl", "[" * 100_000, "line 1: not JSON"),
    ],
)
def test_a_list_that_is_no_list_is_an_error_that_says_why(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(InvalidKeywordList, match=message):
        read_keywords(_write(tmp_path, name, text))


def test_other_encodings_and_missing_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    with pytest.raises(InvalidKeywordList, match="cannot read"):
        read_keywords(path)
    with pytest.raises(InvalidKeywordList, match="cannot read"):
        read_keywords(tmp_path)
    path.write_bytes("明月\n".encode("gb18030"))
    with pytest.raises(InvalidKeywordList, match="UTF-8"):
        read_keywords(path)


def test_json_lines_are_words_or_objects(tmp_path: Path) -> None:
    lines = [
        '"明月"',
        '{"word": "秋江", "weight": 1.5, "subject": ["夜月", "秋"]}',
        '{"word": "相思", "visual": false}',
        "",
        '{"word": "孤舟", "visual": 1}',
    ]
    path = _write(tmp_path, "list.jsonl", "\n".join(lines))
    found = read_keywords(path)
    assert found.words == ("明月", "秋江", "孤舟")
    assert found.weights == (1.0, 1.5, 1.0)
    assert found.dropped_lines == (
        DroppedLine(number=3, text="相思", reason="not_visual"),
        DroppedLine(number=4, text="", reason="empty"),
    )
    assert read_keywords(path, subjects=["秋"]).words == ("秋江",)
    assert read_keywords(path, subjects=["秋"]).dropped["other_subject"] == 2


def test_weights_and_subjects_of_a_table(tmp_path: Path) -> None:
    table = "word,weight,subject\n明月,2,夜月|秋\n孤舟,,行旅\n青山,1,\n"
    path = _write(tmp_path, "list.csv", table)
    assert read_keywords(path).weights == (2.0, 1.0, 1.0)
    assert read_keywords(path, subjects=["行旅"]).words == ("孤舟",)
    assert read_keywords(path, subjects=["行旅"]).weights == ()
    assert read_keywords(path, subjects=["行旅", "夜月"]).words == ("明月", "孤舟")


def test_stop_lists_leave_words_out_in_either_script(tmp_path: Path) -> None:
    path = _write(tmp_path, "list.txt", "明月\n楼台\n秋江\n")
    stop = _write(tmp_path, "stop.csv", "word\n樓臺\n")
    more = _write(tmp_path, "more.txt", " 秋江 \n")
    found = read_keywords(path, stop_lists=[stop, more])
    assert (found.words, found.dropped) == (("明月",), {"stopped": 2})


def test_of_two_words_that_differ_in_script_the_first_stays() -> None:
    assert simplified("樓臺憐") == "楼台怜"
    data = "樓臺\n楼台\n憐花\n".encode()
    as_is = parse_keywords(data)
    assert (as_is.words, as_is.dropped) == (("樓臺", "憐花"), {"other_script": 1})
    turned = parse_keywords(data, script="simplified")
    assert (turned.words, turned.dropped) == (("楼台", "怜花"), {"duplicate": 1})
    with pytest.raises(ValueError, match="unknown script"):
        parse_keywords(data, script="cursive")


def test_a_list_in_memory_is_read_as_its_name_says() -> None:
    assert parse_keywords(b'"\xe6\x9c\x88"\n', source="posted.jsonl").words == ("月",)
    assert parse_keywords("word\n月\n".encode(), source="posted.TSV").words == ("月",)
    with pytest.raises(InvalidKeywordList, match=r"posted\.txt: not UTF-8"):
        parse_keywords(b"\xff", source="posted.txt")
