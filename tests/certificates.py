"""Certificate authorities of a test's own, and what they issue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme


@dataclass(frozen=True)
class Files:
    """A chain and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates that are trusted by whoever trusts `root`."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._name = name
        self._authority = trustme.CA()
        self.root = folder / f"{name}.root.pem"
        self._authority.cert_pem.write_to_path(str(self.root))

    def issue(self, *hosts: str, name: str | None = None, to: Files | None = None) -> Files:
        """A certificate for these hosts; `to` overwrites files as a renewal does."""
        issued: Any = self._authority.issue_cert(*hosts, common_name=name)
        files = to or Files(self._folder / f"{self._name}.pem", self._folder / f"{self._name}.key")
        issued.private_key_pem.write_to_path(str(files.key))
        issued.cert_chain_pems[0].write_to_path(str(files.certificate))
        return files
