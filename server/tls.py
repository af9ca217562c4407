"""Certificates: read, checked against their key, and read again when they are renewed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from server import telemetry
from server.config import Config
from server.reloading import Reloaded


@dataclass(frozen=True)
class Certificates:
    """PEM: the chain, its private key, and whom clients' certificates must come from; None asks for none."""

    chain: bytes
    key: bytes
    client_roots: bytes | None


def credentials(config: Config) -> grpc.ServerCredentials | None:
    """For the server's port; None for one in the clear. Raises UnusableFile.

    Every new connection gets the certificates that the files hold then; a renewed chain and key that do not
    fit each other yet are not used before they do.
    """
    if config.tls_certificate is None or config.tls_key is None:
        return None
    certificate, key, roots = config.tls_certificate, config.tls_key, config.tls_client_roots
    paths = [path for path in (certificate, key, roots) if path is not None]
    files = Reloaded(paths, lambda: read(certificate, key, roots))
    served = files.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        # Called by gRPC before each handshake, on a thread of its own; None means no change.
        nonlocal served
        now = files.current()
        if now == served:
            return None
        served = now
        return _configuration(now)

    telemetry.event("TLS", certificate=certificate, client_roots=roots or "none")
    # Its type in the stubs leaves out None, which gRPC's documentation asks for.
    fetch: Any = renewed
    return grpc.dynamic_ssl_server_credentials(
        _configuration(served), fetch, require_client_authentication=roots is not None
    )


def read(certificate: Path, key: Path, client_roots: Path | None) -> Certificates:
    """Raises OSError, or ValueError where chain, key and roots are no PEM or do not fit each other."""
    found = Certificates(
        chain=certificate.read_bytes(),
        key=key.read_bytes(),
        client_roots=client_roots.read_bytes() if client_roots else None,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError(f"{certificate} and {key}: no chain and key that fit: {_reason(error)}") from error
    if found.client_roots is not None:
        try:
            context.load_verify_locations(cadata=found.client_roots.decode())
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ValueError(f"{client_roots}: no PEM of certificates") from error
    return found


def _configuration(files: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(files.key, files.chain)], files.client_roots)


def _no_password() -> str:
    # Without it OpenSSL asks on the terminal, and the server would wait there.
    raise ValueError("the key is protected by a password; give one that is not")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
