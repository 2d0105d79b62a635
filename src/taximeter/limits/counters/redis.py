"""Counters in Redis or Valkey, for many processes. One script (`ledger.lua`), one round trip for each step.

All keys share the hash tag `{taximeter}`, so that a cluster keeps them on one node and the script stays atomic. A hold
is never given a life of its own while it is open: whoever calls `expire` posts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, Final

from taximeter.clock import Clock
from taximeter.errors import ConfigurationError, Mistake
from taximeter.limits.counters import Bucket, Claim, Claims, CountersAway, Standing

PREFIX: Final = "{taximeter}:"
_INDEX: Final = PREFIX + "holds"
_GENERATION: Final = PREFIX + "generation"

ENDED_LIFE_MS: Final = 24 * 3600 * 1000
"""How long an ended call is remembered when nobody says that the store has it."""
STORED_LIFE_MS: Final = 10 * 60 * 1000
EXPIRED_LIFE_MS: Final = 40 * 24 * 3600 * 1000

TIMEOUT_SECONDS: Final = 0.5
"""Longest wait for an answer; then the policy for counters that are away holds."""

PAUSE_SECONDS: Final = 1.0
"""After a failure nobody asks again for so long: a call must not wait for what does not answer."""

MOST_AT_ONCE: Final = 1_000
"""Buckets of one step: 30 ms, in which Redis does nothing else."""

MOST_EXPIRED_AT_ONCE: Final = 1_000

_DONE, _ENDED_BEFORE, _UNNAMED, _EMPTY = 1, 2, 3, 4


class RedisCounters:
    """`Counters` behind a URL: `redis://`, `rediss://`, or `redis+cluster://`. Safe to use from many threads."""

    def __init__(self, url: str, clock: Clock, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Opens no connection. Raises ConfigurationError when the client library is not installed."""
        self._client = _client(url, timeout_seconds)
        self._script = self._client.register_script(_source())
        self._clock = clock
        self._away_until = float("-inf")

    def reserve(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        return _refusal(self._run("reserve", event_id, claims, now_us, expires_us))

    def extend(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        return _refusal(self._run("extend", event_id, claims, now_us, expires_us))

    def settle(
        self, event_id: str, claims: Claims, *, now_us: int, at_least_held: bool = False, last: bool = False
    ) -> Sequence[Standing] | None:
        flags = "bound" if at_least_held else "last" if last else ""
        life_ms = STORED_LIFE_MS if last else ENDED_LIFE_MS
        answer = self._run("settle", event_id, claims, now_us, flags=flags, life_ms=life_ms)
        return None if answer[0] == _ENDED_BEFORE else _standings(answer[1 : 1 + 2 * len(claims)])

    def void(self, event_id: str) -> None:
        self._run("void", event_id, (), 0)

    def expire(self, *, now_us: int) -> int:
        late = self._asked(
            lambda: self._client.zrangebyscore(_INDEX, "-inf", now_us, start=0, num=MOST_EXPIRED_AT_ONCE)
        )
        answers = [self._run("expire", event_id, (), now_us, life_ms=EXPIRED_LIFE_MS) for event_id in late]
        return sum(answer[0] == _DONE for answer in answers)

    def standings(self, buckets: Sequence[Bucket]) -> Sequence[Standing]:
        claims = [Claim(bucket, 0) for bucket in buckets]
        return [one for some in _in_parts(claims) for one in _standings(self._run("read", "", some, 0)[1:])]

    def raise_to(self, claims: Claims, *, now_us: int) -> None:
        for some in _in_parts(claims):
            self._run("raise", "", some, now_us)

    def generation(self) -> str | None:
        found: str | None = self._asked(lambda: self._client.get(_GENERATION))
        return found

    def filled(self, generation: str) -> None:
        self._asked(lambda: self._client.set(_GENERATION, generation, nx=True))

    def _run(
        self,
        operation: str,
        event_id: str,
        claims: Claims,
        now_us: int,
        expires_us: int = 0,
        *,
        flags: str = "",
        life_ms: int = ENDED_LIFE_MS,
    ) -> list[Any]:
        keys = [PREFIX + "h:" + event_id, _INDEX, _GENERATION, *(PREFIX + "b:" + bucket.slot for bucket, _ in claims)]
        arguments: list[object] = [operation, now_us, expires_us, event_id, flags, life_ms]
        for bucket, amount in claims:
            arguments += _arguments(bucket, amount, now_us)
        answer = self._asked(lambda: self._script(keys=keys, args=arguments))
        if answer[0] == _UNNAMED:  # the hold has something in buckets of limits that are no more
            keys += answer[1:]
            arguments += ["", -1, "", 0, ENDED_LIFE_MS, 0] * (len(answer) - 1)
            answer = self._asked(lambda: self._script(keys=keys, args=arguments))
        if answer[0] == _EMPTY:
            raise CountersAway("Redis has lost what was counted; it is being counted anew")
        return list(answer)

    def _asked(self, ask: Any) -> Any:
        from redis.exceptions import ReadOnlyError, RedisError

        if self._clock.monotonic() < self._away_until:
            raise CountersAway("Redis does not answer; asked again in a moment")
        try:
            return ask()
        except (RedisError, OSError) as error:
            if isinstance(error, ReadOnlyError):
                self._let_go()
            self._away_until = self._clock.monotonic() + PAUSE_SECONDS
            raise CountersAway(f"Redis: {error}") from error

    def _let_go(self) -> None:
        """Look for the address anew: what was led to has become a replica, and would stay connected as one for ever."""
        pool = getattr(self._client, "connection_pool", None)  # a cluster's client looks for itself
        if pool is not None:
            pool.disconnect()


def _in_parts(claims: Claims) -> Iterator[Claims]:
    """Claims in so small parts that no step keeps the others waiting."""
    for first in range(0, len(claims), MOST_AT_ONCE):
        yield claims[first : first + MOST_AT_ONCE]


def _client(url: str, timeout_seconds: float) -> Any:
    try:
        import redis
    except ImportError:
        needed = Mistake("store.counters", "counters in Redis need its client: pip install 'taximeter[redis]'")
        raise ConfigurationError("configuration", [needed]) from None
    wanted = {"decode_responses": True, "socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    if url.startswith("redis+cluster://"):
        return redis.RedisCluster.from_url("redis://" + url.partition("://")[2], **wanted)
    return redis.Redis.from_url(url, **wanted)


def _source() -> str:
    return resources.files(__package__).joinpath("ledger.lua").read_text(encoding="utf-8")


def _arguments(bucket: Bucket, amount: int, now_us: int) -> tuple[object, ...]:
    life_ms = max((bucket.keep_until_us - now_us) // 1000, 60_000) if now_us else ENDED_LIFE_MS
    cap = -1 if bucket.cap is None else bucket.cap
    step = "" if bucket.step_us is None else bucket.step_us
    return amount, cap, step, bucket.reach_us, min(life_ms, 2**53), int(bucket.transient)


def _refusal(answer: Sequence[Any]) -> list[Standing] | None:
    return None if answer[0] == _DONE else _standings(answer[1:])


def _standings(flat: Sequence[Any]) -> list[Standing]:
    return [Standing(int(flat[i]), int(flat[i + 1])) for i in range(0, len(flat), 2)]
