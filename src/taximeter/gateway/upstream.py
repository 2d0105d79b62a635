"""The way to a provider: a port of one method, which `http1.py` and `http2.py` are adapters of, and its nouns."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol
from urllib.parse import quote, unquote, urlsplit

from taximeter.core.facts import fact

Headers = list[tuple[bytes, bytes]]

BODY_EXPECTED: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods of requests that tell the length of their body, be it nothing."""
STATUSES: Final = range(200, 600)
"""Of answers."""
STATUSES_WITHOUT_BODY: Final = frozenset({204, 304})

FailureKind = Literal[
    "connect_failed",
    "connect_timeout",
    "tls_failed",
    "no_free_connection",
    "first_byte_timeout",
    "idle_timeout",
    "closed_early",
    "protocol_error",
]

_TIMEOUTS: Final = frozenset({"connect_timeout", "first_byte_timeout", "idle_timeout"})


class UpstreamFailure(Exception):  # noqa: N818 - what failed is the upstream, and that is an answer
    """No answer, or no more of it. `kind` is stable and ends up as the event's `error_type`."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def http_status(self) -> int:
        """What a gateway answers for it: 504 when time ran out, 502 otherwise."""
        return 504 if self.kind in _TIMEOUTS else 502


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy on the way. `user` is a name and a password (`name:password`), None when it asks for none."""

    host: str
    port: int
    user: str | None = field(default=None, repr=False)

    @property
    def credentials(self) -> bytes:
        """The header line that says who we are, or nothing."""
        if self.user is None:
            return b""
        return b"proxy-authorization: Basic " + b64encode(self.user.encode()) + b"\r\n"

    @property
    def url(self) -> str:
        name, colon, password = (self.user or "").partition(":")
        known = f"{quote(name, safe='')}{colon}{quote(password, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{known}{host}:{self.port}"


def proxy_at(url: str) -> Proxy:
    """The proxy of a URL such as `http://name:password@host:3128`. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("a proxy is an address such as http://host:3128")
    user = None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(parts.hostname, parts.port or 80, user)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections go. `ca_file` adds certificates to trust; None means the machine's own. `client_cert_file` is
    what we show of ourselves, with its key in `client_key_file` unless that is in the same file. `http2`: it is asked
    in HTTP/2, if it speaks that."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None
    proxy: Proxy | None = None
    http2: bool = False

    @property
    def authority(self) -> bytes:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return (host if self.port == usual else f"{host}:{self.port}").encode()


@fact(frozen=True, slots=True)
class Outgoing:
    """A request: `headers` without host and framing, `target` in origin form, `body` whole."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""
    repeatable: bool = False


class Answer(Protocol):
    """What came back. Whoever has one must read it to its end or close it."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...

    def ended(self) -> bool:
        """Whether it is known already that nothing more will come."""
        ...

    @property
    def framed(self) -> bool:
        """Whether the answer says itself where it ends; otherwise a break looks like an end."""
        ...

    async def chunk(self) -> bytes:
        """The next bytes of the body as they came, b"" at its end. Raises UpstreamFailure when it breaks off."""
        ...

    def close(self) -> None:
        """Give up what was not read. Harmless after the end."""
        ...


class AnswerInHand:
    """An answer that was read to its end already."""

    framed = True

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._handed_over = False

    def ended(self) -> bool:
        return self._handed_over

    async def chunk(self) -> bytes:
        self._handed_over = True
        return self.body

    def close(self) -> None:
        self._handed_over = True


async def read_to_end(answer: Answer, most_bytes: int | None = None) -> AnswerInHand:
    """All of an answer, or its beginning when it has more than `most_bytes`. Raises UpstreamFailure."""
    body = bytearray()
    while not answer.ended() and (most_bytes is None or len(body) < most_bytes):
        body += await answer.chunk()
    return AnswerInHand(answer.status, answer.headers, bytes(body))


class Upstream(Protocol):
    """The port."""

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        """Send and return when the head of the answer is there. Raises UpstreamFailure."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Bounds of the adapters; counts are per origin."""

    connect_seconds: float = 10.0
    first_byte_seconds: float = 600.0
    idle_seconds: float = 300.0
    """Longest silence inside an answer."""
    connections_max: int = 1000
    idle_connections_max: int = 100
    keep_idle_seconds: float = 30.0
    buffer_bytes: int = 256 * 1024
    """Read ahead of a slow client; beyond it the provider's connection is paused."""
    head_bytes_max: int = 256 * 1024
