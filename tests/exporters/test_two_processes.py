"""Two real servers on one PostgreSQL and one ClickHouse tell every call once, also when the one that tells dies."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from export_rig import record
from receivers import WebhookReceiver, listening
from server_rig import PATIENCE_SECONDS, Running, eventually, running

from taximeter.clock import SystemClock


def called(server: Running, numbers: range) -> None:
    """As many calls reach a server."""
    calls = [record(SystemClock().now_us(), number, feature=f"feature-{number % 3}") for number in numbers]
    for call in calls:
        del call["cost_usd"]
    sent = httpx.post(server.url + "/v1/events", json=calls, headers=server.headers, timeout=PATIENCE_SECONDS)
    assert sent.json()["accepted"] == len(calls)


def telling(servers: Sequence[Running]) -> list[Running]:
    """Those that do the exports."""
    return [server for server in servers if not _asked(server, "/api/v1/status")["jobs"]["exports"]["elsewhere"]]


def _asked(server: Running, path: str, **parameters: str) -> Any:
    answer = httpx.get(server.url + path, params=parameters, headers=server.headers, timeout=PATIENCE_SECONDS)
    return answer.raise_for_status().json()


@pytest.mark.timeout(6 * PATIENCE_SECONDS)
def test_two_servers_tell_every_call_once_and_one_takes_over(
    postgres_database: str, clickhouse: str, tmp_path: Path
) -> None:
    receiver = WebhookReceiver()
    with listening(receiver.take) as hook:
        settings = f"""
exporters: {{every_seconds: 1, send_seconds: 1, to: {{hook: {{kind: webhook, url: '{hook}'}}}}}}
store: {{events: '{clickhouse}', metadata: '{postgres_database}'}}
"""
        with running(tmp_path / "one", settings) as one, running(tmp_path / "other", settings) as other:
            called(one, range(10))
            called(other, range(10, 20))
            assert eventually(lambda: receiver.sums().get("calls") == 20)
            (leader,) = eventually(lambda: found if len(found := telling((one, other))) == 1 else None)
            survivor = other if leader is one else one
            leader.process.kill()
            leader.process.wait()
            called(survivor, range(20, 30))
            assert eventually(lambda: receiver.sums().get("calls", 0) >= 30)
            assert eventually(lambda: telling((survivor,)) == [survivor])
            stored = httpx.post(
                survivor.url + "/api/v1/query",
                json={"measures": ["cost_usd", "calls"], "from": "1d"},
                headers=survivor.headers,
                timeout=PATIENCE_SECONDS,
            ).json()["totals"]
    assert stored["calls"] == receiver.sums()["calls"] == 30
    assert receiver.sums()["cost_usd"] == Decimal(stored["cost_usd"])
