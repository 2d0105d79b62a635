"""What a limit would have done to the calls of the past: what it would have refused, when, and whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.config.limits import Limit, shown_amount
from taximeter.limits.amounts import Amounts, nano_usd
from taximeter.limits.counters import Claim
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.rules import Rules, subject_of_record
from taximeter.pricing.priceable import parse_instant
from taximeter.store.events import EventStore, parse_event_query

MOST_REPLAYED: Final = 200_000
"""Calls that are replayed, the newest of the time asked for."""

MOST_LISTED: Final = 100
"""Values and refusals that are listed."""

PAGE: Final = 1_000
_NOT_CALLS: Final = frozenset({"refused", "cached"})


@dataclass(slots=True)
class Refusals:
    """What would have been refused of one value."""

    calls: int = 0
    cost: int = 0
    first_at_us: int = 0


@dataclass(slots=True)
class Simulation:
    """The past under a limit. Amounts are in nano-USD and in the measure's unit."""

    limit: Limit
    replayed: int = 0
    concerned: int = 0
    refused: int = 0
    refused_cost: int = 0
    left_out: bool = False
    by_value: dict[str, Refusals] = field(default_factory=dict)
    first_refusals: list[dict[str, Any]] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        worst = sorted(self.by_value.items(), key=lambda one: -one[1].calls)[:MOST_LISTED]
        return {
            "limit": self.limit.as_definition(),
            "replayed_calls": self.replayed,
            "concerned_calls": self.concerned,
            "refused_calls": self.refused,
            "refused_cost_usd": shown_amount("cost_usd", self.refused_cost),
            "left_out": self.left_out,
            "refused_by_value": [
                {
                    "value": value,
                    "calls": one.calls,
                    "cost_usd": shown_amount("cost_usd", one.cost),
                    "first_at": rfc3339(one.first_at_us),
                }
                for value, one in worst
            ],
            "first_refusals": self.first_refusals,
        }


def simulate(limit: Limit, store: EventStore, since: str, now_us: int) -> Simulation:
    """Replay the calls since a time (`30d`, RFC 3339) under a limit. Raises StoreError, and UsageError for the time.

    Each call counts with what it really came to, at the moment it began: as exact admission would, at best.
    """
    simulation = Simulation(limit)
    rules, counters = Rules([limit]), MemoryCounters()
    for event in reversed(list(_events(store, since, now_us, simulation))):
        simulation.replayed += 1
        for one in rules.about(subject_of_record(event)):
            simulation.concerned += 1
            at_us = parse_instant(event["started_at"])
            claim = Claim(one.bucket(at_us), _amounts(event).of(limit.measure))
            if counters.reserve(event["event_id"], [claim], now_us=at_us, expires_us=at_us) is None:
                counters.settle(event["event_id"], [claim], now_us=at_us)
            else:
                _refuse(simulation, one.value, event, at_us)
    return simulation


def _events(store: EventStore, since: str, now_us: int, simulation: Simulation) -> Iterator[Mapping[str, Any]]:
    """The calls of the time, newest first."""
    asked: dict[str, Any] = {"from": since, "limit": PAGE}
    given = 0
    while True:
        page = store.events(parse_event_query(asked, now_us))
        for event in page.events:
            if event.get("status") not in _NOT_CALLS:
                given += 1
                yield event
        if page.next is None:
            return
        if given >= MOST_REPLAYED:
            simulation.left_out = True
            return
        asked["cursor"] = page.next


def _amounts(event: Mapping[str, Any]) -> Amounts:
    cost = event.get("cost_usd")
    return Amounts(
        nano_usd(Decimal(cost)) if cost else 0, event.get("input_tokens") or 0, event.get("output_tokens") or 0
    )


def _refuse(simulation: Simulation, value: str, event: Mapping[str, Any], at_us: int) -> None:
    cost = _amounts(event).cost
    simulation.refused += 1
    simulation.refused_cost += cost
    known = simulation.by_value.setdefault(value, Refusals(first_at_us=at_us))
    known.calls += 1
    known.cost += cost
    if len(simulation.first_refusals) < MOST_LISTED:
        told = {"at": event["started_at"], "value": value, "event_id": event["event_id"]}
        simulation.first_refusals.append({**told, "cost_usd": shown_amount("cost_usd", cost)})
