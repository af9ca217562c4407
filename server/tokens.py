"""Bearer tokens: a file of names, scopes and hashes, never of the tokens themselves.

    # name   scopes         SHA-256 of the token
    reader   compose        6cf8…
    ops      compose,admin  0b1d…

`python -m server.tokens NAME --scopes compose` makes a token and its line. A token is 32 random bytes, so
that one round of SHA-256 keeps it as safe as a slow hash would: there is nothing to guess.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCOPES = ("compose", "admin")
_LINE = re.compile(r"(?P<name>[\w.@-]+)\s+(?P<scopes>[a-z,]+)\s+(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Grant:
    """What a token's holder may do."""

    name: str
    scopes: frozenset[str]


class Tokens:
    """All tokens that are known, by hash."""

    def __init__(self, grants: Iterable[tuple[bytes, Grant]]) -> None:
        """Pairs of a token's SHA-256 and what it allows."""
        self._grants = tuple(grants)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(grant.name for _, grant in self._grants)

    @property
    def scopes(self) -> frozenset[str]:
        """Those that some token has."""
        return frozenset().union(*(grant.scopes for _, grant in self._grants))

    def find(self, token: str) -> Grant | None:
        """What the token allows; None for an unknown one.

        Takes as long for one token as for any other: hashes are compared in constant time, and all of them.
        """
        presented = digest_of(token)
        found = None
        for digest, grant in self._grants:
            if hmac.compare_digest(digest, presented):
                found = grant
        return found


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def read(path: Path) -> Tokens:
    """The tokens of a file. Raises OSError, or ValueError with the line's number and what is wrong there."""
    grants: dict[str, tuple[bytes, Grant]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            digest, grant = _parsed(text, f"{path}:{number}")
            if grant.name in grants:
                raise ValueError(f"{path}:{number}: the name {grant.name} occurs twice")
            grants[grant.name] = digest, grant
    if not grants:
        raise ValueError(f"{path}: holds no token; make one with `python -m server.tokens NAME`")
    return Tokens(grants.values())


def _parsed(text: str, place: str) -> tuple[bytes, Grant]:
    match = _LINE.fullmatch(text)
    if match is None:
        # The line may hold a token by mistake: it is not shown.
        raise ValueError(f"{place}: must be NAME SCOPES SHA256, the last one 64 hexadecimal digits")
    scopes = frozenset(match["scopes"].split(","))
    if not scopes <= set(SCOPES):
        raise ValueError(f"{place}: scopes must be of {', '.join(SCOPES)}, not {match['scopes']}")
    return bytes.fromhex(match["digest"]), Grant(match["name"], scopes)


def main() -> int:
    """Print a new token on stderr and its line for the file on stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m server.tokens",
        description="Make a token: it is shown once, on stderr; its line for the file goes to stdout.",
    )
    parser.add_argument("name", help="whose it is; for logs and for fairness")
    parser.add_argument("--scopes", default="compose", help="compose, admin, or both with a comma (compose)")
    options = parser.parse_args()
    token = secrets.token_urlsafe(32)
    line = f"{options.name} {options.scopes} {digest_of(token).hex()}"
    try:
        _parsed(line, "token")
    except ValueError as error:
        parser.error(str(error))
    print(f"token: {token}", file=sys.stderr)
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
