"""Real processes, many calls at once, a `kill -9` in the middle: the providers never bill more than a limit allows.

`LIMIT_CALLS=1000 LIMIT_GATEWAYS=4 LIMIT_USERS=50` makes it the full run.
"""

from __future__ import annotations

import json
import os
import time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from limit_load import PROVIDERS, Load, Spent, Taximeter, billed, limits_for, processes

from taximeter.simulator.running import RunningSimulator

CALLS = int(os.environ.get("LIMIT_CALLS", "60"))
GATEWAYS = int(os.environ.get("LIMIT_GATEWAYS", "2"))
USERS = int(os.environ.get("LIMIT_USERS", "6"))
PATIENCE_SECONDS = 60.0


@pytest.mark.timeout(300 + CALLS)
@pytest.mark.parametrize(("counters", "on_hangup"), [("memory", "cancel"), ("redis", "drain")])
def test_the_providers_never_bill_more_than_a_limit_allows(
    request: pytest.FixtureRequest, tmp_path: Path, counters: str, on_hangup: str
) -> None:
    gateways = 1 if counters == "memory" else GATEWAYS
    where = "memory" if counters == "memory" else request.getfixturevalue("redis_url")
    with (
        RunningSimulator(PROVIDERS) as simulator,
        processes(tmp_path, simulator.url, gateways, CALLS, where, on_hangup) as (counting, asked),
    ):
        outcomes = Load(asked, CALLS, USERS, Random(7)).run()
        spent = billed(_books(simulator))
        # A provider that is cancelled has written more than was read: what was on its way is billed, and unknown here.
        less = {} if on_hangup == "cancel" else _unknown(counting, spent)
    print(json.dumps({"outcomes": outcomes, "used": _used(spent)}))
    assert outcomes["answered"] > 0, outcomes
    assert outcomes["refused"] > 0, "nothing was refused: the test has shown nothing"
    assert outcomes["torn"] > 0, "no call was hit by the kill: the test has shown nothing"
    assert not _overspent(spent)
    assert not less, "the counters know of less than was billed"


def _books(simulator: RunningSimulator) -> list[dict[str, Any]]:
    """The rows of the providers, once nothing is written any more."""
    rows: Any = None
    while rows != (rows := simulator.ledger["rows"]):
        time.sleep(1)
    return list(rows)


def _unknown(counting: Taximeter, spent: dict[tuple[str, str], Spent]) -> dict[Any, Any]:
    """What the counters know less of than was billed, once they have had time to hear of everything."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        known = counting.standings()
        less = {key: (amount, known.get(key)) for key, amount in spent.items() if not _covers(known.get(key), amount)}
        if not less or time.monotonic() > end:
            return less
        time.sleep(1)


def _amounts() -> dict[str, tuple[str, Decimal]]:
    return {one["name"]: (one["measure"], Decimal(one["limit"])) for one in limits_for(CALLS)}


def _overspent(spent: dict[tuple[str, str], Spent]) -> dict[str, Any]:
    amounts = _amounts()
    return {
        f"{name} {value}": (got, amount)
        for (name, value), one in spent.items()
        for measure, amount in [amounts[name]]
        if (got := getattr(one, measure)) > amount
    }


def _used(spent: dict[tuple[str, str], Spent]) -> dict[str, str]:
    """The largest share of each limit that was billed."""
    used: dict[str, Decimal] = {}
    for (name, _), one in spent.items():
        measure, amount = _amounts()[name]
        used[name] = max(used.get(name, Decimal(0)), getattr(one, measure) / amount)
    return {name: f"{share:.1%}" for name, share in used.items()}


def _covers(known: Spent | None, amount: Spent) -> bool:
    """Whether counters know of at least so much; each is in one measure only."""
    if known is None:
        return False
    return known.cost_usd >= amount.cost_usd if known.cost_usd else known.total_tokens >= amount.total_tokens
