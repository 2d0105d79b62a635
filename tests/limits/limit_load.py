"""Many calls at once through real processes of taximeter, in front of providers that keep books of their own.

Everything of chance is drawn from one seed but the order in which the processes get to run.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Literal

import httpx
from redis_here import free_port

from taximeter.simulator.settings import Settings

STARTING_SECONDS = 240.0
"""A start takes seconds of CPU time, which a busy machine gives slowly."""

MOST_TRIES = 3
"""Of a call whose gateway died; the first included."""

LISTED: Mapping[str, tuple[str, str]] = {"gpt-4-0613": ("30", "60"), "claude-opus-4-1": ("15", "75")}
"""What the two models cost by their providers' lists: USD for a million tokens read and written."""

PROVIDERS = Settings(
    latency_ms=60,
    tokens_per_second=200,
    tokens_per_chunk=25,
    output_tokens_median=400,
    fault_rates={"server_error": 0.01, "cut": 0.005, "stream_error": 0.005},
    seed=11,
)
"""Two of a hundred calls go wrong at the provider. It writes twice as fast as providers do; what a faster one writes in
the first second, while a machine that has just been started reads late, is known to nobody (see docs/limits.md)."""

HANG_UPS = 0.05


def limits_for(calls: int) -> list[dict[str, Any]]:
    """Limits that so many calls do not all fit in: what they would cost is about 0.035 USD each."""
    everybody = max(1, calls // 50)
    money = {"measure": "cost_usd", "window": "month"}
    return [
        {"name": "all", "scope": "global", **money, "limit": everybody},
        {"name": "team", "scope": "team", "each": True, **money, "limit": max(1, everybody // 4)},
        {"name": "user", "scope": "user", "each": True, **money, "limit": 1},
        {"name": "wide", "scope": {"team": ["team-0", "team-1"]}, **money, "limit": 100, "window": "day"},
        {
            "name": "tokens",
            "scope": "user",
            "each": True,
            "measure": "total_tokens",
            "limit": 25_000,
            "window": {"rolling": "24h"},
        },
    ]


@dataclass(frozen=True, slots=True)
class Spent:
    """What the providers billed: US dollars, and tokens of both kinds."""

    cost_usd: Decimal = Decimal(0)
    total_tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.cost_usd + other.cost_usd, self.total_tokens + other.total_tokens)


def billed(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Spent]:
    """The providers' books by limit and value."""
    found: defaultdict[tuple[str, str], Spent] = defaultdict(Spent)
    for row in rows:
        team, user = row["tag"].split("/")
        read, written = (Decimal(rate) / 1_000_000 for rate in LISTED[row["model"]])
        cost_usd = row["input_tokens"] * read + row["output_tokens"] * written
        spent = Spent(cost_usd, row["input_tokens"] + row["output_tokens"])
        for name, value in (("all", ""), ("team", team), ("user", user), ("tokens", user)):
            found[name, value] += spent
        if team in ("team-0", "team-1"):
            found["wide", ""] += spent
    return found


# ── processes ──────────────────────────────────────────────────────────────────────────────────────────────


class Taximeter:
    """`taximeter up` on a data directory of its own; may be killed and started again."""

    def __init__(
        self, directory: Path, settings: Mapping[str, Any], role: str, collector_url: str | None = None
    ) -> None:
        directory.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._role = role
        self._variables = {"TAXIMETER_URL": collector_url} if collector_url else {}
        (directory / "taximeter.yaml").write_text(json.dumps(settings))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        here = self._directory
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TAXIMETER_")}
        where = ["--config", str(here / "taximeter.yaml"), "--data", str(here / "data"), "--port", str(self.port)]
        with (here / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taximeter", "up", *where, "--role", self._role],
                stdout=log,
                stderr=log,
                env={**clean, **self._variables},
            )

    def wait_until_ready(self) -> None:
        end = time.monotonic() + STARTING_SECONDS
        while not self._ready():
            assert time.monotonic() < end, self.log
            time.sleep(0.05)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return httpx.get(self.url + "/readyz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()[-3000:]

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def standings(self) -> dict[tuple[str, str], Spent]:
        """What its counters say is spent or held, by limit and value."""
        found = {}
        for limit in httpx.get(self.url + "/api/v1/limits", timeout=30).json()["limits"]:
            for one in limit["values"]:
                known = Decimal(one["spent"]) + Decimal(one["held"])
                money = limit["measure"] == "cost_usd"
                found[limit["name"], one["value"]] = Spent(known) if money else Spent(total_tokens=int(known))
        return found


@contextmanager
def processes(
    directory: Path, providers_url: str, gateways: int, calls: int, counters: str, on_hangup: str
) -> Iterator[tuple[Taximeter, Sequence[Taximeter]]]:
    """Who counts, and the gateways: the first is both."""
    settings = {
        "providers": {
            "openai": {"base_url": providers_url + "/v1", "api_key": "sk-real"},
            "anthropic": {"base_url": providers_url, "api_key": "sk-real"},
        },
        "server": {"auth": "off"},
        "store": {"counters": counters},
        "gateway": {"on_hangup": on_hangup},
        "admission": {"wait_seconds": 5},
        "limits": limits_for(calls),
    }
    with ExitStack() as closing:
        counting = Taximeter(directory / "gateway-0", settings, "all")
        others = [
            Taximeter(directory / f"gateway-{number}", settings, "gateway", counting.url)
            for number in range(1, gateways)
        ]
        asked = [counting, *others]
        for one in asked:
            closing.callback(one.kill)
            one.start()
        for one in asked:
            one.wait_until_ready()
        yield counting, asked


# ── callers ────────────────────────────────────────────────────────────────────────────────────────────────

Outcome = Literal["answered", "refused", "failed", "hung up", "torn"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A call: its body, who makes it, and after how many pieces of the answer (or seconds) its caller leaves."""

    path: str
    body: Mapping[str, Any]
    team: str
    user: str
    leaves_after: float | None

    @property
    def headers(self) -> dict[str, str]:
        return {
            "authorization": "Bearer sk-mine",
            "x-ledger-tag": f"{self.team}/{self.user}",
            "x-taximeter-user": self.user,
            "x-taximeter-team": self.team,
        }


def planned(chance: Random, users: int) -> Planned:
    """Some users call much more than others."""
    number = int(users * chance.random() ** 2)
    asked = " ".join(["parcel"] * chance.randrange(5, 600))
    body: dict[str, Any] = {"messages": [{"role": "user", "content": asked}], "stream": chance.random() < 0.5}
    if chance.random() < 0.5:
        path, body["model"] = "/openai/v1/chat/completions", "gpt-4-0613"
        if (allowance := chance.choice([None, 300, 1_000, 4_000])) is not None:
            body["max_tokens"] = allowance
    else:
        path, body["model"] = "/anthropic/v1/messages", "claude-opus-4-1"
        body["max_tokens"] = chance.choice([300, 4_000, 32_000])
    leaves_after = chance.uniform(0, 4) if chance.random() < HANG_UPS else None
    return Planned(path, body, f"team-{number % 5}", f"user-{number}", leaves_after)


@dataclass
class Load:
    """`calls` of `users`, all at once; one of the gateways is killed when a third of them has ended."""

    gateways: Sequence[Taximeter]
    calls: int
    users: int
    chance: Random
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    def run(self) -> Counter[Outcome]:
        asyncio.run(self._run())
        return self.outcomes

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=None)
        self._third_ended, self._standing = asyncio.Event(), asyncio.Event()
        self._standing.set()
        async with httpx.AsyncClient(timeout=120, limits=limits) as client:
            plans = [planned(self.chance, self.users) for _ in range(self.calls)]
            making = [asyncio.create_task(self._make(client, one, n)) for n, one in enumerate(plans)]
            killing = asyncio.create_task(self._kill())
            await asyncio.gather(*making)
            await killing

    async def _kill(self) -> None:
        await self._third_ended.wait()
        self._standing.clear()
        victim = self.chance.choice(self.gateways)
        victim.kill()  # at once: threads wait behind a thousand connections that are being made
        victim.start()
        await asyncio.to_thread(victim.wait_until_ready)
        self._standing.set()

    async def _make(self, client: httpx.AsyncClient, call: Planned, number: int) -> None:
        for tried in range(MOST_TRIES):
            gateway = self.gateways[(number + tried) % len(self.gateways)]
            try:
                outcome = await self._made(client, gateway.url + call.path, call)
            except httpx.TransportError:
                outcome = "torn"
            self.outcomes[outcome] += 1
            if self.outcomes.total() >= self.calls // 3:
                self._third_ended.set()
            if outcome != "torn":
                return
            await self._standing.wait()

    async def _made(self, client: httpx.AsyncClient, url: str, call: Planned) -> Outcome:
        try:
            async with asyncio.timeout(None if call.leaves_after is None else call.leaves_after / 10):
                async with client.stream("POST", url, json=call.body, headers=call.headers) as answer:
                    async for _ in answer.aiter_bytes():
                        pass
        except TimeoutError:
            return "hung up"
        if answer.status_code == 429:
            return "refused"
        return "answered" if answer.status_code == 200 else "failed"
