"""The table of an evaluation says plainly what is met."""

from __future__ import annotations

import json

import pytest

from models.training.quality.table import (
    AS_PREDICTABLE,
    AT_LEAST_PEOPLE,
    AT_MOST_PEOPLE,
    NONE_AT_ALL,
    WITHIN_5_PERCENT,
    Row,
    at_least,
    figures,
    inserted,
    markdown,
)


def row(target, ours, people=()):
    forms = ("wujue", "qilv")
    return Row(
        name="measure",
        label="a measure",
        ours=dict(zip(forms, ours, strict=False)),
        people=dict(zip(forms, people, strict=False)),
        target=target,
    )


@pytest.mark.parametrize(
    ("target", "ours", "people", "missed"),
    [
        (AT_MOST_PEOPLE, (0.1, 0.2), (0.1, 0.3), []),
        (AT_MOST_PEOPLE, (0.1, 0.2), (0.1, 0.1), ["qilv"]),
        (AT_LEAST_PEOPLE, (0.1, 0.2), (0.2, 0.3), ["wujue", "qilv"]),
        (WITHIN_5_PERCENT, (0.83, 0.77), (0.8, 0.8), []),
        (WITHIN_5_PERCENT, (0.85, 0.75), (0.8, 0.8), ["wujue", "qilv"]),
        (NONE_AT_ALL, (0.0, 0.001), (), ["qilv"]),
        (AS_PREDICTABLE, (0.7, 1.31), (), ["qilv"]),
        (at_least(0.6, "≥ 60 %"), (0.5, 0.7), (), []),
        (at_least(0.6, "≥ 60 %"), (0.5, 0.6), (), ["mean"]),
        (None, (0.5, 0.6), (), []),
    ],
)
def test_a_target_is_judged_form_by_form_or_by_the_mean(target, ours, people, missed):
    measured = row(target, ours, people)
    assert measured.missed == missed
    record = json.loads(json.dumps(measured.to_json()))
    assert record["met"] is (None if target is None else not missed)
    assert record["ours"]["mean"] == pytest.approx(sum(ours) / 2)


def test_the_table_for_readers():
    rows = [
        Row(
            name="a",
            label="share",
            ours={"qijue": 0.25},
            people={"qijue": 0.5},
            target=AT_MOST_PEOPLE,
            percent=True,
        ),
        Row(name="b", label="number", ours={"qijue": 123.4}, target=at_least(200, "≥ 200")),
        Row(name="c", label="ratio", ours={"qijue": 1.0, "wujue": 0.5}),
    ]
    assert markdown(rows).splitlines() == [
        "| ours (people) | 五绝 | 七绝 | mean | target | met |",
        "| --- | --- | --- | --- | --- | --- |",
        "| share |  | 25.0 % (50.0 %) | 25.0 % (50.0 %) | ≤ people | met |",
        "| number |  | 123 | 123 | ≥ 200 | **not met**: mean |",
        "| ratio | 0.500 | 1.00 | 0.750 |  |  |",
    ]
    assert figures(rows) == {"a": 0.25, "b": 123.4, "c": 0.75}


def test_a_table_takes_its_place_in_a_document():
    document = "before\n<!-- t5 -->\nold\n<!-- /t5 -->\nbetween\n<!-- gpt2 -->\n<!-- /gpt2 -->\n"
    once = inserted(document, "t5", "new\n")
    assert once == document.replace("old", "new")
    assert inserted(once, "gpt2", "new\n").count("new") == 2
    with pytest.raises(ValueError, match="<!-- other -->"):
        inserted(document, "other", "new\n")
