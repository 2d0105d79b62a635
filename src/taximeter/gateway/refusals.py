"""Answers that the gateway gives itself, in the shape of the provider's own errors.

The official clients then raise what they would raise without a gateway in between. A refusal says "taximeter" in
its message, so that nobody looks for the reason at the provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from taximeter.gateway.kinds import Kind
from taximeter.gateway.upstream import Headers
from taximeter.limits.verdict import Refused


class Refusal(Exception):  # noqa: N818 - it is an answer, and most are not errors of ours
    """Ends the handling of a request with an answer of ours. `code` is stable; refusals are counted by it."""

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def answer(self, kind: Kind) -> tuple[Headers, bytes]:
        """Headers and body in the shape of a kind of provider."""
        body = kind.error(self.status, self.code, self.message)
        framing = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return [*framing, *kind.error_headers(self.status, self.code), *self.headers], body


def unknown_provider(names: Sequence[str]) -> Refusal:
    known = ", ".join(f"/{name}/" for name in names) or "none"
    return Refusal(404, "unknown_provider", f"taximeter: no such provider; configured are: {known}")


EVENT_ID_IN_USE: Final = "event_id_in_use"


def event_id_in_use() -> Refusal:
    return Refusal(409, EVENT_ID_IN_USE, "taximeter: calls by this X-Taximeter-Event-Id were made before")


def unfit_path() -> Refusal:
    return Refusal(400, "unfit_path", "taximeter: this path would leave the provider's base URL")


def no_key() -> Refusal:
    return Refusal(
        401,
        "missing_api_key",
        "taximeter: no key. Give a taximeter key where the provider's key goes, "
        "or in X-Taximeter-Key beside the provider's own.",
    )


def wrong_key() -> Refusal:
    return Refusal(401, "invalid_api_key", "taximeter: incorrect API key provided; it is unknown or revoked.")


def keys_unknown() -> Refusal:
    message = "taximeter: its store of keys does not answer, so nobody can tell whether this key is good; try again."
    return Refusal(503, "keys_unavailable", message, [(b"retry-after", b"1")])


def wrong_scope(scope: str) -> Refusal:
    return Refusal(403, "wrong_scope", f"taximeter: this key has the scope '{scope}'; the gateway needs 'gateway'.")


def no_provider_key(name: str) -> Refusal:
    return Refusal(
        401,
        "no_provider_key",
        f"taximeter: no key for the provider '{name}'. Configure its api_key, or send the provider's own key "
        "and put the taximeter key into X-Taximeter-Key.",
    )


def body_too_large(limit_bytes: int) -> Refusal:
    return Refusal(413, "request_too_large", f"taximeter: the request body exceeds {limit_bytes} bytes.")


def unrecordable() -> Refusal:
    return Refusal(503, "unrecordable", "taximeter: the call cannot be recorded now, and is configured to be refused.")


class Shortened(Refusal):
    """A stream may not go on, and is to end as if its own allowance were used up, where its protocol can say so."""


def stream_limited(limit: str | None, *, cleanly: bool) -> Refusal:
    """What ends a stream that cannot be covered; `limit` stood in its way, None when it is not known."""
    which = "a limit" if limit is None else f"the limit '{limit}'"
    kind = Shortened if cleanly else Refusal
    return kind(429, "limit_reached", f"taximeter: {which} is reached, and the answer ends here.")


def limit_exceeded(refused: Refused) -> Refusal:
    """A call that does not fit. Clients of the providers neither retry nor wait: it would not help."""
    headers = [(b"retry-after", b"%d" % refused.retry_after_seconds), (b"x-should-retry", b"false")]
    return Refusal(429, "limit_exceeded", f"taximeter: {refused.message}.", headers)


def limits_unavailable(message: str) -> Refusal:
    return Refusal(503, "limits_unavailable", f"taximeter: {message}.", [(b"retry-after", b"1")])


def upstream_failed(status: int, kind: str, message: str) -> Refusal:
    return Refusal(status, kind, f"taximeter: {message}")
