"""What is the same in all answers of one provider: its headers, its errors, where it looks for the caller's key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

import msgspec

from taximeter.simulator.asking import Refusal
from taximeter.simulator.rate_limits import Allowance

Headers = list[tuple[bytes, bytes]]

Known = tuple[int, str, str | None, str]
"""HTTP status, type, code, message."""

USUAL_REFUSALS: Final[dict[str, Known]] = {
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again in {retry}s."),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    "overloaded": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "bad_request": (400, "invalid_request_error", None, "The simulator was asked to refuse this request."),
    "unauthorized": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "no_key": (401, "invalid_request_error", None, "You didn't provide an API key."),
    "not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "no_path": (404, "invalid_request_error", None, "Invalid URL."),
    "no_method": (405, "invalid_request_error", "method_not_supported", "Not allowed to use this method here."),
    "too_large": (413, "invalid_request_error", None, "The request is too large."),
}
"""What OpenAI says, and with it whoever speaks its protocol."""


def usual_body(refusal: Refusal, _request_id: str) -> bytes:
    error = {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}
    return msgspec.json.encode({"error": error})


def usual_headers(request_id: str, chance: Random) -> Headers:
    return [
        (b"x-request-id", request_id.encode()),
        (b"openai-organization", b"org-simulator"),
        (b"openai-processing-ms", b"%d" % chance.randint(20, 900)),
        (b"openai-version", b"2020-10-01"),
    ]


def usual_rate_headers(allowance: Allowance, _now_us: int) -> Headers:
    return [
        (b"x-ratelimit-limit-requests", b"%d" % allowance.limit),
        (b"x-ratelimit-remaining-requests", b"%d" % allowance.remaining),
        (b"x-ratelimit-reset-requests", b"%dms" % round(allowance.wait_seconds * 1000)),
    ]


def request_id_in(name: bytes) -> Callable[[str, Random], Headers]:
    """Headers that hold the id of the request and nothing else."""
    return lambda request_id, _chance: [(name, request_id.encode())]


def no_headers(_: object) -> Headers:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How one provider behaves whatever it is asked. Defaults are OpenAI's.

    `error_body(refusal, request_id)`; `headers(request_id, chance)` of every answer; `error_headers(refusal)` of
    refusals only; `rate_headers(allowance, now_us)`. `needs_key` False serves callers without a key.
    """

    provider: str
    refusals: Mapping[str, Known] = field(default_factory=lambda: USUAL_REFUSALS)
    error_body: Callable[[Refusal, str], bytes] = usual_body
    headers: Callable[[str, Random], Headers] = usual_headers
    error_headers: Callable[[Refusal], Headers] = no_headers
    rate_headers: Callable[[Allowance, int], Headers] = usual_rate_headers
    needs_key: bool = True

    def refusal(self, kind: str, retry_after_seconds: float = 0) -> Refusal:
        """The usual refusal of a kind of `USUAL_REFUSALS`."""
        status, error_type, code, message = self.refusals[kind]
        return Refusal(status, error_type, message.format(retry=retry_after_seconds), code=code)
