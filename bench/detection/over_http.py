"""Raw calls over HTTP into a running server, against the same calls fed offline: `python -m bench.detection.over_http
FOLDER [--learn-hours H] [--most-an-hour N]`.

FOLDER has the context.json of a labelled history and its raw calls (events.csv.gz). The first hours are posted as fast
as they go and learnt. Of the rest every half minute is posted when it is over by the server's clock, which goes on when
detection has looked at it: minutes of calls pass in a second, and a slow machine only makes them pass slower. At the
end the findings that the API tells are compared with those of detection without a server.
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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import yaml

from bench.detection.histories import context, holidays
from bench.detection.told_time import ASKED, TOLD, WATCHED, Times
from taximeter.anomaly.detection import Minute
from taximeter.clock import rfc3339
from taximeter.config.settings import Settings
from taximeter.core.ids import uuid7
from taximeter.reports.backtest import detection_for
from taximeter.reports.signals import blocks

LEARN_HOURS: Final = 72.0
STEP_US: Final = 30_000_000
BATCH: Final = 1_000
PROVIDER: Final = "listed"
MINUTE_US: Final = 60_000_000
PATIENCE_SECONDS: Final = 600.0

Call = Mapping[str, Any]
Found = tuple[str, tuple[tuple[str, str], ...], str]
"""Kind, scope and severity of a finding."""


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────


def calls_of(folder: Path, most_an_hour: int | None) -> list[Call]:
    """The raw calls as events, in the order of time; without the features that have more calls an hour than that."""
    with gzip.open(folder / "events.csv.gz", "rt") as text:
        calls = [_event(number, row) for number, row in enumerate(csv.DictReader(text))]
    hours = (_at_us(calls[-1]) - _at_us(calls[0])) / (60 * MINUTE_US)
    number = Counter(call["feature"] for call in calls)
    return [call for call in calls if most_an_hour is None or number[call["feature"]] <= most_an_hour * hours]


def _event(number: int, row: Mapping[str, str]) -> Call:
    at_us = int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1_000_000)
    return {
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


def _at_us(call: Call) -> int:
    return int(datetime.fromisoformat(call["started_at"]).timestamp() * 1_000_000)


# ── offline ──────────────────────────────────────────────────────────────────────────────────────────────────────


def found_offline(told: Mapping[str, Any], calls: Sequence[Call], from_us: int) -> set[Found]:
    """What detection tells of the calls from a moment on, having seen all of them minute by minute."""
    detection = detection_for(Settings.model_validate(settings(told)).anomalies)
    prices = told["prices_usd_per_mtok"]
    detection.models.prices.update({model: listed["output"] for model, listed in prices.items()})
    incidents = {}
    for block in blocks(_minutes(detection.panel, calls, prices)):
        for news in detection.run(block):
            if news.minute * MINUTE_US >= from_us:
                incidents[id(news.incident)] = news.incident
    return {(one.kind, tuple(sorted(one.scope)), one.severity) for one in incidents.values()}


def _minutes(panel: Any, calls: Sequence[Call], prices: Mapping[str, Mapping[str, float]]) -> Iterator[Minute]:
    by_minute = {
        minute: list(held) for minute, held in itertools.groupby(calls, key=lambda call: _at_us(call) // MINUTE_US)
    }
    for minute in range(min(by_minute), max(by_minute) + 1):
        cells: dict[int, list[float]] = {}
        for call in by_minute.get(minute, ()):
            key = {"feature": call["feature"], "model": call["request_model"], "user_id": call["user_id"]}
            cell = panel.cell(tuple(key.get(name) for name in panel.dimensions), minute)
            held = cells.setdefault(cell, [0.0] * 7)
            for place, value in enumerate(_values(call, prices[call["request_model"]])):
                held[place] += value
        yield Minute(minute, np.fromiter(cells, np.int32, len(cells)), np.array(list(cells.values())).reshape(-1, 7))


def _values(call: Call, price: Mapping[str, float]) -> Iterable[float]:
    """In the order of `panel.Value`."""
    tokens, cached, output = (call[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens"))
    input_usd = ((tokens - cached) * price["input"] + cached * price["cached_input"]) / 1e6
    return 1.0, float(call["attempt"] > 1), tokens, cached, output, input_usd, output * price["output"] / 1e6


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
        """Post them and wait until they are stored."""
        for begins in range(0, len(calls), BATCH):
            body = "\n".join(json.dumps(call) for call in calls[begins : begins + BATCH])
            answer = self.client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"})
            answer.raise_for_status()
            self.posted += int(answer.json()["accepted"])
        stored = f"taximeter_stored_events {float(self.posted)}"
        _until(lambda: stored in self.client.get("/metrics").text)

    def tell(self, now_us: int) -> None:
        """Let it be that late."""
        self.times.write(TOLD, now_us)

    def look(self, now_us: int) -> None:
        """Wait until detection has looked at what there is up to now."""
        self.times.write(ASKED, now_us)
        _until(lambda: self.times.read(WATCHED) == now_us)

    def findings(self, since_us: int) -> set[Found]:
        asked = {"limit": 500, "since": rfc3339(since_us)}
        listed = self.client.get("/api/v1/findings", params=asked).json()["findings"]
        return {(one["kind"], tuple(sorted(one["scope"].items())), one["severity"]) for one in listed}


@contextlib.contextmanager
def server(told: Mapping[str, Any], begin_us: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prices.yaml").write_text(yaml.safe_dump(_price_file(told)))
        held = {**settings(told), "prices": {"overrides": "prices.yaml"}}
        (folder / "taximeter.yaml").write_text(yaml.safe_dump(held))
        times = Times(folder / "times", begin_us=begin_us)
        command = [sys.executable, "-m", "bench.detection.told_time", folder / "taximeter.yaml", folder / "data"]
        with subprocess.Popen([*command, folder / "times"], stdout=subprocess.PIPE, text=True) as process:
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
        time.sleep(0.02)


def found_by_server(told: Mapping[str, Any], calls: Sequence[Call], from_us: int) -> tuple[set[Found], float]:
    """What the API tells after the calls from a moment on, and how much faster than they came they went in."""
    before = [call for call in calls if _at_us(call) < from_us]
    until_us = _at_us(calls[-1])
    ends_us = until_us - until_us % MINUTE_US + 2 * MINUTE_US
    with server(told, _at_us(calls[0])) as to:
        to.post(before)
        to.tell(from_us)
        to.look(from_us)
        began, at = time.monotonic(), len(before)
        for step_us in range(from_us + STEP_US, ends_us + 1, STEP_US):
            until = at
            while until < len(calls) and _at_us(calls[until]) < step_us:
                until += 1
            to.tell(step_us)
            to.post(calls[at:until])
            to.look(step_us)
            at = until
        return to.findings(from_us), (ends_us - from_us) / 1e6 / (time.monotonic() - began)


def main(arguments: list[str]) -> int:
    asked = argparse.ArgumentParser(prog="python -m bench.detection.over_http")
    asked.add_argument("folder", type=Path)
    asked.add_argument("--learn-hours", type=float, default=LEARN_HOURS)
    asked.add_argument("--most-an-hour", type=int, default=None, help="leave out features with more calls than that")
    given = asked.parse_args(arguments)
    told, calls = context(given.folder), calls_of(given.folder, given.most_an_hour)
    begin_us = _at_us(calls[0])
    from_us = begin_us - begin_us % MINUTE_US + round(given.learn_hours * 60) * MINUTE_US
    offline = found_offline(told, calls, from_us)
    online, speed = found_by_server(told, calls, from_us)
    for found in sorted(offline | online):
        where = "both" if found in offline & online else "offline only" if found in offline else "server only"
        print(json.dumps({"kind": found[0], "scope": dict(found[1]), "severity": found[2], "told": where}))
    print(
        f"{len(calls)} calls, {len(offline & online)} of {len(offline | online)} findings the same, {speed:.0f} times"
    )
    return 0 if offline == online else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
