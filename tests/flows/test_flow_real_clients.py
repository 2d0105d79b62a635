"""A real call shows up priced, per user and feature: through the gateway, through the SDK, without a server."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import seven_calls
from seven_calls import KNOWN, USER
from standing import Standing, clean_environment, eventually

from taximeter.simulator.running import RunningSimulator

MEASURES = "calls,cost_usd,input_tokens,output_tokens,cache_read_tokens,cache_write_5m_tokens"


def through_the_sdk(simulator: RunningSimulator, **environment: str) -> None:
    """The seven calls in a process of their own, which ends without calling flush."""
    done = subprocess.run(
        [sys.executable, seven_calls.__file__, simulator.url],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr


def through_the_gateway(standing: Standing) -> None:
    with standing.gpt() as gpt, standing.claude() as claude:
        seven_calls.make(gpt, claude, seven_calls.through_gateway)


def told(standing: Standing, source: str) -> dict[str, dict[str, Any]]:
    """The rows of the report by feature."""
    rows = standing.report(
        "user,feature,model", "--measures", MEASURES, "--where", f"source={source}", "--where", f"user={USER}"
    )["rows"]
    assert len(rows) == len(KNOWN)
    return {row["feature"]: row for row in rows}


def assert_as_known(rows: dict[str, dict[str, Any]]) -> None:
    for feature, known in KNOWN.items():
        row = rows[feature]
        assert row["user_id"] == USER, feature
        assert row["model"] == known.model, feature
        assert int(row["calls"]) == 1, feature
        counted = (row["input_tokens"], row.get("cache_read_tokens") or 0, row.get("cache_write_5m_tokens") or 0)
        assert counted == (known.input_tokens, known.cache_read_tokens, known.cache_write_tokens), feature
        assert (row.get("output_tokens") or 0) == known.output_tokens, feature
        assert Decimal(row["cost_usd"]) == known.cost_usd, feature


def test_seven_calls_through_the_gateway(standing: Standing) -> None:
    through_the_gateway(standing)
    assert eventually(lambda: standing.calls(source="gateway", user_id=USER), lambda n: n >= 7) == 7
    assert_as_known(told(standing, "gateway"))


def test_seven_calls_through_the_sdk(simulator: RunningSimulator, tmp_path: Path) -> None:
    """In a meter of their own: recorded answers keep their ids, by which the gateway's would be the same calls."""
    with Standing(tmp_path, simulator.url) as alone:
        key = alone.key("ingest")
        application = str(tmp_path / "application")
        through_the_sdk(simulator, TAXIMETER_URL=alone.url, TAXIMETER_KEY=key, TAXIMETER_DATA=application)
        assert eventually(lambda: alone.calls(source="sdk", user_id=USER), lambda n: n >= 7) == 7
        assert_as_known(told(alone, "sdk"))


def test_without_a_server_the_events_wait_and_a_report_finds_them(simulator: RunningSimulator, tmp_path: Path) -> None:
    later = Standing(tmp_path, simulator.url)
    through_the_sdk(simulator, TAXIMETER_DATA=str(later.data))
    assert_as_known(told(later, "sdk"))
    with later:
        assert eventually(later.calls, lambda n: n >= 7) == 7
        assert_as_known(told(later, "sdk"))
