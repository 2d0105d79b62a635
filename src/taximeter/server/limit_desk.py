"""The limits of a server: those of its file, those set over the API, how they stand, and what was crossed."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from taximeter.clock import Clock, rfc3339
from taximeter.config.limits import Limit, LimitProblems, read_limit, shown_amount
from taximeter.errors import NotFoundError, PermissionDeniedError, StoreError, UnavailableError, UsageError
from taximeter.limits.amounts import Amounts
from taximeter.limits.burn import Samples, burning, exhausts_at, per_hour
from taximeter.limits.counters import Claim, Counters, CountersAway, Standing
from taximeter.limits.guard import LimitGuard, Policy, told_once_for
from taximeter.limits.rules import Ruled, Rules, whose
from taximeter.limits.verdict import Crossing, HighestRates, Unseen, scope_of
from taximeter.limits.window import FOREVER_US, span_at
from taximeter.reports.limit_simulation import simulate
from taximeter.reports.limit_spending import bucket_of_part, parts_of, spent_of
from taximeter.store.events import EventStore
from taximeter.store.metadata import LimitBook, LimitCrossing, UnseenCall, Version, provenance

MOST_SHOWN: Final = 200
"""Values of one limit that are shown, those nearest to their amount first."""

MOST_SAMPLED: Final = 2_000
"""Buckets whose burn rate is followed."""

LONGEST_WAIT_US: Final = 60 * 1_000_000
"""How long a crossing may wait to be written down and be one of the moment when it was seen."""

MOST_WAITING: Final = 10_000
"""Crossings, and calls unseen, that wait to be written down."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Defined:
    """A limit and where it is from: `version` None is the configuration file, which alone may change it."""

    limit: Limit
    version: Version | None

    def as_dict(self) -> dict[str, Any]:
        return {**self.limit.as_definition(), **provenance(self.version)}


class LimitDesk:
    """Owns the guard of a process, and keeps its rules as they are defined. Safe to use from many threads.

    `store` None: a gateway, which fills nothing. Methods that are for routes and jobs block.
    """

    def __init__(
        self,
        configured: Sequence[Limit],
        book: LimitBook,
        counters: Counters,
        rates: HighestRates,
        clock: Clock,
        *,
        store: EventStore | None,
        fail: Policy,
    ) -> None:
        """Raises StoreError."""
        self._configured = {limit.name: limit for limit in configured}
        self._book = book
        self._clock = clock
        self._store = store
        self._crossings: deque[LimitCrossing] = deque(maxlen=MOST_WAITING)
        self._unseen: deque[UnseenCall] = deque(maxlen=MOST_WAITING)
        self._samples: dict[str, Samples] = {}
        self._change = book.change_number()
        self._defined = self._read()
        self._refreshing = threading.Lock()
        self._counted = {one.limit.name: one.limit for one in self._defined}
        self.while_nothing_is_told: Callable[[Callable[[], None]], None] = _at_once
        """Runs what fills the counters from the store while no event is told to them: none counts twice."""
        self.guard = LimitGuard(
            Rules([one.limit for one in self._defined]),
            counters,
            rates,
            fail=fail,
            crossed=self._note_crossing,
            unseen=self._note_unseen,
        )

    # ── definitions ────────────────────────────────────────────────────────────────────────────────────────────

    def defined(self) -> Sequence[Defined]:
        """All limits in force, by name."""
        return self._defined

    def read(self, definition: Mapping[str, Any]) -> Limit:
        """What `set` would set. Raises UsageError with all that is wrong."""
        return _read(definition)

    def set(self, definition: Mapping[str, Any], changed_by: str) -> Defined:
        """A new limit, or a new version of one. Raises UsageError with all that is wrong, PermissionDeniedError for a
        limit of the file."""
        limit = _read(definition)
        self._refuse_provisioned(limit.name)
        self._book.set(limit.name, limit.as_definition(), changed_by)
        self._refresh_or_later()
        return self.one(limit.name)

    def remove(self, name: str, changed_by: str) -> None:
        """Raises NotFoundError, and PermissionDeniedError for a limit of the file."""
        self._refuse_provisioned(name)
        self._book.remove(name, changed_by)
        self._refresh_or_later()

    def one(self, name: str) -> Defined:
        """Raises NotFoundError."""
        found = next((one for one in self._defined if one.limit.name == name), None)
        if found is None:
            raise NotFoundError(f"there is no limit '{name}'", hint="see `taximeter limits list`")
        return found

    def told_history(self, name: str) -> list[dict[str, Any]]:
        """Every version of a limit that was set here, newest first; none of one of the file. Raises NotFoundError."""
        history = self._book.history(name)
        if not history:
            self.one(name)
        return [one.as_dict() for one in history]

    def simulated(self, wanted: Mapping[str, Any] | str, since: str) -> dict[str, Any]:
        """What a limit (a definition, or a name) would have refused. Raises UsageError, NotFoundError, StoreError."""
        if self._store is None:
            raise UnavailableError("this process is a gateway and keeps no events", hint="ask its collector")
        limit = self.one(wanted).limit if isinstance(wanted, str) else _read(wanted)
        return simulate(limit, self._store, since, self._clock.now_us()).as_dict()

    def _refuse_provisioned(self, name: str) -> None:
        if name in self._configured:
            raise PermissionDeniedError(
                f"the limit '{name}' is in the configuration file", hint="change it there and start again"
            )

    def refresh(self) -> None:
        """Take up what was changed, by whomever. For a job; raises CountersAway, and does it again then."""
        with self._refreshing:
            number = self._book.change_number()
            if number == self._change:
                return
            self._defined = self._read()
            defined = {one.limit.name: one.limit for one in self._defined}
            self.guard.rules = Rules(list(defined.values()))
            self.guard.take_up(self._clock.now_us())
            changed = [limit for name, limit in defined.items() if self._counted.get(name) != limit]
            self.while_nothing_is_told(lambda: self.fill(changed))
            self._counted, self._change = defined, number

    def _refresh_or_later(self) -> None:
        """The same at once; while the counters are away the job does it."""
        try:
            self.refresh()
        except CountersAway as error:
            self.guard.away = str(error)

    def _read(self) -> list[Defined]:
        defined = [Defined(limit, None) for limit in self._configured.values()]
        set_here = [version for version in self._book.current() if version.name not in self._configured]
        defined += [Defined(read_limit(version.definition), version) for version in set_here]
        return sorted(defined, key=lambda one: one.limit.name)

    # ── counters ───────────────────────────────────────────────────────────────────────────────────────────────

    def fill(self, limits: Sequence[Limit] | None = None) -> None:
        """Book what the store knows of some limits (None: all), and what stays spent of calls unseen.

        Raises StoreError and CountersAway.
        """
        if self._store is None:
            return
        now_us = self._clock.now_us()
        for limit in self.guard.rules.limits if limits is None else limits:
            spent: dict[str, Claim] = {}
            for value, claim in [*spent_of(limit, self._store, now_us), *self._unseen_of(limit, now_us)]:
                self.guard.rules.meet(limit, value)
                key = f"{claim.bucket.slot}|{claim.bucket.step_us}"
                known = spent.get(key)
                spent[key] = claim if known is None else Claim(known.bucket, known.amount + claim.amount)
            self.guard.counters.raise_to(list(spent.values()), now_us=now_us)

    def _unseen_of(self, limit: Limit, now_us: int) -> list[tuple[str, Claim]]:
        """What bounds still hold where bounds are held; another limit never held them."""
        parts, found = parts_of(limit, now_us), []
        for call in self._book.unseen(parts[0].start_us):
            amount = Amounts(call.cost_nano_usd, call.input_tokens, call.output_tokens, 0).of(limit.measure)
            part = next((one for one in parts if call.at_us in one), None)
            if amount and part is not None:
                values = [one.value for one in Rules([limit]).about(call.subject).exact]
                found += [(value, Claim(bucket_of_part(limit, value, part, now_us), amount)) for value in values]
        return found

    def expire(self) -> None:
        """Spend in full what lost its owner. For a job; raises CountersAway."""
        self.guard.expire(self._clock.now_us())

    # ── what was crossed ───────────────────────────────────────────────────────────────────────────────────────

    def _note_crossing(self, crossing: Crossing) -> None:
        self._add_crossing(crossing.limit, crossing.value, crossing.slot, "threshold", crossing.percent, crossing.spent)

    def _add_crossing(self, limit: Limit, value: str, slot: str, kind: str, percent: int, spent: int) -> None:
        now_us = self._clock.now_us()
        self._crossings.append(
            LimitCrossing(
                slot=slot,
                kind=kind,
                percent=percent,
                name=limit.name,
                value=value,
                measure=limit.measure,
                mode=limit.mode,
                amount=limit.amount_of(value, now_us),
                spent=spent,
                at_us=now_us,
                user_id=whose(limit, value).get("user_id", ""),
            )
        )

    def _note_unseen(self, unseen: Unseen) -> None:
        excess = unseen.excess
        self._unseen.append(
            UnseenCall(
                event_id=unseen.event_id,
                at_us=unseen.at_us,
                subject=dict(unseen.subject),
                cost_nano_usd=excess.cost,
                input_tokens=excess.input_tokens,
                output_tokens=excess.output_tokens,
            )
        )

    def write_down(self) -> None:
        """Keep what was crossed, and what stays spent unseen. For a job; raises StoreError, and tries again then."""
        self._drained(self._unseen, self._book.note_unseen)
        self._drained(self._crossings, self._keep_crossings)

    def _keep_crossings(self, waiting: Sequence[LimitCrossing]) -> None:
        """One that could not be kept for long is one of now, or nobody would be told of it."""
        now_us = self._clock.now_us()
        late_us = now_us - LONGEST_WAIT_US
        self._book.note_crossings([replace(one, at_us=now_us) if one.at_us < late_us else one for one in waiting])

    def _drained(self, waiting: deque[Any], keep: Callable[[Sequence[Any]], object]) -> None:
        taken = [waiting.popleft() for _ in range(len(waiting))]
        try:
            if taken:
                keep(taken)
        except StoreError:
            waiting.extendleft(reversed(taken))
            raise

    def crossings(self, since_us: int) -> list[LimitCrossing]:
        """Thresholds crossed since an instant, oldest first; each stands there once a window."""
        return self._book.crossings(since_us)

    def latest_crossings(self, since_us: int) -> list[LimitCrossing]:
        """The same; of too many to tell the latest."""
        return self._book.crossings(since_us, latest=True)

    def whose(self, crossing: LimitCrossing) -> Mapping[str, str] | None:
        """The attributes of the calls that a crossing is about; None: there is no such limit any more."""
        limit = next((one.limit for one in self._defined if one.limit.name == crossing.name), None)
        return None if limit is None else whose(limit, crossing.value)

    def sample(self) -> None:
        """Follow how fast limits are used up. For a job; raises CountersAway."""
        now_us = self._clock.now_us()
        ruled = [one for one in self.guard.rules.ruled() if _burns(one)][:MOST_SAMPLED]
        standings = self.guard.counters.standings([one.bucket(now_us) for one in ruled])
        followed = {}
        for one, standing in zip(ruled, standings, strict=True):
            slot = one.bucket(now_us).slot
            samples = followed[slot] = self._samples.get(slot) or Samples()
            length_us = _length_us(one, now_us)
            samples.add(now_us, standing.spent, length_us)
            amount = one.limit.amount_of(one.value, now_us)
            state = burning(samples, now_us, standing.spent, amount, length_us)
            if state is not None:
                window = told_once_for(one, now_us, amount)
                self._add_crossing(one.limit, one.value, window, f"burn_{state}", 0, standing.spent)
        self._samples = followed

    # ── how they stand ─────────────────────────────────────────────────────────────────────────────────────────

    def live(self) -> list[dict[str, Any]]:
        """Every limit with how it stands, for each value that was met."""
        now_us = self._clock.now_us()
        ruled = self.guard.rules.ruled()
        try:
            standings = self.guard.counters.standings([one.bucket(now_us) for one in ruled])
        except CountersAway as error:
            self.guard.away = str(error)
            return [{**one.as_dict(), "values": []} for one in self._defined]
        shown: dict[str, list[dict[str, Any]]] = {}
        exceeded = self.guard.may_exceed()
        for one, standing in zip(ruled, standings, strict=True):
            more = exceeded.get((one.limit.name, one.value), 0)
            told = {"may_exceed": None if more is None else shown_amount(one.limit.measure, more)}
            shown.setdefault(one.limit.name, []).append({**self._standing(one, standing, now_us), **told})
        for values in shown.values():
            values.sort(key=lambda value: -value["percent"])
        return [{**one.as_dict(), "values": shown.get(one.limit.name, [])[:MOST_SHOWN]} for one in self._defined]

    def _standing(self, ruled: Ruled, standing: Standing, now_us: int) -> dict[str, Any]:
        limit, (spent, held) = ruled.limit, standing
        amount = limit.amount_of(ruled.value, now_us)
        samples = self._samples.get(ruled.bucket(now_us).slot) or Samples()
        pace = per_hour(samples, now_us, spent)
        exhausted_us = exhausts_at(amount - spent, pace, now_us)
        span, resets_us = ruled.span(now_us), ruled.resets_at(now_us)
        amounts = {"amount": amount, "spent": spent, "held": held, "remaining": max(amount - spent - held, 0)}
        return {
            "value": ruled.value,
            "scope": scope_of(ruled),
            **{name: shown_amount(limit.measure, number) for name, number in amounts.items()},
            "percent": spent * 100 // amount,
            "window_start": rfc3339(span.start_us) if span.start_us else None,
            "resets_at": None if resets_us is None else rfc3339(resets_us),
            "per_hour": None if pace is None else shown_amount(limit.measure, pace),
            "burning": burning(samples, now_us, spent, amount, _length_us(ruled, now_us)) if _burns(ruled) else None,
            "exhausted_at": None if exhausted_us is None or _after(exhausted_us, resets_us) else rfc3339(exhausted_us),
        }

    def health(self) -> dict[str, Any]:
        """Counters of admission, and whether its counters answer."""
        return {"counters_away": self.counters_away, **self.decided}

    @property
    def decided(self) -> Mapping[str, int]:
        return self.guard.counts

    @property
    def counters_away(self) -> str | None:
        return self.guard.away


def _at_once(fill: Callable[[], None]) -> None:
    fill()


def _read(definition: Mapping[str, Any]) -> Limit:
    """Raises UsageError with all that is wrong."""
    try:
        return read_limit(definition)
    except LimitProblems as found:
        mistakes = [{"field": ".".join(map(str, one.path)) or "body", "message": one.message} for one in found.problems]
        first = mistakes[0]
        raise UsageError(f"{first['field']}: {first['message']}", field=first["field"], mistakes=mistakes) from None


def _burns(ruled: Ruled) -> bool:
    return ruled.limit.window.kind in ("day", "week", "month")


def _length_us(ruled: Ruled, now_us: int) -> int:
    span = span_at(ruled.limit.window, now_us)
    return min(span.end_us - span.start_us, FOREVER_US)


def _after(moment_us: int, resets_us: int | None) -> bool:
    return resets_us is not None and moment_us >= resets_us
