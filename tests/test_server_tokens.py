"""Bearer tokens: the file, the scopes, and who is let in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fakes import PICTURE, eventually
from image2poem.v1 import index_admin_service_pb2 as admin_pb
from image2poem.v1 import index_admin_service_pb2_grpc as admin_grpc
from image2poem.v1 import poem_service_pb2 as pb
from server import tokens
from server.tokens import digest_of

CODE = grpc.StatusCode
ROOT = Path(__file__).resolve().parent.parent
LOOKUP = pb.LookupKeywordsRequest(picture=PICTURE)


def line(name, scopes, token):
    return f"{name}  {scopes}  {digest_of(token).hex()}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(
        "# name scopes sha256\n\n"
        + line("reader", "compose", "token-of-reader")
        + line("ops", "compose,admin", "token-of-ops")
        + line("robot", "admin", "token-of-robot")
    )
    return path


def bearer(token):
    return [("authorization", f"Bearer {token}")]


def outcome(call):
    """Status and reason of a call that may fail."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), dict(error.trailing_metadata() or ()).get("image2poem-reason")
    return CODE.OK, None


def test_a_file_of_tokens(file):
    found = tokens.read(file)
    assert found.names == ("reader", "ops", "robot")
    assert found.find("token-of-ops") == tokens.Grant("ops", frozenset({"compose", "admin"}))
    assert found.find("token-of-opt") is None
    assert found.find("") is None
    assert found.scopes == {"compose", "admin"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no token"),
        ("# only a remark\n", "holds no token"),
        ("reader compose token-of-reader\n", r"tokens:1: must be NAME SCOPES SHA256"),
        ("\nreader write " + "0" * 64, r"tokens:2: scopes must be of compose, admin, not write"),
        (line("a", "compose", "x") + line("a", "admin", "y"), r"tokens:2: the name a occurs twice"),
        ("reader compose " + "0" * 63, "64 hexadecimal digits"),
    ],
)
def test_a_wrong_file_is_named_with_its_line_and_shows_no_token(tmp_path, text, complaint):
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint) as caught:
        tokens.read(path)
    assert "token-of-reader" not in str(caught.value)


def test_a_token_is_made_with_its_line(tmp_path):
    command = [sys.executable, "-m", "server.tokens", "reader", "--scopes", "compose,admin"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    path = tmp_path / "tokens"
    path.write_text(made.stdout)
    token = made.stderr.removeprefix("token: ").strip()
    assert len(token) >= 43
    assert token not in made.stdout
    assert tokens.read(path).find(token) == tokens.Grant("reader", frozenset({"compose", "admin"}))
    wrong = subprocess.run([*command[:-1], "write"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "scopes must be of" in wrong.stderr


def test_all_hashes_are_compared_and_in_constant_time(file, monkeypatch):
    compared = []

    def compare(left, right):
        compared.append(left)
        return left == right

    monkeypatch.setattr(tokens.hmac, "compare_digest", compare)
    for token in ("token-of-reader", "unknown"):
        compared.clear()
        tokens.read(file).find(token)
        assert len(compared) == 3


@pytest.mark.parametrize(
    ("metadata", "code", "reason"),
    [
        (None, CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (bearer("wrong"), CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (bearer(""), CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        ([("authorization", "token-of-reader")], CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        ([("authorization", "Basic token-of-reader")], CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (bearer("token-of-reader") + bearer("token-of-ops"), CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (bearer("token-of-robot"), CODE.PERMISSION_DENIED, "PERMISSION_DENIED"),
        (bearer("token-of-reader"), CODE.OK, None),
        ([("authorization", "bearer token-of-ops")], CODE.OK, None),
    ],
    ids=str,
)
def test_who_may_compose(serve, file, metadata, code, reason):
    running = serve(tokens=file)
    for call in (
        lambda: running.stub.LookupKeywords(LOOKUP, metadata=metadata),
        lambda: list(running.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE), metadata=metadata)),
        lambda: running.stub.GetServerInfo(pb.GetServerInfoRequest(), metadata=metadata),
    ):
        assert outcome(call) == (code, reason)


def test_admin_and_reflection_need_the_scope_admin_and_health_needs_none(serve, file):
    running = serve(tokens=file, admin=True)
    admin = admin_grpc.IndexAdminServiceStub(running.channel)
    reflection = reflection_pb2_grpc.ServerReflectionStub(running.channel)

    def rebuild(metadata):
        return list(admin.RebuildIndex(iter([admin_pb.RebuildIndexRequest(list=b"x")]), metadata=metadata))

    def list_versions(metadata):
        return admin.ListIndexVersions(admin_pb.ListIndexVersionsRequest(), metadata=metadata)

    def reflect(metadata):
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        return list(reflection.ServerReflectionInfo(iter([question]), metadata=metadata))

    for call in (rebuild, list_versions, reflect):
        assert outcome(lambda call=call: call(None))[0] == CODE.UNAUTHENTICATED
        assert outcome(lambda call=call: call(bearer("token-of-reader"))) == (
            CODE.PERMISSION_DENIED,
            "PERMISSION_DENIED",
        )
    assert outcome(lambda: reflect(bearer("token-of-robot")))[0] == CODE.OK
    assert outcome(lambda: list_versions(bearer("token-of-ops")))[0] not in (
        CODE.UNAUTHENTICATED,
        CODE.PERMISSION_DENIED,
    )
    health = health_pb2_grpc.HealthStub(running.channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def test_who_is_refused_is_refused_before_the_message_is_read(serve, file):
    running = serve(tokens=file, max_message_bytes=1024)
    large = pb.LookupKeywordsRequest(picture=bytes(4096))
    assert outcome(lambda: running.stub.LookupKeywords(large))[0] == CODE.UNAUTHENTICATED
    allowed = outcome(lambda: running.stub.LookupKeywords(large, metadata=bearer("token-of-reader")))
    assert allowed == (CODE.RESOURCE_EXHAUSTED, None)


def test_a_token_that_is_taken_from_the_file_is_refused_and_a_broken_file_changes_nothing(serve, file):
    running = serve(tokens=file)

    def code(token):
        return outcome(lambda: running.stub.LookupKeywords(LOOKUP, metadata=bearer(token)))[0]

    assert code("token-of-reader") == CODE.OK
    file.write_text(line("new", "compose", "token-of-new"))
    assert eventually(lambda: code("token-of-reader") == CODE.UNAUTHENTICATED)
    assert code("token-of-new") == CODE.OK
    file.write_text("nonsense")
    assert code("token-of-new") == CODE.OK
    file.unlink()
    assert code("token-of-new") == CODE.OK


def test_who_calls_is_known_by_token_certificate_or_host():
    from server.callers import caller_of, identity

    class Context:
        def __init__(self, peer, names=(), remaining=None):
            self._peer, self._names, self._remaining = peer, names, remaining

        def peer(self):
            return self._peer

        def auth_context(self):
            return {"x509_common_name": self._names} if self._names else {}

        def time_remaining(self):
            return self._remaining

    assert caller_of(Context("ipv4:192.0.2.1:50000")).name == "192.0.2.1"
    assert caller_of(Context("ipv6:%5B2001:db8::1%5D:50000")).name == "%5B2001:db8::1%5D"
    assert caller_of(Context("unix:/run/socket")).name == "unix"
    assert caller_of(Context("ipv4:192.0.2.1:50000", [b"reader"])).name == "certificate reader"
    assert caller_of(Context("", remaining=0.0)).deadline < caller_of(Context("", remaining=9.0)).deadline
    before = identity.set("ops")
    try:
        assert caller_of(Context("ipv4:192.0.2.1:50000", [b"reader"])).name == "token ops"
    finally:
        identity.reset(before)
