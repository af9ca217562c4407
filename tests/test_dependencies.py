"""What can be audited without a network: what is installed for us is pinned, as it is pinned, and fits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
# They take the place of `serve` on other machines, with pins of their own.
ELSEWHERE = {"gpu", "gpu-cuda13"}


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(version for _, _, version in pinned), "each line must be NAME==VERSION"
    return {canonicalize_name(name): Version(version) for name, _, version in pinned}


def ours() -> Iterator[Requirement]:
    """What we ask for ourselves."""
    house = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    client = tomllib.loads((ROOT / "clients" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in sorted(set(house["optional-dependencies"]) - ELSEWHERE):
        yield from map(Requirement, house["optional-dependencies"][extra])
    yield from map(Requirement, client["dependencies"])


def needed() -> dict[str, list[tuple[str, Requirement]]]:
    """Everything that follows, by name: who asks for it, and how."""
    found: dict[str, list[tuple[str, Requirement]]] = {}
    waiting = [("pyproject.toml", requirement) for requirement in ours()]
    seen = set()
    while waiting:
        by, requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found.setdefault(name, []).append((by, requirement))
        key = name, frozenset(requirement.extras)
        if key in seen:
            continue
        seen.add(key)
        try:
            wanted = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        for text in wanted:
            more = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *requirement.extras)]
            if more.marker is None or any(map(more.marker.evaluate, environments)):
                waiting.append((name, more))
    return found


@pytest.fixture(scope="module")
def closure():
    return needed()


def test_the_pins_are_in_order_and_each_is_there_once():
    names = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    canonical = [canonicalize_name(name) for name in names]
    assert sorted(set(canonical)) == sorted(canonical)


def test_everything_that_is_installed_for_us_is_pinned(closure):
    pinned = pins()
    installed = {name for name in closure if is_installed(name)}
    assert installed - set(pinned) == set(), "add these to constraints.txt"


def is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_what_is_installed_is_what_is_pinned(closure):
    """Build labels aside: 2.13.0+cpu is 2.13.0."""
    pinned = pins()
    differ = {
        name: (metadata.version(name), str(pinned[name]))
        for name in closure
        if name in pinned
        and is_installed(name)
        and Version(metadata.version(name)).public != pinned[name].public
    }
    assert differ == {}


def test_the_pins_fit_one_another(closure):
    """What `pip check` looks for, of our own packages alone, and of the pins instead of what is installed."""
    pinned = pins()
    wrong = [
        f"{by} asks for {requirement}, and {pinned[name]} is pinned"
        for name, asked in closure.items()
        for by, requirement in asked
        if name in pinned and not requirement.specifier.contains(pinned[name], prereleases=True)
    ]
    assert wrong == []


def test_no_pin_is_left_over(closure):
    """A pin that nothing needs is looked after by nobody; those of other platforms are not installed here."""
    left_over = {name for name in set(pins()) - set(closure) if is_installed(name)}
    assert left_over == set()
