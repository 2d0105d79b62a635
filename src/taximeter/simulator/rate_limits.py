"""Requests a minute for each key, and what the providers say about them in headers."""

from __future__ import annotations

from dataclasses import dataclass

MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether one more request fits; `remaining` after it, and the wait until one would fit again."""

    granted: bool
    limit: int
    remaining: int
    wait_seconds: float


class RequestRate:
    """A token bucket for each key, holding at most a minute's worth."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, now: float) -> Allowance:
        """Take one request of `key` at a monotonic time in seconds."""
        full = float(self._per_minute)
        level, since = self._buckets.get(key, (full, now))
        level = min(full, level + (now - since) * full / 60)
        granted = level >= 1
        if granted:
            level -= 1
        if len(self._buckets) >= MOST_KEYS and key not in self._buckets:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[key] = (level, now)
        return Allowance(granted, self._per_minute, int(level), max(0.0, (1 - level) * 60 / full))
