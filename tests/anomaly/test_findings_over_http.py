"""The bench's replay over HTTP, on a small scenario: a running server tells what detection tells offline."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = pytest.mark.timeout(900)

ROOT: Final = Path(__file__).parents[2]
BEGINS: Final = datetime(2026, 9, 7, tzinfo=UTC)
LEARN_HOURS: Final = 31
LEARNT: Final = LEARN_HOURS * 60
SPIKE: Final = range(LEARNT + 4, LEARNT + 16)
STORM: Final = range(LEARNT + 5, LEARNT + 15)
STRANGE: Final = range(LEARNT + 12, LEARNT + 22)
ENDS: Final = LEARNT + 26

PRICES: Final = {
    model: {"input": usd, "cached_input": usd / 10, "output": usd * 4}
    for model, usd in {"mini": 0.4, "pro": 2.5, "ultra": 15.0}.items()
}


def rows() -> Iterator[dict[str, Any]]:
    chance = random.Random(5)
    for minute in range(ENDS):
        for feature in ("chat", "search"):
            for _ in range(chance.choice((1, 2, 2, 3)) * (7 if minute in SPIKE and feature == "chat" else 1)):
                yield row(minute, feature, chance)
                if minute in STORM and feature == "search":
                    yield from (row(minute, feature, chance) | {"attempt": attempt} for attempt in (2, 3, 4))


def row(minute: int, feature: str, chance: random.Random) -> dict[str, Any]:
    at = BEGINS + timedelta(minutes=minute, microseconds=chance.randrange(60_000_000))
    strange = minute in STRANGE and feature == "search" and chance.random() < 0.5
    return {
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "user_bucket": f"u{chance.randrange(3)}",
        "feature": feature,
        "model": "ultra" if strange else "mini",
        "input_tokens": 1000,
        "cached_tokens": 0,
        "output_tokens": 200,
        "attempt": 1,
    }


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    calls = sorted(rows(), key=lambda one: str(one["timestamp"]))
    with gzip.open(tmp_path / "events.csv.gz", "wt") as text:
        written = csv.DictWriter(text, list(calls[0]))
        written.writeheader()
        written.writerows(calls)
    allowed = [{"model": model, "from": BEGINS.isoformat()} for model in ("mini", "pro")]
    known = {
        "timezone": "UTC",
        "holidays": [],
        "prices_usd_per_mtok": PRICES,
        "features": {feature: {"allowed_models": allowed} for feature in ("chat", "search")},
    }
    (tmp_path / "context.json").write_text(json.dumps(known))
    return tmp_path


def test_calls_over_http_give_the_findings_of_a_direct_feed_and_so_does_a_backtest(scenario: Path) -> None:
    command = [sys.executable, "-m", "bench.detection.over_http", str(scenario), "--learn-hours", str(LEARN_HOURS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert all(one["same"] for one in told)
    assert all(one["server"] and one["backtest"] for one in told)
    kinds = {(one["kind"], one["scope"]["feature"]) for one in told}
    assert kinds == {("volume_spike", "chat"), ("retry_storm", "search"), ("model_drift", "search")}
