"""When a provider is tried again, and who stands in for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from taximeter.gateway.upstream import FailureKind

Reason = Literal["timeout", "connect"]

REASONS: Final = ("429", "5xx", "timeout", "connect")
"""What is tried again unless something else is said; statuses may also be named one by one."""

LONGEST_WAIT_SECONDS: Final = 30.0
"""A provider that asks for a longer pause (`Retry-After`) is not tried again; the next one is."""

_REASON_OF: Final[dict[FailureKind, Reason]] = {
    "connect_failed": "connect",
    "tls_failed": "connect",
    "no_free_connection": "connect",
    "connect_timeout": "timeout",
    "first_byte_timeout": "timeout",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`attempts` at the provider itself, the first included; `fallback` are further providers, each with the model
    to ask there for (None: the same). The pause before attempt n + 1 is `backoff_seconds` * 2 ** (n - 1)."""

    attempts: int = 1
    on: frozenset[str] = frozenset(REASONS)
    backoff_seconds: float = 0.5
    fallback: tuple[tuple[str, str | None], ...] = ()

    @property
    def is_on(self) -> bool:
        return self.attempts > 1 or bool(self.fallback)

    def applies_to(self, status: int | None, failure: FailureKind | None) -> bool:
        """Whether an outcome is one that is tried again."""
        if failure is not None:
            return _REASON_OF.get(failure, "") in self.on
        return str(status) in self.on or f"{(status or 0) // 100}xx" in self.on


NOT_AGAIN: Final = Policy()
