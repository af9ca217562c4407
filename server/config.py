"""The server's options: flag, else IMAGE2POEM_* variable, else default. Parsed once, checked, then frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from models import cores
from models.batching import Batching
from server import flags, production
from server.flags import about, boolean, milvus, page, path_or_none, shown, url
from server.request import MAX_LINE_CHOICES

_ROOT = Path(__file__).resolve().parent.parent
_BUNDLES = _ROOT / "models" / "bundles"
_VARIABLE_PREFIX = "IMAGE2POEM_"


def _poet(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ValueError(f"must be NAME=BUNDLE, not {text!r}")
    return name, Path(path)


def _poets(text: str) -> tuple[tuple[str, Path], ...]:
    return tuple(_poet(part) for part in text.split(","))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Each field is the flag `--field-name` and the variable IMAGE2POEM_FIELD_NAME. Raises ValueError."""

    listen: str = field(
        default="127.0.0.1:50051", metadata=about("HOST:PORT to serve on; port 0 takes a free one", str)
    )
    index: Path = field(
        default=_ROOT / ".image2poem" / "index",
        metadata=about("folder with the published keyword index", Path),
    )
    milvus: str | None = field(
        default=None,
        metadata=about(
            "http://HOST:PORT of the Milvus that the index is in, instead of a folder; or none", milvus
        ),
    )
    milvus_alias: str = field(
        default="keywords", metadata=about("alias of the published collection there", str)
    )
    milvus_token: str = field(
        default="", repr=False, metadata=about("USER:PASSWORD or key for it", str, secret=True)
    )
    milvus_token_file: Path | None = field(
        default=None, metadata=about("file that holds the token for it, or none", path_or_none)
    )
    index_poll: float = field(
        default=2.0,
        metadata=about("seconds between looks at which index is published; 0 never looks", float),
    )
    encoder: Path = field(default=_BUNDLES / "lite", metadata=about("bundle of the encoder", Path))
    poet: tuple[tuple[str, Path], ...] = field(
        default=(("t5", _BUNDLES / "t5"), ("gpt2", _BUNDLES / "gpt2")),
        metadata=about(
            "NAME=BUNDLE of a poet, may be repeated; the first is the default poet", _poets, parse_one=_poet
        ),
    )
    sources: Path | None = field(
        # A checkout may lack it: then copied lines are not looked for.
        default=_BUNDLES / "sources" if (_BUNDLES / "sources").exists() else None,
        metadata=about("bundle that copied lines are known by, or none", path_or_none),
    )
    provider: str = field(default="cpu", metadata=about("where models run", str, choices=("cpu", "cuda")))
    int8: bool = field(
        default=True,
        metadata=about("compute in eight bits where a bundle and the processor can; on a CPU alone", boolean),
    )
    line_choices: int = field(
        default=4,
        metadata=about("lines that each line is chosen of where a request does not say; 1 is off", int),
    )
    line_similarity: bool = field(
        default=True,
        metadata=about("choose lines by the text encoder too; turn it off where that is slow", boolean),
    )
    workers: int = field(
        default=32, metadata=about("poems written, and lookups answered, at the same time", int)
    )
    threads: int = field(
        default=0, metadata=about("threads of one model run; 0 suits them to the cores", int)
    )
    max_rows: int = field(
        default=128, metadata=about("lines written in one decoder step; trials of a line count each", int)
    )
    max_batch: int = field(
        default=32, metadata=about("requests whose texts or prompts are encoded in one run", int)
    )
    max_pictures: int = field(
        default=0,
        metadata=about("requests whose pictures go into one run; 0 suits the provider, 1 on a CPU", int),
    )
    max_wait_us: int = field(
        default=0, metadata=about("microseconds that the first request of a run waits for others", int)
    )
    waiting: int = field(
        default=32, metadata=about("requests of a kind that may wait for a worker; more are refused", int)
    )
    max_message_bytes: int = field(
        default=8 * 2**20, metadata=about("largest request in bytes, its picture included", int)
    )
    grace: float = field(
        default=10.0, metadata=about("seconds that running poems get to finish when the server stops", float)
    )
    drain_wait: float = field(
        default=0.0, metadata=about("seconds between NOT_SERVING and refusing work, for a balancer", float)
    )
    admin: bool = field(
        default=False, metadata=about("offer IndexAdminService: rebuild and swap the index by RPC", boolean)
    )
    connection_age: float = field(
        default=1800.0,
        metadata=about("seconds after which a client is told to connect anew; 0 is never", float),
    )
    connection_grace: float = field(
        default=300.0, metadata=about("seconds that the calls of such a connection get to end", float)
    )
    client_streams: int = field(
        default=64, metadata=about("requests of a kind that one client may have here; 0 is any number", int)
    )
    stall: float = field(
        default=30.0, metadata=about("seconds without progress after which a worker counts as hung", float)
    )
    stall_exit: float = field(
        default=60.0, metadata=about("seconds of being unhealthy after which the process ends with 70", float)
    )
    production: bool = field(
        default=False,
        metadata=about("no root, nothing exposed in the clear, no reflection, logs as JSON", boolean),
    )
    tls_certificate: Path | None = field(
        default=None, metadata=about("PEM with the server's certificate chain, or none", path_or_none)
    )
    tls_key: Path | None = field(
        default=None, metadata=about("PEM with its private key, or none", path_or_none)
    )
    tls_client_roots: Path | None = field(
        default=None,
        metadata=about(
            "PEM of the authorities that clients' certificates must be from, or none", path_or_none
        ),
    )
    plaintext: bool = field(
        default=False, metadata=about("let tokens and production go without TLS beyond loopback", boolean)
    )
    tokens: Path | None = field(
        default=None, metadata=about("file of the bearer tokens that callers need, or none", path_or_none)
    )
    reflection: bool = field(default=True, metadata=about("offer gRPC reflection", boolean))
    port_file: Path | None = field(
        default=None, metadata=about("write the bound HOST:PORT here once serving", Path)
    )
    log_level: str = field(
        default="info",
        metadata=about("least level logged", str, choices=("debug", "info", "warning", "error")),
    )
    log_format: str = field(
        default="text", metadata=about("how a log line looks", str, choices=("text", "json"))
    )
    log_poems: bool = field(
        default=False, metadata=about("log keywords and poems too; else no text of a caller", boolean)
    )
    metrics: str | None = field(
        default=None,
        metadata=about("[HOST:]PORT of the Prometheus metrics, on loopback without a host; or none", page),
    )
    traces: str | None = field(
        default=None,
        metadata=about("http://HOST:PORT that takes OpenTelemetry traces by OTLP over gRPC, or none", url),
    )

    def __post_init__(self) -> None:
        host, colon, port = self.listen.rpartition(":")
        if not (host and colon and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"listen: must be HOST:PORT, not {self.listen!r}")
        names = [name for name, _ in self.poet]
        if not names or len(set(names)) < len(names):
            raise ValueError("poet: name at least one, and each only once")
        for name, lowest in _LOWEST.items():
            if not getattr(self, name) >= lowest:
                raise ValueError(f"{name}: must be at least {lowest}, not {getattr(self, name)}")
        for option in fields(self):
            if getattr(self, option.name) == math.inf:
                raise ValueError(f"{option.name}: must be a number of seconds, not inf")
        if self.line_choices > MAX_LINE_CHOICES:
            raise ValueError(f"line_choices: must be at most {MAX_LINE_CHOICES}, not {self.line_choices}")
        for option in fields(self):
            choices, value = option.metadata.get("choices"), getattr(self, option.name)
            if choices and value not in choices:
                raise ValueError(f"{option.name}: must be one of {', '.join(choices)}, not {value!r}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate, tls_key: give both or neither")
        if self.tls_client_roots and not self.tls_certificate:
            raise ValueError("tls_client_roots: needs tls_certificate and tls_key")
        if self.milvus is not None and self.admin:
            raise ValueError("admin: works on an index folder; publish to Milvus by `index_builder milvus`")
        if self.milvus_token and self.milvus_token_file:
            raise ValueError("milvus_token, milvus_token_file: give one of them")
        production.check(
            production=self.production,
            listen=self.listen,
            tls=self.tls_certificate is not None,
            plaintext=self.plaintext,
            tokens=self.tokens is not None,
            admin=self.admin,
        )

    def described(self) -> dict[str, str]:
        """Every option that is no secret as text, for the log."""
        return {
            option.name: shown(getattr(self, option.name))
            for option in fields(self)
            if not option.metadata.get("secret")
        }

    @property
    def poet_threads(self) -> int:
        """Threads of a decoding step: half the cores, for pictures and the rules need the others."""
        return self.threads or max(1, cores.available() // 2)

    @property
    def encoder_threads(self) -> int:
        """Threads of an encoding: every core, for a picture is one burst that all else waits for."""
        return self.threads or cores.available()

    @property
    def batching(self) -> Batching:
        """How requests share the runs of models."""
        return Batching(
            max_pictures=self.max_pictures,
            max_batch=self.max_batch,
            max_wait_us=self.max_wait_us,
            max_rows=self.max_rows,
        )


_LOWEST = {
    "index_poll": 0,
    "line_choices": 1,
    "threads": 0,
    "workers": 1,
    "max_rows": 1,
    "max_batch": 1,
    "max_pictures": 0,
    "max_wait_us": 0,
    "waiting": 0,
    "max_message_bytes": 1024,
    "grace": 0,
    "drain_wait": 0,
    "connection_age": 0,
    "connection_grace": 0,
    "client_streams": 0,
    "stall": 0.1,
    "stall_exit": 0,
}


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The options of a command line and an environment. Exits with 2 and advice where they are wrong."""
    return flags.parse(
        Config,
        arguments,
        environment,
        prefix=_VARIABLE_PREFIX,
        profile=production.profile,
        prog="python -m server",
        description="Serve image2poem over gRPC. Each flag --some-name is also IMAGE2POEM_SOME_NAME.",
    )
