"""Cores that a process may use, by affinity and quota."""

from __future__ import annotations

import pytest

from models import cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.fixture
def group(tmp_path):
    """A control group two levels below the root, and who asks for it."""

    def make(*, root="max 100000", middle="max 100000", leaf="max 100000"):
        for folder, content in ((".", root), ("a", middle), ("a/b", leaf)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "cpu.max").write_text(f"{content}\n")
        own = tmp_path / "cgroup"
        own.write_text("1:cpu:/old\n0::/a/b\n")
        return cores.available(cgroups=tmp_path, own=own)

    return make


def test_without_a_quota_they_are_those_of_the_affinity(group):
    assert group() == 8


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({"leaf": "200000 100000"}, 2),
        ({"leaf": "150000 100000"}, 2),
        ({"leaf": "10000 100000"}, 1),
        ({"leaf": "1600000 100000"}, 8),
        ({"middle": "300000 100000", "leaf": "400000 100000"}, 3),
        ({"root": "50000 100000"}, 1),
        ({"leaf": "nonsense"}, 8),
    ],
    ids=str,
)
def test_the_least_quota_counts(group, quotas, expected):
    assert group(**quotas) == expected


def test_where_there_are_no_groups_there_is_no_quota(tmp_path):
    assert cores.available(cgroups=tmp_path / "none", own=tmp_path / "none") == 8


def test_here_it_is_at_least_one():
    assert cores.available() >= 1
