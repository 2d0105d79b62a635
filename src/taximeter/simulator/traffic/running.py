"""Starting the sample application, and telling its parent about it in JSON lines."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import taximeter
from taximeter.clock import SystemClock
from taximeter.errors import UnavailableError
from taximeter.simulator.traffic.application import Application
from taximeter.simulator.traffic.calling import SERVICE, Clients, clients, instrumented
from taximeter.simulator.traffic.history import CALLS_PER_DAY, DAYS, post_history
from taximeter.simulator.traffic.product import Road

LAST_DELIVERY_SECONDS: Final = 1.0
"""What the SDK has not delivered by then waits on disk for the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to drive: addresses, keys, `rate` in calls a second, and for how long (None: until stopped)."""

    gateway_url: str
    key: str
    ingest_key: str
    providers_url: str | None
    provider_key: str
    rate: float
    seconds: float | None
    with_history: bool
    data: Path | None
    seed: int | None


def drive(plan: Plan) -> int:
    """Run the sample application until it is stopped; returns the exit code."""
    return asyncio.run(_drive(plan))


async def _drive(plan: Plan) -> int:
    chance = Random(plan.seed)  # noqa: S311 - play, not secrets
    application = Application(_roads(plan), plan.rate, SystemClock(), chance)
    past = asyncio.create_task(_past(plan)) if plan.with_history else None
    tell("ready", rate=plan.rate)
    await application.run(plan.seconds)
    if past is not None:
        await past
    if plan.providers_url is not None:
        await asyncio.to_thread(taximeter.shutdown, LAST_DELIVERY_SECONDS)
    tell("ended", outcomes=dict(application.outcomes))
    return 0


async def _past(plan: Plan) -> None:
    try:
        await asyncio.to_thread(back_fill, plan.gateway_url, plan.ingest_key)
    except UnavailableError as error:
        sys.stderr.write(f"simulator: no history: {error}\n")


def back_fill(url: str, key: str, days: int = DAYS, calls_per_day: int = CALLS_PER_DAY) -> None:
    """Post the invented past and tell what came of it. Raises UnavailableError."""
    done = post_history(url, key, SystemClock().now_us(), days, calls_per_day)
    tell("history", **asdict(done))


def _roads(plan: Plan) -> dict[Road, Clients]:
    gateway = plan.gateway_url
    roads: dict[Road, Clients] = {"gateway": clients(gateway + "/openai/v1", gateway + "/anthropic", plan.key)}
    if plan.providers_url is not None:
        taximeter.init(service=SERVICE, service_version="4.2.0", url=gateway, key=plan.ingest_key, data=plan.data)
        direct = clients(plan.providers_url + "/v1", plan.providers_url, plan.provider_key)
        roads["sdk"] = instrumented(direct)
    return roads


def tell(event: str, **facts: Any) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()
