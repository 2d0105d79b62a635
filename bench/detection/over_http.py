"""Raw calls over HTTP into a running server, against the same calls fed directly: `python -m bench.detection.over_http
FOLDER [--learn-hours H] [--most-an-hour N] [--step-seconds S]`.

FOLDER has the context.json of a labelled history and its raw calls (events.csv.gz). The first hours are posted as fast
as they go and learnt. Of the rest every half minute is posted when it is over by the server's clock, which goes on when
detection has looked at it: minutes of calls pass in a second, and a slow machine only makes them pass slower. At the
end a backtest is asked of the same server.

A line of JSON for each finding says its severity and its first minute, four times: as the server told it; as detection
without a server does that looks at the same moments, at minutes under way as well; as the backtest has it; and as
detection does that is given whole minutes. The first two have to be the same, and the last two.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import numpy as np
import yaml

from bench.detection.histories import context, holidays, minute_of, minute_text
from bench.detection.told_time import ASKED, GLANCE_SECONDS, POSTED, TOLD, WATCHED, Times
from taximeter.anomaly.detection import Detection, Minute
from taximeter.anomaly.incidents import Incident
from taximeter.anomaly.panel import FEATURE, MODEL, USER
from taximeter.clock import rfc3339
from taximeter.compose.detecting import GRACE_US
from taximeter.config.settings import Settings
from taximeter.core.ids import uuid7
from taximeter.reports.backtest import detection_for
from taximeter.reports.signals import slots

LEARN_HOURS: Final = 72.0
STEP_SECONDS: Final = 30.0
BATCH: Final = 1_000
PROVIDER: Final = "listed"
MINUTE_US: Final = 60_000_000
PATIENCE_SECONDS: Final = 600.0

SEVEN_SECONDS_US: Final = 7_000_000
"""The first look is so long after a minute: then what was before it is complete."""

Scope = tuple[tuple[str, str], ...]


class Call(NamedTuple):
    at_us: int
    feature: str
    line: str
    """As it is posted."""


class Found(NamedTuple):
    """A finding; `start` is its first minute."""

    kind: str
    scope: Scope
    start: str
    severity: str


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────


def calls_of(folder: Path, most_an_hour: int | None) -> list[Call]:
    """The raw calls as events, in the order of time; without the features that have more calls an hour than that."""
    with gzip.open(folder / "events.csv.gz", "rt") as text:
        calls = [_call(number, row) for number, row in enumerate(csv.DictReader(text))]
    hours = (calls[-1].at_us - calls[0].at_us) / (60 * MINUTE_US)
    number = Counter(call.feature for call in calls)
    return [call for call in calls if most_an_hour is None or number[call.feature] <= most_an_hour * hours]


def _call(number: int, row: Mapping[str, str]) -> Call:
    at_us = int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1_000_000)
    event = {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": row["timestamp"],
        "provider": PROVIDER,
        "request_model": row["model"],
        "feature": row["feature"],
        "user_id": row["user_bucket"],
        "attempt": int(row["attempt"]),
        "status": "ok",
        "input_tokens": int(row["input_tokens"]),
        "cache_read_tokens": int(row["cached_tokens"]),
        "output_tokens": int(row["output_tokens"]),
    }
    return Call(at_us, sys.intern(row["feature"]), json.dumps(event))


def moments_of(calls: Sequence[Call], from_us: int, step_us: int) -> Iterator[tuple[int, list[Call]]]:
    """When detection looks, and the calls that have come since it did before; all before `from_us` at the first."""
    at, ends_us = 0, calls[-1].at_us + 2 * MINUTE_US
    for now_us in range(from_us, ends_us, step_us):
        until = at
        while until < len(calls) and calls[until].at_us < now_us:
            until += 1
        yield now_us, list(calls[at:until])
        at = until


# ── without a server ─────────────────────────────────────────────────────────────────────────────────────────────


def found_directly(
    told: Mapping[str, Any], moments: Iterable[tuple[int, list[Call]]], *, under_way: bool
) -> list[Found]:
    """What detection tells since the first moment. `under_way`: it looks at minutes that are not over, too."""
    detection = detection_for(Settings.model_validate(settings(told)).anomalies)
    detection.models.prices.update({model: listed["output"] for model, listed in told["prices_usd_per_mtok"].items()})
    sums, whole = Sums(told["prices_usd_per_mtok"]), -1
    met: dict[int, Incident] = {}
    for now_us, calls in moments:
        for call in calls:
            sums.add(call)
        complete = (now_us - GRACE_US) // MINUTE_US
        first, whole = max(whole, sums.first), complete
        for slot in slots(first, complete - 1):
            detection.run([sums.minute(detection, minute) for minute in slot])
        for minute in range(complete, now_us // MINUTE_US + 1) if under_way else ():
            part = min(1.0, (now_us - minute * MINUTE_US) / MINUTE_US)
            detection.run([sums.minute(detection, minute)], part=part)
        met.update({id(incident): incident for incident in detection.under_way()})
    return [Found(one.kind, tuple(sorted(one.scope)), minute_text(one.start), one.severity) for one in met.values()]


class Sums:
    """The minutes of calls as detection takes them."""

    def __init__(self, prices: Mapping[str, Mapping[str, float]]) -> None:
        self._prices = prices
        self._minutes: dict[int, dict[tuple[str, str, str], list[float]]] = defaultdict(dict)

    @property
    def first(self) -> int:
        return min(self._minutes)

    def add(self, call: Call) -> None:
        event = json.loads(call.line)
        key = event["feature"], event["request_model"], event["user_id"]
        held = self._minutes[call.at_us // MINUTE_US].setdefault(key, [0.0] * 7)
        for place, value in enumerate(_values(event, self._prices[event["request_model"]])):
            held[place] += value

    def minute(self, detection: Detection, minute: int) -> Minute:
        cells, panel = self._minutes.get(minute, {}), detection.panel
        keys = (dict(zip((FEATURE, MODEL, USER), cell, strict=True)) for cell in cells)
        numbers = [panel.cell(tuple(key.get(name) for name in panel.dimensions), minute) for key in keys]
        return Minute(minute, np.array(numbers, np.int32), np.array(list(cells.values())).reshape(-1, 7))


def _values(event: Mapping[str, Any], price: Mapping[str, float]) -> Iterable[float]:
    """In the order of `panel.Value`."""
    tokens, cached, output = (event[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens"))
    input_usd = ((tokens - cached) * price["input"] + cached * price["cached_input"]) / 1e6
    return 1.0, float(event["attempt"] > 1), tokens, cached, output, input_usd, output * price["output"] / 1e6


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────


def settings(told: Mapping[str, Any]) -> dict[str, Any]:
    allowed = {
        feature: {one["model"]: one["from"][:10] for one in known["allowed_models"]}
        for feature, known in told["features"].items()
    }
    days_off = [day.isoformat() for day in holidays(dict(told))]
    anomalies = {"timezone": told["timezone"], "holidays": days_off, "allowed_models": allowed}
    return {"server": {"auth": "off"}, "anomalies": {**anomalies, "minimum_usd_per_hour": 0}}


def _price_file(told: Mapping[str, Any]) -> dict[str, Any]:
    def rates(listed: Mapping[str, float]) -> dict[str, str]:
        named = {"input": "input", "cache_read": "cached_input", "output": "output"}
        return {name: str(listed[of]) for name, of in named.items()}

    entries = told["prices_usd_per_mtok"].items()
    return {"prices": [{"provider": PROVIDER, "match": model, "rates": rates(listed)} for model, listed in entries]}


@dataclass
class Server:
    client: httpx.Client
    times: Times
    posted: int = 0

    def post(self, calls: Sequence[Call]) -> None:
        """The next look waits until they are stored."""
        for begins in range(0, len(calls), BATCH):
            lines = [call.line for call in calls[begins : begins + BATCH]]
            body = "\n".join(lines)
            answer = self.client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"})
            if answer.raise_for_status().json()["accepted"] != len(lines):
                raise SystemExit(f"not all calls were taken: {answer.text[:500]}")
            self.posted += len(lines)
        self.times.write(POSTED, self.posted)

    def tell(self, now_us: int) -> None:
        """Let it be that late."""
        self.times.write(TOLD, now_us)

    def look(self, now_us: int) -> None:
        """Wait until detection has looked at what there is up to now."""
        self.times.write(ASKED, now_us)
        _until(lambda: self.times.read(WATCHED) == now_us)

    def findings(self) -> list[Found]:
        listed = self.client.get("/api/v1/findings", params={"limit": 500}).json()["findings"]
        return [_found(one) for one in listed]

    def backtest(self, from_us: int, to_us: int) -> list[Found]:
        answer = self.client.post("/api/v1/rules/backtest", json={"from": rfc3339(from_us), "to": rfc3339(to_us)})
        return [_found(one) for one in answer.raise_for_status().json()["findings"]]


def _found(told: Mapping[str, Any]) -> Found:
    start = minute_text(minute_of(told["started_at"]))
    return Found(told["kind"], tuple(sorted(told["scope"].items())), start, told["severity"])


@contextlib.contextmanager
def server(told: Mapping[str, Any], begin_us: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prices.yaml").write_text(yaml.safe_dump(_price_file(told)))
        held = {**settings(told), "prices": {"overrides": "prices.yaml"}}
        (folder / "taximeter.yaml").write_text(yaml.safe_dump(held))
        times = Times(folder / "times", begin_us=begin_us)
        command = [
            sys.executable,
            "-m",
            "bench.detection.told_time",
            *(str(folder / name) for name in ("taximeter.yaml", "data", "times")),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                url = process.stdout.readline().strip()
                if not url:
                    raise SystemExit("the server did not start")
                with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
                    yield Server(client, times)
            finally:
                process.terminate()


def _until(true: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("the server does not get on")
        time.sleep(GLANCE_SECONDS)


@dataclass(frozen=True)
class Replayed:
    """What the server told, what its backtest tells, and how much faster the calls went in than they had come."""

    told: list[Found]
    backtest: list[Found]
    speed: float


def replayed(told: Mapping[str, Any], moments: Sequence[tuple[int, list[Call]]]) -> Replayed:
    from_us, before = moments[0]
    to_us = moments[-1][0] // MINUTE_US * MINUTE_US
    with server(told, from_us) as to:
        to.post(before)
        to.look(from_us)
        began = time.monotonic()
        for now_us, calls in moments[1:]:
            to.tell(now_us)
            to.post(calls)
            to.look(now_us)
        speed = (moments[-1][0] - from_us) / 1e6 / (time.monotonic() - began)
        return Replayed(to.findings(), to.backtest(from_us // MINUTE_US * MINUTE_US, to_us), speed)


SOURCES: Final = ("server", "directly", "backtest", "whole_minutes")


def side_by_side(sources: Sequence[Iterable[Found]]) -> Iterator[dict[str, Any]]:
    """Findings of one kind and scope beside each other, in the order in which they began."""
    kinds: dict[tuple[str, Scope], list[list[tuple[str, str]]]] = {}
    for place, source in enumerate(sources):
        for found in sorted(source):
            lists = kinds.setdefault((found.kind, found.scope), [[] for _ in SOURCES])
            lists[place].append((found.start, found.severity))
    for (kind, scope), lists in sorted(kinds.items()):
        for held in itertools.zip_longest(*lists):
            same = held[0] == held[1] and held[2] == held[3]
            yield {"kind": kind, "scope": dict(scope), **dict(zip(SOURCES, held, strict=True)), "same": same}


def main(arguments: list[str]) -> int:
    asked = argparse.ArgumentParser(prog="python -m bench.detection.over_http")
    asked.add_argument("folder", type=Path)
    asked.add_argument("--learn-hours", type=float, default=LEARN_HOURS)
    asked.add_argument("--most-an-hour", type=int, default=None, help="leave out features with more calls than that")
    asked.add_argument("--step-seconds", type=float, default=STEP_SECONDS, help="how often detection looks")
    given = asked.parse_args(arguments)
    told, calls = context(given.folder), calls_of(given.folder, given.most_an_hour)
    begin_us = calls[0].at_us - calls[0].at_us % MINUTE_US
    from_us = begin_us + round(given.learn_hours * 60) * MINUTE_US + SEVEN_SECONDS_US
    moments = list(moments_of(calls, from_us, round(given.step_seconds * 1_000_000)))
    directly, whole = (found_directly(told, moments, under_way=under_way) for under_way in (True, False))
    by_server = replayed(told, moments)
    rows = list(side_by_side((by_server.told, directly, by_server.backtest, whole)))
    for row in rows:
        print(json.dumps(row))
    same = sum(row["same"] for row in rows)
    lively = len(calls) - len(moments[0][1])
    print(f"{len(calls)} calls, {lively} of them {by_server.speed:.0f} times faster; {same} of {len(rows)} the same")
    return 0 if same == len(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
