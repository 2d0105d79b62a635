"""Which limits a call falls under, and the bucket of each.

What calls of one kind have in common is found once: the limits of a subject are remembered, and so is the bucket of
each as long as its window lasts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, NamedTuple

from taximeter.config.limits import Limit
from taximeter.core.attribution import TAG_PREFIX, Attribution
from taximeter.limits.amounts import MEASURES, Amounts
from taximeter.limits.counters import Bucket, Claims
from taximeter.limits.window import FOREVER_US, Span, reach_of, resets_at, span_at, step_of

MOST_SUBJECTS: Final = 20_000
"""Subjects whose limits are remembered; beyond it all are found anew."""

COUNTED: Final = ("requests", "concurrent")
"""Measures of which a call is one, whatever it costs."""

KEEP_US: Final = 2 * 86_400 * 1_000_000
"""How long the counter of a window outlives it at most: for calls that end late, and for clocks that jump back."""

LEAST_KEEP_US: Final = 3_600 * 1_000_000
"""The same at least; in between it is four times the window. Of a limit by the minute each user has a counter for each
of them."""

Subject = Mapping[str, str]
"""The attributes of a call that a scope may name, as `config.limits.DIMENSIONS` and `tags.NAME` call them."""


def subject_of(
    attribution: Attribution, *, provider: str | None = None, model: str | None = None, key_id: str | None = None
) -> Subject:
    """The subject that a call is."""
    named = {
        "user_id": attribution.user_id,
        "team": attribution.team,
        "tenant": attribution.tenant,
        "feature": attribution.feature,
        "endpoint": attribution.endpoint,
        "environment": attribution.environment,
        "service": attribution.service,
        "api_key_id": key_id,
        "model": model,
        "provider": provider,
    }
    subject = {name: value for name, value in named.items() if value is not None}
    for name, value in attribution.tags.items():
        subject[TAG_PREFIX + name] = value
    return subject


def subject_of_record(record: Mapping[str, Any]) -> Subject:
    """The subject that a stored event was."""
    subject = {name: value for name in _IN_RECORDS if isinstance(value := record.get(name), str)}
    if isinstance(model := record.get("request_model"), str):
        subject["model"] = model
    for name, value in (record.get("tags") or {}).items():
        subject[TAG_PREFIX + name] = value
    return subject


_IN_RECORDS: Final = (
    "user_id",
    "team",
    "tenant",
    "feature",
    "endpoint",
    "environment",
    "service",
    "api_key_id",
    "provider",
)


class Known(NamedTuple):
    """A bucket and when it holds."""

    from_us: int
    until_us: int
    bucket: Bucket


@dataclass(slots=True)
class Ruled:
    """A limit as it holds for one value of its `each`. Its bucket is made anew when the window turns."""

    limit: Limit
    value: str
    exact: bool = False
    """Whether it refuses what does not fit, and must not be overspent."""
    first_told: int = FOREVER_US
    """What is spent when its first threshold may be reached."""
    _known: Known | None = None

    def __post_init__(self) -> None:
        limit = self.limit
        self.exact = limit.caps and limit.admission == "exact"
        if limit.warn_at and limit.measure != "concurrent":
            least = limit.overrides.get(self.value, limit.amount)  # a raise only adds to it
            self.first_told = -(-limit.warn_at[0] * least // 100)

    def bucket(self, at_us: int) -> Bucket:
        """The bucket of an instant."""
        return self.known(at_us).bucket

    def known(self, at_us: int) -> Known:
        """The bucket of an instant, and when it holds."""
        known = self._known
        if known is None or not known.from_us <= at_us < known.until_us:
            span = span_at(self.limit.window, at_us)
            bucket = bucket_of(self.limit, self.value, span, at_us)
            known = self._known = Known(span.start_us, _next_change(self.limit, span, at_us), bucket)
        return known

    def span(self, at_us: int) -> Span:
        """The window of an instant; of a rolling one all that counts then."""
        span = span_at(self.limit.window, at_us)
        return Span(reach_of(self.limit.window, span), span.end_us)

    def resets_at(self, at_us: int) -> int | None:
        return resets_at(self.limit.window, span_at(self.limit.window, at_us))


def _next_change(limit: Limit, span: Span, at_us: int) -> int:
    """Until when the bucket holds: the window's end, or the end of a raise before it."""
    return min([span.end_us, *(one.until_us for one in limit.raises if one.until_us > at_us)])


def bucket_of(limit: Limit, value: str, span: Span, at_us: int) -> Bucket:
    """The bucket of a limit for one value in a window (or in a step of one)."""
    rolls = limit.window.kind == "rolling"
    name = f"{limit.name}|{fingerprint(limit)}|{value}|"
    length_us = limit.window.seconds * 1_000_000 + step_of(limit.window) if rolls else 0
    return Bucket(
        slot=name if rolls else f"{name}{span.start_us}",
        cap=limit.amount_of(value, at_us) if limit.caps else None,
        keep_until_us=min(span.end_us + (2 * length_us + KEEP_US if rolls else _kept_us(span)), FOREVER_US),
        step_us=span.start_us if rolls else None,
        reach_us=reach_of(limit.window, span),
        transient=limit.measure == "concurrent",
    )


def _kept_us(span: Span) -> int:
    return min(max(4 * (span.end_us - span.start_us), LEAST_KEEP_US), KEEP_US)


def fingerprint(limit: Limit) -> str:
    """What a counter depends on: a limit that counts something else by the same name has counters of its own."""
    where = sorted((name, sorted(values)) for name, values in limit.where)
    text = repr((limit.measure, limit.window, where, limit.each))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class Applicable(tuple[Ruled, ...]):
    """The limits that calls of one kind fall under, with what admission asks of them found once."""

    def __init__(self, _ruled: Iterable[Ruled] = ()) -> None:
        self.exact: Final = tuple([one for one in self if one.exact])
        self.bounded: Final = tuple([one for one in self.exact if one.limit.measure not in COUNTED])
        """Those that need an upper bound of the call."""
        self.money: Final = tuple([one for one in self if one.limit.measure == "cost_usd"])
        self.acting: Final = tuple([one for one in self if one.limit.action.kind in ("downgrade", "throttle")])
        self.places_of_exact: Final = sorted({MEASURES.index(one.limit.measure) for one in self.exact})
        """In the order of `MEASURES`."""
        places = [MEASURES.index(one.limit.measure) + (0 if one.exact else len(MEASURES)) for one in self]
        self._amounts = itemgetter(*places, 0)  # one more, as it answers no tuple for a single place
        self._known: tuple[int, int, tuple[Bucket, ...]] = (0, 0, ())

    def buckets(self, at_us: int) -> tuple[Bucket, ...]:
        """The bucket of each at an instant."""
        from_us, until_us, buckets = self._known
        if not from_us <= at_us < until_us:
            known = [one.known(at_us) for one in self]
            buckets = tuple([one.bucket for one in known])
            from_us, until_us = max([one.from_us for one in known]), min([one.until_us for one in known])
            self._known = (from_us, until_us, buckets)
        return buckets

    def claims(self, at_us: int, exact: Amounts, usual: Amounts) -> Claims:
        """What a call claims of each: of those that must not be overspent `exact`, of the others `usual`."""
        if not self:
            return []
        amounts = self._amounts(exact.by_measure() + usual.by_measure())
        return list(zip(self.buckets(at_us), amounts, strict=False))


NO_LIMITS: Final = Applicable()


class Rules:
    """The limits in force. Immutable but for what it remembers; safe to share between threads."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limits: Final = tuple(limits)
        self._names = sorted({name for limit in limits for name in (*dict(limit.where), *limit.each)})
        self._known: dict[tuple[str | None, ...], Applicable] = {}
        self._met: dict[tuple[str, str], Ruled] = {}

    def about(self, subject: Subject) -> Applicable:
        """The limits that a subject falls under."""
        get = subject.get
        key = tuple([get(name) for name in self._names])
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_SUBJECTS:
                self._known.clear()
            values = [(limit, value_of(limit, subject)) for limit in self.limits]
            found = Applicable([self.meet(limit, value) for limit, value in values if value is not None])
            self._known[key] = found
        return found

    def meet(self, limit: Limit, value: str) -> Ruled:
        """A limit for one value, which is remembered."""
        key = (limit.name, value)
        found = self._met.get(key)
        if found is None:
            if len(self._met) >= MOST_SUBJECTS:
                self._met.pop(next(iter(self._met)))
            found = self._met[key] = Ruled(limit, value)
        return found

    def ruled(self) -> list[Ruled]:
        """Every limit for every value that was met so far."""
        for limit in self.limits:
            if not limit.each:
                self.meet(limit, "")
        return [one for _, one in sorted(self._met.copy().items())]


def whose(limit: Limit, value: str) -> dict[str, str]:
    """What all calls that spend an amount have in common: the attributes that the scope gives one value."""
    values = parts_of(value) if len(limit.each) > 1 else [value]
    common = {name: next(iter(among)) for name, among in limit.where if len(among) == 1}
    return common | {name: one for name, one in zip(limit.each, values, strict=False) if one}


def value_of(limit: Limit, subject: Subject) -> str | None:
    """The value of `each` whose amount a subject spends ("" without `each`); None: the limit is not about it."""
    for name, values in limit.where:
        if subject.get(name) not in values:
            return None
    if not limit.each:
        return ""
    named = [subject.get(name) for name in limit.each]
    if None in named and limit.unattributed == "exempt":
        return None
    if len(named) == 1:
        return named[0] or ""
    return "/".join((value or "").replace("/", "%2F") for value in named)


def parts_of(value: str) -> list[str]:
    """What `value_of` made one text of, where a limit has an amount for each combination."""
    return [part.replace("%2F", "/") for part in value.split("/")]
