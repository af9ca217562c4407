"""TLS: who is let in, what is refused at the start, and renewal while the server runs."""

from __future__ import annotations

import grpc
import pytest

from certificates import Authority, Files
from fakes import PICTURE, eventually
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc
from server import tls

LOOKUP = pb.LookupKeywordsRequest(picture=PICTURE)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "server")


def call(target, root, client=None):
    """A lookup over a connection of its own. Raises grpc.RpcError."""
    credentials = grpc.ssl_channel_credentials(
        root.read_bytes(),
        client.key.read_bytes() if client else None,
        client.certificate.read_bytes() if client else None,
    )
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(target, credentials, options) as channel:
        return poem_service_pb2_grpc.PoemServiceStub(channel).LookupKeywords(LOOKUP, timeout=10)


def works(target, root, client=None):
    """Whether the call succeeds; it may fail to connect, and in no other way."""
    try:
        return bool(call(target, root, client).keywords)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        return False


def options(files, **more):
    return {"tls_certificate": files.certificate, "tls_key": files.key, **more}


def test_a_client_that_trusts_the_authority_is_served_and_one_in_the_clear_is_not(serve, authority, tmp_path):
    running = serve(**options(authority.issue("127.0.0.1")))
    assert works(running.target, authority.root)
    assert not works(running.target, Authority(tmp_path, "another").root)
    with pytest.raises(grpc.RpcError) as caught:
        running.stub.LookupKeywords(LOOKUP, timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_asks_for_a_certificate_of_the_right_authority(serve, authority, tmp_path):
    clients, others = Authority(tmp_path, "client"), Authority(tmp_path, "other")
    files = authority.issue("127.0.0.1")
    running = serve(**options(files, tls_client_roots=clients.root))
    assert works(running.target, authority.root, clients.issue("reader.example", name="reader"))
    assert not works(running.target, authority.root)
    assert not works(running.target, authority.root, others.issue("reader.example", name="reader"))


def test_a_renewed_certificate_is_served_to_new_connections(serve, authority, tmp_path):
    files = authority.issue("127.0.0.1")
    running = serve(**options(files))
    options_ = [("grpc.enable_http_proxy", 0)]
    credentials = grpc.ssl_channel_credentials(authority.root.read_bytes())
    with grpc.secure_channel(running.target, credentials, options_) as channel:
        stub = poem_service_pb2_grpc.PoemServiceStub(channel)
        assert stub.LookupKeywords(LOOKUP).keywords

        successor = Authority(tmp_path, "successor")
        successor.issue("127.0.0.1", to=files)
        assert eventually(lambda: works(running.target, successor.root))
        assert not works(running.target, authority.root)
        # The old connection goes on.
        assert stub.LookupKeywords(LOOKUP).keywords


def test_a_renewal_that_is_half_done_or_broken_changes_nothing(serve, authority, tmp_path):
    files = authority.issue("127.0.0.1")
    running = serve(**options(files))
    key = files.key.read_bytes()
    Authority(tmp_path, "successor").issue("127.0.0.1", to=Files(tmp_path / "unused.pem", files.key))
    assert works(running.target, authority.root)
    files.certificate.unlink()
    assert works(running.target, authority.root)
    files.certificate.write_bytes(b"no certificate")
    assert works(running.target, authority.root)
    authority.issue("127.0.0.1", to=files)
    assert files.key.read_bytes() != key
    assert works(running.target, authority.root)


def test_wrong_files_are_refused_with_a_reason(authority, tmp_path):
    files = authority.issue("127.0.0.1")
    another = Authority(tmp_path, "another").issue("127.0.0.1")
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="key values mismatch"):
        tls.read(files.certificate, another.key, None)
    with pytest.raises(ValueError, match="no chain and key"):
        tls.read(nonsense, files.key, None)
    with pytest.raises(ValueError, match="no PEM of certificates"):
        tls.read(files.certificate, files.key, nonsense)
    with pytest.raises(FileNotFoundError):
        tls.read(tmp_path / "missing", files.key, None)


def test_a_key_with_a_password_is_refused_instead_of_asked_for(authority):
    from cryptography.hazmat.primitives import serialization

    files = authority.issue("127.0.0.1")
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ValueError, match="password"):
        tls.read(files.certificate, files.key, None)
