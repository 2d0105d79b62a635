"""Re-pricing: what stored calls cost by today's price book, and the old amounts kept beside.

    run = asked({"from": "2026-08-01", "to": "2026-09-01", "dry_run": True}, ...)    what is asked, checked
    run = perform(run, book, store, clock)                  the difference; unless dry it is written, too

A call is restated when anything of its derivation but the name of the price book changes: an amount, a component, the
rule, the reason why there is none. What stays the same is not written again. The range is gone through slice by slice,
from its beginning; each slice is committed together with how far the run has come, so that one that was cut off goes on
there, and repeating a slice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import Clock, rfc3339, to_datetime
from taximeter.core.cost import Unpriced
from taximeter.core.event import usage_of
from taximeter.core.money import ZERO, format_usd, plus
from taximeter.core.usage import TOKEN_CLASSES, Usage
from taximeter.errors import NotFoundError, UsageError
from taximeter.pricing import Priceable, PriceBook
from taximeter.reports import asking
from taximeter.store.events import EventQuery, EventStore, Query, parse_event_query, parse_query
from taximeter.store.events.repricing import COST_COLUMNS, Kind, NewCost, Repricing, amounts_of, total_of

SLICE_CALLS: Final = 50_000
"""Calls that are gone through at a time, more only where a single hour has more."""

PAGE_CALLS: Final = 10_000
"""Calls that are read and priced at once."""

WRITTEN_AT_ONCE: Final = 50_000
"""New costs that are written in one transaction, where a slice has more: each transaction costs by itself."""

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_EPOCH: Final = to_datetime(0).replace(tzinfo=None)
"""Without a zone, as stores answer."""

KEYS: Final = ("from", "to", "filters", "timezone", "dry_run", "note")
LONGEST_NOTE: Final = 500


@dataclass(slots=True)
class Moved:
    """Calls of one model on one day whose cost changes, and their cost before and after, USD."""

    calls: int = 0
    old_usd: Decimal = ZERO
    new_usd: Decimal = ZERO
    newly_priced: int = 0
    newly_unpriced: int = 0

    def count(self, old: Decimal | None, new: Decimal | None) -> None:
        """Add a call; None is unpriced."""
        self.calls += 1
        self.newly_priced += old is None and new is not None
        self.newly_unpriced += old is not None and new is None
        if old is not None:
            self.old_usd = plus(self.old_usd, old)
        if new is not None:
            self.new_usd = plus(self.new_usd, new)

    def as_dict(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "newly_priced": self.newly_priced,
            "newly_unpriced": self.newly_unpriced,
            "old_cost_usd": format_usd(self.old_usd),
            "new_cost_usd": format_usd(self.new_usd),
            "difference_usd": format_usd(self.new_usd - self.old_usd),
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Moved:
        """From `as_dict`."""
        usd = Decimal(told["old_cost_usd"]), Decimal(told["new_cost_usd"])
        return cls(told["calls"], *usd, told["newly_priced"], told["newly_unpriced"])


Key = tuple[int, str | None, str | None]
"""The day (UTC, days since the epoch), the provider, the model."""


@dataclass(slots=True)
class Difference:
    """What a run found: the calls it looked at, and those that change, by day and model."""

    examined: int = 0
    moved: dict[Key, Moved] = field(default_factory=dict)

    def count(self, call: Priceable, old: Decimal | None, new: Decimal | None) -> None:
        key = (call.at_us // DAY_US, call.provider, call.model)
        moved = self.moved.get(key)
        if moved is None:
            moved = self.moved[key] = Moved()
        moved.count(old, new)

    def as_dict(self) -> dict[str, Any]:
        """`{"examined", "calls" (that change), "old_cost_usd", ..., "by": [{"day", "provider", "model", ...}]}`."""
        total = Moved()
        for moved in self.moved.values():
            total.calls += moved.calls
            total.newly_priced += moved.newly_priced
            total.newly_unpriced += moved.newly_unpriced
            total.old_usd, total.new_usd = plus(total.old_usd, moved.old_usd), plus(total.new_usd, moved.new_usd)
        ordered = sorted(self.moved.items(), key=lambda item: (item[0][0], item[0][1] or "", item[0][2] or ""))
        by = [
            {"day": rfc3339(day * DAY_US)[:10], "provider": who, "model": what, **moved.as_dict()}
            for (day, who, what), moved in ordered
        ]
        return {"examined": self.examined, **total.as_dict(), "by": by}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Difference:
        """From `as_dict`; an empty one from nothing."""
        by = {(_day(row["day"]), row["provider"], row["model"]): Moved.read(row) for row in told.get("by", ())}
        return cls(told.get("examined", 0), by)


def _day(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH.date()).days


# ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def asked(request: Mapping[str, Any], *, run_id: str, by: str, now_us: int, kind: Kind = "reprice") -> Repricing:
    """A run that waits, from its JSON form. Raises UsageError naming the `field` that is wrong."""
    asking.only(request, KEYS)
    if not request.get("from"):
        raise UsageError("from is needed: re-pricing has a beginning", hint="such as 2026-08-01 or 30d", field="from")
    dry_run = request.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise UsageError("dry_run must be true or false", field="dry_run")
    note = asking.text(request, "note")
    if note is not None and len(note) > LONGEST_NOTE:
        raise UsageError(f"a note has at most {LONGEST_NOTE} characters", field="note")
    calls = parse_query({name: request[name] for name in asking.RANGE if request.get(name) is not None}, now_us)
    told = {
        "from": rfc3339(calls.from_us),
        "to": rfc3339(calls.to_us),
        "filters": dict(request.get("filters") or {}),
        "dry_run": dry_run,
    }
    return Repricing(id=run_id, kind=kind, asked_at_us=now_us, asked_by=by, note=note, request=told)


# ── performing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def perform(
    run: Repricing,
    book: PriceBook,
    store: EventStore,
    clock: Clock,
    progress: asking.Progress = lambda _done, _calls: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Repricing:
    """Go through the calls of a run from where it stands, and return it done; still running when it was stopped.

    Raises UsageError and StoreError; what was committed stays, and the run can be performed again.
    """
    calls = _calls(run)
    dry = bool(run.request["dry_run"])
    difference = Difference.read(run.outcome)
    run = replace(run, state="running", price_version=book.version)
    slices = _slices(store, calls, run.cursor_us or calls.from_us)
    expected = difference.examined + sum(count for _, count in slices)
    for to_us, _ in slices:
        if stopping():
            return run
        begin_us = run.cursor_us or calls.from_us
        before = {"examined": difference.examined}
        changed: list[NewCost] = []
        for costs in _restated(store, replace(calls, from_us=begin_us, to_us=to_us), book, difference):
            changed += () if dry else costs
            if len(changed) >= WRITTEN_AT_ONCE:
                so_far = {**difference.as_dict(), **before}  # whoever goes on begins the slice anew
                store.restate(changed, replace(run, outcome=so_far), clock.now_us())
                changed = []
            progress(difference.examined, expected)
        run = replace(run, cursor_us=to_us, outcome=difference.as_dict())
        store.restate(changed, run, clock.now_us())
    run = replace(run, state="done", outcome=difference.as_dict())
    store.restate((), run, clock.now_us())
    return run


def _calls(run: Repricing) -> Query:
    asked_for = {name: run.request[name] for name in ("from", "to", "filters")}
    return parse_query({**asked_for, "measures": ["calls"], "interval": "hour"}, run.asked_at_us)


def _slices(store: EventStore, calls: Query, from_us: int) -> list[tuple[int, int]]:
    """Where each slice ends, and how many calls are in it, from an instant on: whole hours, until they are enough."""
    if from_us >= calls.to_us:
        return []
    hours = store.query(replace(calls, from_us=from_us)).rows
    slices, count = [], 0
    for row in hours:
        count += row["calls"]
        if count >= SLICE_CALLS:
            slices.append((min(_hour_us(row["time"]) + HOUR_US, calls.to_us), count))
            count = 0
    return [*slices, (calls.to_us, count)] if count else slices


def _hour_us(text: str) -> int:
    return asking.instant({"time": text}, "time", 0)


def _restated(store: EventStore, calls: Query, book: PriceBook, difference: Difference) -> Iterator[list[NewCost]]:
    """The new costs of a slice that differ from the stored ones, page by page."""
    cursor, more = None, True
    while more:
        bounds: dict[str, Any] = {"filters": calls.filters, "from_us": calls.from_us, "to_us": calls.to_us}
        page = store.derivations(EventQuery(**bounds, limit=PAGE_CALLS, cursor=cursor))
        difference.examined += len(page.rows)
        yield [new for row in page.rows if (new := _new_cost(row, book, difference)) is not None]
        cursor = page.next
        more = cursor is not None


def _new_cost(row: tuple[Any, ...], book: PriceBook, difference: Difference) -> NewCost | None:
    """What a call costs now, where that is another derivation than the stored one."""
    event_id, started_at, amounts, rule, reason, *priced_by = row
    call = call_of(started_at, *priced_by)
    cost = book.price(call)
    if isinstance(cost, Unpriced):
        if reason == cost.reason:
            return None
        difference.count(call, total_of(amounts), None)
    else:
        if rule == cost.price_rule and amounts == amounts_of(cost):
            return None
        difference.count(call, total_of(amounts), cost.total)
    return NewCost(event_id, call.at_us, cost)


def cost_history(store: EventStore, event_id: str) -> dict[str, Any]:
    """`{"event_id", "current": {...}, "superseded": [...]}`: the derivations of one call's cost, the newest first, with
    the run that replaced each, who asked for it and why. Raises NotFoundError, UsageError, StoreError."""
    found = store.events(parse_event_query({"filters": {"event_id": event_id}}, 0)).events
    if not found:
        raise NotFoundError(f"there is no event {event_id}")
    superseded = []
    for old in store.superseded(event_id):
        runs = store.repricings(limit=1, repricing_id=old["repricing_id"])
        superseded.append({**old, **{name: getattr(run, name) for run in runs for name in ("asked_by", "note")}})
    return {
        "event_id": event_id,
        "current": {name: found[0][name] for name in COST_COLUMNS},
        "superseded": superseded,
    }


def call_of(
    started_at: datetime,
    provider: str | None,
    request_model: str | None,
    response_model: str | None,
    operation: str | None,
    service_tier: str | None,
    region: str | None,
    status: str | None,
    team: str | None,
    tenant: str | None,
    *counted: Any,
) -> Priceable:
    """A call from the columns `repricing.PRICED_BY`."""
    *tokens, units, by_model, not_billed, reported_usd = counted
    since = started_at - _EPOCH
    return Priceable(
        provider,
        response_model or request_model,
        since.days * DAY_US + since.seconds * 1_000_000 + since.microseconds,
        _usage(tokens, units),
        request_model,
        service_tier,
        region,
        operation,
        status or "ok",
        bool(not_billed),
        tuple((share["model"], usage_of(share)) for share in json.loads(by_model)) if by_model else (),
        team,
        tenant,
        reported_usd,
    )


_NO_UNITS: Final[Mapping[str, Decimal]] = {}


def _usage(tokens: Sequence[int | None], units: Mapping[str, Decimal] | None) -> Usage:
    counts: dict[str, Any] = dict(zip(TOKEN_CLASSES, tokens, strict=True))
    return Usage(units=units or _NO_UNITS, **counts)
