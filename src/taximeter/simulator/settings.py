"""Everything about the simulated providers that can be set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Mode = Literal["generate", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the simulated providers behave. The defaults answer at once and never fail: what tests want.

    `latency_ms` is the median of a log-normal time to the first token and `latency_spread` its sigma;
    `tokens_per_second` paces the output (0: at once). `fault_rates` maps kinds of `faults.KINDS` to a share of calls.
    `api_keys` empty accepts every key that does not contain "invalid".
    """

    mode: Mode = "generate"
    latency_ms: float = 0
    latency_spread: float = 0.4
    tokens_per_second: float = 0
    tokens_per_chunk: int = 1
    output_tokens_median: int = 120
    output_tokens_spread: float = 0.7
    output_tokens_max: int = 4096
    reasoning_tokens_median: int = 200
    cache_min_tokens: int = 1024
    fault_rates: Mapping[str, float] = field(default_factory=dict)
    slow_ms: float = 5000
    retry_after_seconds: float = 1
    requests_per_minute: int = 0
    api_keys: frozenset[str] = frozenset()
    ledger_file: Path | None = None
    seed: int | None = None
    body_limit_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one request asks of the simulator, by `X-Simulator-*` headers or a body field `simulator: {...}`.

    `fault_attempts` limits a fault to the first tries of a client that counts its retries.
    """

    case: str | None = None
    fault: str | None = None
    fault_attempts: int | None = None
    cut_after_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    latency_ms: float | None = None
    tokens_per_second: float | None = None


_KINDS: Final[dict[str, Callable[[Any], Any]]] = {
    "case": str,
    "fault": str,
    "fault_attempts": int,
    "cut_after_tokens": int,
    "output_tokens": int,
    "reasoning_tokens": int,
    "latency_ms": float,
    "tokens_per_second": float,
}
HEADER_PREFIX = b"x-simulator-"
NO_WISH = Wish()


def wish_of(headers: Mapping[bytes, bytes], body_field: object) -> Wish:
    """The wish of a request; headers win over the body field. Raises ValueError for an unknown or misshapen one."""
    asked: dict[str, object] = dict(body_field) if isinstance(body_field, Mapping) else {}
    for name, value in headers.items():
        if name.startswith(HEADER_PREFIX):
            asked[name[len(HEADER_PREFIX) :].decode("latin-1").replace("-", "_")] = value.decode("latin-1")
    if not asked:
        return NO_WISH
    unknown = sorted(asked.keys() - _KINDS.keys())
    if unknown:
        raise ValueError(f"the simulator does not know {', '.join(unknown)}; it knows {', '.join(_KINDS)}")
    return Wish(**{name: _KINDS[name](value) for name, value in asked.items()})
