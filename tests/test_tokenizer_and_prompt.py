"""Characters to ids, and how a prompt is written."""

from __future__ import annotations

import pytest

from models.prompt import CONTROLLED, PromptTemplate, distinct_keywords, select_keywords
from models.prosody import FORMS, UnknownForm, form_named, is_han
from models.prosody.rhythm import words
from models.tokenizer import SPECIAL_TOKENS, CharacterTokenizer

TOKENIZER = CharacterTokenizer([*SPECIAL_TOKENS, "[QIJUE]", " ", "：", *"关键词明月春江"])


def test_characters_and_special_tokens_become_ids_and_back():
    text = "[CLS][QIJUE]关键词：明月 春江[EOS]"
    ids = TOKENIZER.encode(text)
    assert len(ids) == 3 + 4 + 5
    assert TOKENIZER.decode(ids) == text


def test_an_unknown_character_is_one_unk():
    assert TOKENIZER.encode("明𠀀月\n") == [*TOKENIZER.encode("明[UNK]月"), TOKENIZER.unk_id]


def test_brackets_that_name_no_token_are_characters():
    assert TOKENIZER.encode("[NO]") == [TOKENIZER.unk_id] * 4


def test_a_vocabulary_file_is_read_as_written(tmp_path):
    TOKENIZER.write(tmp_path / "vocab.txt")
    assert CharacterTokenizer.read(tmp_path / "vocab.txt").vocabulary == TOKENIZER.vocabulary


@pytest.mark.parametrize("vocabulary", [["明"], [*SPECIAL_TOKENS, "明", "明"]])
def test_a_vocabulary_without_specials_or_with_repetitions_is_refused(vocabulary):
    with pytest.raises(ValueError, match="not a vocabulary"):
        CharacterTokenizer(vocabulary)


def test_the_prompt_of_the_original_work_with_a_form_in_front():
    template = PromptTemplate(close="[SEP]")
    text = template.render(["明月", "故乡"], form=FORMS["wujue"], lines=["床前明月光"])
    assert text == "[CLS][WUJUE]关键词：明月 故乡[EOS]床前明月光[EOS][SEP]"
    assert template.render(["江"], form=None) == "[CLS]关键词：江[EOS][SEP]"


def controlled(**fields: object) -> PromptTemplate:
    return PromptTemplate(
        prompt=CONTROLLED, rhymes={"十一尤": "[YUN26]"}, subjects={"送别": "[SUBJECT04]"}, **fields
    )


def test_rhyme_and_subject_are_named_where_the_poet_was_taught_them():
    template = controlled()
    text = template.render(["江"], form=FORMS["qijue"], rhyme="十一尤", subject="送别")
    assert text == "[CLS][QIJUE][YUN26][SUBJECT04]关键词：江[EOS]"
    assert template.render(["江"], form=None, rhyme="十一尤") == "[CLS][YUN26]关键词：江[EOS]"
    assert template.render(["江"], form=None, rhyme="一东", subject="秋") == "[CLS]关键词：江[EOS]"
    taught_nothing = PromptTemplate()
    assert taught_nothing.render(["江"], form=None, rhyme="十一尤", subject="送别") == "[CLS]关键词：江[EOS]"
    assert {"[YUN26]", "[SUBJECT04]", "[QIJUE]"} <= set(template.control_tokens)


def test_a_poet_that_writes_by_line_may_read_only_unused_keywords():
    lines = ["明月出天山"]
    assert "：明月 江[EOS]" in controlled().render(["明月", "江"], form=None, lines=lines)
    assert "：江[EOS]" in controlled(unused_only=True).render(["明月", "江"], form=None, lines=iter(lines))


def test_the_template_of_an_older_manifest_is_what_it_was():
    older = {
        "prompt": "[CLS]{form}关键词：{keywords}[EOS]",
        "line": "{line}[EOS]",
        "close": "[SEP]",
        "keyword_separator": " ",
        "forms": {"qijue": "[QIJUE]"},
        "max_tokens": 128,
    }
    template = PromptTemplate.from_manifest({"prompt": older})
    text = template.render(["江"], form=FORMS["qijue"], rhyme="一东", lines=["江清月近人"])
    assert text == "[CLS][QIJUE]关键词：江[EOS]江清月近人[EOS][SEP]"


@pytest.mark.parametrize(
    "template",
    [PromptTemplate(close="[SEP]", forms={"qijue": "[QIJUE]"}, max_tokens=64), controlled(unused_only=True)],
)
def test_a_template_survives_its_manifest(template):
    assert PromptTemplate.from_manifest({"prompt": template.to_manifest()}) == template


def test_a_prompt_takes_one_keyword_a_line():
    assert select_keywords(["明月", "月光", "明月"], FORMS["qijue"]) == ["明月", "月光"]
    assert select_keywords("东南西北中", FORMS["qijue"]) == ["东", "南", "西", "北"]


def test_keywords_that_share_a_character_with_a_better_one_are_not_distinct():
    assert distinct_keywords(["瀑布", "飞瀑", "飞泉", "断崖", "泉"]) == ["瀑布", "飞泉", "断崖"]
    assert distinct_keywords([]) == []


def test_forms_have_two_names():
    assert form_named("qijue") is form_named("七绝") is FORMS["qijue"]
    with pytest.raises(UnknownForm, match="sonnet"):
        form_named("sonnet")


def test_words_lie_on_the_rhythm():
    assert words("床前明月光") == ["床前", "明月", "月光"]
    assert words("朝辞白帝彩云间") == ["朝辞", "白帝", "彩云", "云间"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("明月", True),
        ("〇", True),
        ("𠀀", True),
        ("moon", False),
        ("", False),
        ("明 月", False),
        ("々", True),
        ("\uf900", True),
        ("\ue123", False),
        ("달", False),
        ("，", False),
    ],
)
def test_han(text, answer):
    assert is_han(text) is answer
