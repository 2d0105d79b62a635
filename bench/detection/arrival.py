"""`python -m bench.detection.arrival [--bursts N]`: seconds from a burst's arrival to the finding that the API tells.

A server on the machine's clock, with a day and a half of calls of N features in its store. One after the other each
feature has a burst, posted at once; timed from the answer that it was taken in. A line of JSON for each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from taximeter.clock import rfc3339
from taximeter.compose.keeping import EVENTS_FILE
from taximeter.core.ids import uuid7
from taximeter.store.events import DuckDBEvents

LEARN_MINUTES: Final = 32 * 60
CALLS_A_MINUTE: Final = 4
BURST_CALLS: Final = 300
BURST_US: Final = 3_000_000
BETWEEN_SECONDS: Final = 0.7
"""Detection looks every two seconds: bursts come at different times before its turn."""

LOOK_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 600.0
MINUTE_US: Final = 60_000_000


def main(arguments: list[str]) -> int:
    asked = argparse.ArgumentParser(prog="python -m bench.detection.arrival")
    asked.add_argument("--bursts", type=int, default=10)
    features = [f"feature-{number}" for number in range(asked.parse_args(arguments).bursts)]
    chance = random.Random(3)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        _learnt(data, features, chance)
        with _server(Path(name), data) as client:
            _until(lambda: client.get("/api/v1/status").json()["jobs"]["detection"]["runs"])
            for feature in features:
                print(json.dumps(_burst(client, feature, chance)), flush=True)
                time.sleep(BETWEEN_SECONDS)
    return 0


def _burst(client: httpx.Client, feature: str, chance: random.Random) -> dict[str, Any]:
    before = _told(client, feature)
    now_us = time.time_ns() // 1000
    calls = [_call(now_us - chance.randrange(BURST_US), feature, chance) for _ in range(BURST_CALLS)]
    body = "\n".join(json.dumps(call) for call in calls)
    client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"}).raise_for_status()
    arrived = time.monotonic()
    [finding, *_] = _until(lambda: _told(client, feature))
    seconds, told_us = round(time.monotonic() - arrived, 2), time.time_ns() // 1000
    return {
        "feature": feature,
        "told_before": before,
        "kind": finding["kind"],
        "began_at": rfc3339(now_us - BURST_US),
        "detected_at": finding["detected_at"],
        "told_at": rfc3339(told_us),
        "seconds": seconds,
        "turn_ms": round(client.get("/api/v1/status").json()["jobs"]["detection"]["last_duration_ms"]),
    }


def _told(client: httpx.Client, feature: str) -> list[dict[str, Any]]:
    listed = client.get("/api/v1/findings", params={"limit": 500}).json()["findings"]
    return [one for one in listed if one["scope"].get("feature") == feature]


def _learnt(data: Path, features: list[str], chance: random.Random) -> None:
    """A store in which each feature has had the usual calls until now."""
    data.mkdir()
    store = DuckDBEvents(data / EVENTS_FILE)
    this_minute = time.time_ns() // 1000 // MINUTE_US
    for feature in features:
        lines = [
            _stored(minute * MINUTE_US + chance.randrange(MINUTE_US), feature, chance)
            for minute in range(this_minute - LEARN_MINUTES, this_minute)
            for _ in range(chance.randint(CALLS_A_MINUTE - 1, CALLS_A_MINUTE + 1))
        ]
        store.append(lines, {})
    store.close()


def _stored(at_us: int, feature: str, chance: random.Random) -> bytes:
    priced = {"cost_usd": "0.00027", "cost": {"input": "0.00015", "output": "0.00012"}}
    return json.dumps({**_call(at_us, feature, chance), "ingested_at": rfc3339(at_us), **priced}).encode()


def _call(at_us: int, feature: str, chance: random.Random) -> dict[str, Any]:
    return {
        "event_id": uuid7(at_us // 1000, chance.randbytes(10)),
        "started_at": rfc3339(at_us),
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "feature": feature,
        "user_id": f"u{chance.randrange(3)}",
        "status": "ok",
        "input_tokens": 1000,
        "output_tokens": 200,
    }


@contextlib.contextmanager
def _server(folder: Path, data: Path) -> Iterator[httpx.Client]:
    configuration = folder / "taximeter.yaml"
    configuration.write_text('server: {auth: "off"}\n')
    command = [
        sys.executable,
        "-m",
        "taximeter",
        "up",
        "--port",
        "0",
        "--config",
        str(configuration),
        "--data",
        str(data),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            url = re.search(r"running at (\S+)", process.stdout.readline())
            if url is None:
                raise SystemExit("the server did not start")
            with httpx.Client(base_url=url[1], timeout=PATIENCE_SECONDS) as client:
                yield client
        finally:
            process.terminate()


def _until(answer: Any) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := answer()):
        if time.monotonic() > deadline:
            raise SystemExit("nothing was told")
        time.sleep(LOOK_SECONDS)
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
