"""Request and answer heads: what is ours, what is secret, what belongs to one hop, and what travels on.

Values of attribution headers are text in UTF-8 (Latin-1 where the bytes are not UTF-8) and percent-decoded, so that
every client can send every character: `M%C3%BCller`, `100%25`, and in `X-Taximeter-Tags: k=v,k2=v2` a comma as `%2C`.
A `%` that no two hex digits follow stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from taximeter.core.attribution import NOBODY, Attribution, attribution
from taximeter.gateway.upstream import Headers

OURS: Final = b"x-taximeter-"

_DIMENSIONS: Final = {
    b"user": "user_id",
    b"team": "team",
    b"tenant": "tenant",
    b"feature": "feature",
    b"endpoint": "endpoint",
    b"environment": "environment",
    b"prompt-version": "prompt_version",
    b"session": "session_id",
    b"service": "service",
    b"service-version": "service_version",
}

_ATTRIBUTION_HEADERS: Final = frozenset((*_DIMENSIONS, b"tags"))

Attributes = tuple[tuple[bytes, bytes], ...]
"""Attribution headers, without what all our headers begin with."""

MOST_REMEMBERED: Final = 4096
"""Sets of attribution headers whose meaning is kept: the same few come again and again."""

_TRAVELS, _DROP, _SECRET, _NOTE, _ENCODING, _LENGTH, _OURS = range(7)
_HOP_BY_HOP: Final = (
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
_REQUEST_ROLES: Final = {
    **dict.fromkeys(_HOP_BY_HOP, _DROP),
    # Framing and host are written anew; cookies are those of our own page; the others tell of the way to us.
    **dict.fromkeys((b"host", b"expect", b"cookie"), _DROP),
    **dict.fromkeys((b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"), _DROP),
    **dict.fromkeys((b"sec-websocket-protocol", b"sec-websocket-accept"), _DROP),
    **dict.fromkeys((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"), _DROP),
    **dict.fromkeys((b"x-forwarded-port", b"x-real-ip"), _DROP),
    **dict.fromkeys((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"), _SECRET),
    # Parts of a signature that was made for our host.
    **dict.fromkeys((b"x-amz-date", b"x-amz-content-sha256", b"x-amz-security-token"), _DROP),
    **dict.fromkeys((b"x-stainless-retry-count", b"idempotency-key", b"x-client-request-id"), _NOTE),
    **dict.fromkeys((b"x-request-id", b"traceparent", b"content-encoding", b"content-type"), _NOTE),
    **dict.fromkeys((b"amz-sdk-invocation-id", b"amz-sdk-request"), _NOTE),
    b"accept-encoding": _ENCODING,
    b"content-length": _LENGTH,
}
# A provider's cookie would be set for the host of our own page.
_ANSWER_DROPS: Final = frozenset((*_HOP_BY_HOP, b"content-length", b"set-cookie"))

_SIGNATURE: Final = b"AWS4-HMAC-SHA256"

IN_QUERY: Final = b"?"
"""What the name of a credential begins with that is a parameter of the query."""

READABLE_ENCODINGS: Final = frozenset((b"gzip", b"deflate", b"identity"))

_roles: Final[dict[bytes, int]] = dict(_REQUEST_ROLES)
"""Roles of all names that came so far, `MOST_REMEMBERED` at most."""


def _role_of(name: bytes) -> int:
    """The role of a header that did not come before."""
    role = _OURS if name.startswith(OURS) else _TRAVELS
    if len(_roles) < MOST_REMEMBERED:
        _roles[name] = role
    return role


class RequestHead:
    """The headers of a request, sorted by whose they are."""

    __slots__ = ("accept_encoding", "content_length", "forward", "notes", "ours", "secrets")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.forward: Headers = []
        self.secrets: Headers = []
        self.notes: dict[bytes, bytes] = {}
        self.ours: dict[bytes, bytes] = {}
        self.accept_encoding: bytes | None = None
        self.content_length: int | None = None
        forward, connection = self.forward, None
        for header in headers:
            name, value = header
            role = _roles.get(name)
            if role is None:
                role = _role_of(name)
            if role == _TRAVELS:
                forward.append(header)
            elif role == _OURS:
                self._take_ours(name[len(OURS) :], value)
            elif role == _NOTE:
                self.notes[name] = value
                forward.append(header)
            elif role == _SECRET:
                self.secrets.append(header)
            elif role == _ENCODING:
                self.accept_encoding = value
            elif role == _LENGTH:
                self.content_length = int(value)
            elif name == b"connection":
                connection = value
        if connection is not None and connection not in (b"keep-alive", b"close"):
            self._drop_named(connection)

    def take_query_keys(self, query: bytes, names: tuple[bytes, ...]) -> bytes:
        """Take the credentials out of a query string, so that they go nowhere by themselves; what is left of it."""
        left = []
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if unquote_to_bytes(name) in names:
                self.secrets.append((IN_QUERY + unquote_to_bytes(name), unquote_to_bytes(value)))
            else:
                left.append(pair)
        return b"&".join(left)

    def _take_ours(self, name: bytes, value: bytes) -> None:
        """A header given again replaces the one before it; tags are a list, which goes on."""
        if name == b"tags" and name in self.ours:
            value = self.ours[name] + b"," + value
        self.ours[name] = value

    def _drop_named(self, connection: bytes) -> None:
        named = {token.strip() for token in connection.lower().split(b",")}
        self.forward = [header for header in self.forward if header[0] not in named]

    def note(self, name: bytes) -> str | None:
        value = self.notes.get(name)
        return None if value is None else text_of(value)

    @property
    def attributes(self) -> Attributes:
        """The attribution headers."""
        return tuple([header for header in self.ours.items() if header[0] in _ATTRIBUTION_HEADERS])

    def attribution(self) -> Attribution:
        """What the attribution headers say."""
        return attribution_of(self.attributes)


@lru_cache(maxsize=MOST_REMEMBERED)
def attribution_of(said: Attributes) -> Attribution:
    """What attribution headers say."""
    if not said:
        return NOBODY
    named: dict[str, Any] = {
        _DIMENSIONS[name]: unquote(text_of(value)) for name, value in said if name != b"tags" and value
    }
    named["tags"] = _tags(text_of(dict(said).get(b"tags", b"")))
    return attribution(**named)


def text_of(value: bytes) -> str:
    """A header's value as text: UTF-8, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _tags(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(","))
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs if key.strip()}


def secret_in(name: bytes, value: bytes) -> str | None:
    """The secret of a credential header, None when it holds none. Of a signature it is the id of the access key."""
    if name == b"authorization":
        scheme, _, value = value.partition(b" ")
        if scheme == _SIGNATURE:
            value = value.partition(b"Credential=")[2].partition(b"/")[0]
        elif scheme.lower() != b"bearer":
            return None
    return text_of(value.strip()) or None


def is_signature(name: bytes, value: bytes) -> bool:
    """Whether a credential is a signature of the request: good for the host that it was sent to, and no other."""
    return name == b"authorization" and value.startswith(_SIGNATURE)


def trace_of(traceparent: str | None) -> tuple[str, str] | None:
    """Trace and span id of a W3C `traceparent`, None when it is none."""
    if traceparent is None:
        return None
    parts = traceparent.strip().lower().split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return None
    if not _is_hex_id(parts[1]) or not _is_hex_id(parts[2]):
        return None
    return parts[1], parts[2]


def _is_hex_id(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text) and text.strip("0") != ""


@lru_cache(maxsize=MOST_REMEMBERED)
def readable_encodings(accepted: bytes) -> bytes:
    """`accept-encoding` reduced to what the tap can read, in the client's own order and weights."""
    kept = [item for item in accepted.split(b",") if item.partition(b";")[0].strip().lower() in READABLE_ENCODINGS]
    return b",".join(kept).strip() or b"identity"


def answer_headers(headers: Headers) -> Headers:
    """A provider's headers as the client gets them: all but those of the hop, of the framing, and ours."""
    return [header for header in headers if header[0] not in _ANSWER_DROPS and not header[0].startswith(OURS)]


def by_name(headers: Headers) -> dict[bytes, bytes]:
    """The first value of each header: providers send thirty, and several are asked for."""
    return dict(reversed(headers))


def first(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header."""
    for header in headers:
        if header[0] == name:
            return header[1]
    return None
