"""`taximeter forecast`: what the API says, in words a person reads, and as it says it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from running_server import eventually, running, taximeter

from taximeter.core.ids import uuid7


def calls(hours: int) -> list[dict[str, object]]:
    """One call at each of the last hours, of 0.0075 USD."""
    now = datetime.now(UTC)
    return [
        {
            "event_id": uuid7(int(now.timestamp() * 1000), hour.to_bytes(10, "big")),
            "started_at": (now - timedelta(hours=hour, minutes=1)).isoformat(),
            "provider": "openai",
            "request_model": "gpt-4o",
            "input_tokens": 1000,
            "output_tokens": 500,
            "status": "ok",
            "feature": "chat",
        }
        for hour in range(hours)
    ]


def test_the_forecast_is_that_of_the_api_and_can_be_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sent = calls(4 * 24 + 12)  # an hour that ends meanwhile makes no fifth day of them
    with running(data) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=sent).json()["accepted"] == len(sent)
        count = {"measures": ["calls"], "from": "10d"}
        with server.client(server.local_token) as client:
            eventually(lambda: client.post("/api/v1/query", json=count).json()["totals"]["calls"] == len(sent))
        told = json.loads(taximeter("forecast", "--span", "week", "--data", str(data), "--format", "json").stdout)
        with server.client(server.local_token) as client:
            api = client.post("/api/v1/forecast", json={"span": "week"}).json()
    assert told.keys() == api.keys()
    assert (told["from"], told["to"], told["spent_usd"]) == (api["from"], api["to"], api["spent_usd"])
    assert told["learnt_days"] == 4
    assert float(told["low_usd"]) <= float(told["forecast_usd"]) <= float(told["high_usd"])
    shown = taximeter("forecast", "--span", "week", "--data", str(data)).stdout
    assert "at its end" in shown
    unknown = taximeter("forecast", "--where", "feature=none", "--data", str(data))
    assert "No forecast yet" in unknown.stdout + unknown.stderr
