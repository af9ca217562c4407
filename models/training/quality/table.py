"""The table of an evaluation: a measure a row, a form a column, and whether the target is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.prosody import FORMS


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is aimed at.

    Attributes:
        text: for readers.
        met: says it of our value and people's, which is NaN where people have none.
        mean: judge the mean of the forms; otherwise each form must meet it.
    """

    text: str
    met: Callable[[float, float], bool]
    mean: bool = False


def at_least(value: float, text: str) -> Target:
    """Of the mean of the forms."""
    return Target(text=text, met=lambda ours, people: ours >= value, mean=True)


NONE_AT_ALL = Target(text="0", met=lambda ours, people: ours == 0)
AT_MOST_PEOPLE = Target(text="≤ people", met=lambda ours, people: ours <= people)
AT_LEAST_PEOPLE = Target(text="≥ people", met=lambda ours, people: ours >= people)
WITHIN_5_PERCENT = Target(text="people ± 5 %", met=lambda ours, people: abs(ours / people - 1) <= 0.05)
AS_PREDICTABLE = Target(text="0.7 – 1.3", met=lambda ours, people: 0.7 <= ours <= 1.3)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure.

    Attributes:
        name: stable, for programs.
        label: for readers.
        ours, people: values by form; `people` is empty where the measure asks nothing of people.
        target: None where there is none.
        percent: whether the values are shares.
    """

    name: str
    label: str
    ours: Mapping[str, float]
    people: Mapping[str, float] = field(default_factory=dict)
    target: Target | None = None
    percent: bool = False

    @property
    def mean(self) -> tuple[float, float]:
        """Of the forms: ours, and people's, NaN where there is none."""
        ours, people = ([*values.values()] for values in (self.ours, self.people))
        return float(np.mean(ours)), float(np.mean(people)) if people else np.nan

    @property
    def missed(self) -> list[str]:
        """The forms that do not meet the target; `mean` where that is what is judged."""
        if self.target is None:
            return []
        if self.target.mean:
            return [] if self.target.met(*self.mean) else ["mean"]
        return [
            form
            for form, ours in self.ours.items()
            if not self.target.met(ours, self.people.get(form, np.nan))
        ]

    def to_json(self) -> dict[str, Any]:
        """For programs; `met` is null where there is no target."""
        mean, people_mean = self.mean
        record = {
            "name": self.name,
            "ours": _rounded({**self.ours, "mean": mean}),
            "people": _rounded({**self.people, "mean": people_mean}) if self.people else {},
        }
        if self.target is None:
            return {**record, "target": None, "met": None}
        return {**record, "target": self.target.text, "met": not self.missed, "missed": self.missed}


def figures(rows: Iterable[Row]) -> dict[str, float]:
    """The means of the forms alone, by the measures' names."""
    return _rounded({row.name: row.mean[0] for row in rows})


def markdown(rows: Sequence[Row]) -> str:
    """The table; people's values in brackets."""
    forms = [form for form in FORMS if any(form in row.ours for row in rows)]
    head = ["ours (people)", *(FORMS[form].chinese for form in forms), "mean", "target", "met"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [
            _cell(row, row.ours[form], row.people.get(form)) if form in row.ours else "" for form in forms
        ]
        mean, people_mean = row.mean
        means = _cell(row, mean, people_mean if row.people else None)
        lines.append([row.label, *cells, means, row.target.text if row.target else "", _verdict(row)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def inserted(document: str, name: str, page: str) -> str:
    """`document` with `page` in place of what stood between its lines `<!-- NAME -->` and `<!-- /NAME -->`.

    Raises ValueError where it has no such lines.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begun, rest = document.partition(start)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"no place for the table: the lines {start.strip()} and {end.strip()} are missing")
    return f"{before}{start}{page}{end}{after}"


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    missed = [FORMS[form].chinese if form in FORMS else form for form in row.missed]
    return f"**not met**: {' '.join(missed)}" if missed else "met"


def _cell(row: Row, ours: float, people: float | None) -> str:
    return _number(row, ours) + ("" if people is None else f" ({_number(row, people)})")


def _number(row: Row, value: float) -> str:
    if row.percent:
        return f"{value:.1%}".replace("%", " %")
    whole = value >= 100 or value == round(value) > 1
    return f"{value:.0f}" if whole else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
