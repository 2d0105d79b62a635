"""From calls that are sent to findings that are told: receiver, spool, collector, store and detection, put together."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Final

import pytest
from stored_history import NOW, Clock, History

from taximeter.anomaly.finding import Finding
from taximeter.clock import rfc3339
from taximeter.config.anomalies import AnomalySettings
from taximeter.core.ids import uuid7
from taximeter.ingest.collector import Collector
from taximeter.ingest.receive import Receiver
from taximeter.pricing import load_price_book
from taximeter.reports.backtest import backtest
from taximeter.spool import Spool, SpoolReader

pytestmark = pytest.mark.timeout(900)

MINUTE_US: Final = 60_000_000
SECONDS_A_TURN: Final = 30
SPIKE: Final = range(NOW + 4, NOW + 16)
STRANGE: Final = range(NOW + 18, NOW + 28)
ENDS: Final = NOW + 42


class Server:
    """The road of an event, on a clock of ours: what a server does in three quarters of an hour, as fast as it can."""

    def __init__(self, history: History, folder: Path) -> None:
        self.clock, self.history = Clock(NOW), history
        self.spool = Spool(folder / "spool", clock=self.clock, writer="server")
        self._receiver = Receiver(self.spool, history.store.known_ids, self.clock)
        self.detecting = history.detecting(self.clock, alone=True)
        self._collector = Collector(
            SpoolReader(folder / "spool"),
            load_price_book(),
            history.store,
            self.clock,
            on_stored=lambda _events: self.detecting.stored(),
        )

    def send(self, events: list[dict[str, object]]) -> None:
        if not events:
            return
        body = b"\n".join(json.dumps(event).encode() for event in events)
        received = asyncio.run(self._receiver.receive(body, "application/x-ndjson"))
        assert received["accepted"] == len(events)
        while self._collector.step():
            pass


def calls_between(first_us: int, last_us: int, chance: random.Random) -> list[dict[str, object]]:
    minute = first_us // MINUTE_US
    factor = 6 if minute in SPIKE else 1
    number = round(4 * factor * (last_us - first_us) / MINUTE_US + chance.random() - 0.5)
    return [
        {
            "event_id": uuid7(at_us // 1000, chance.randbytes(10)),
            "started_at": rfc3339(at_us),
            "provider": "openai",
            "request_model": "gpt-4o" if minute in STRANGE and chance.random() < 0.5 else "gpt-4o-mini",
            "feature": "chat",
            "user_id": f"u{chance.randrange(3)}",
            "status": "ok",
            "input_tokens": 1000,
            "output_tokens": 200,
        }
        for at_us in (chance.randrange(first_us, last_us) for _ in range(number))
    ]


def test_what_is_told_while_calls_come_in_is_what_their_history_tells(history: History, tmp_path: Path) -> None:
    history.calls(NOW - 8, NOW)
    server, chance = Server(history, tmp_path), random.Random(4)
    try:
        for until_us in range(NOW * MINUTE_US, ENDS * MINUTE_US, SECONDS_A_TURN * 1_000_000):
            server.clock.minute = until_us / MINUTE_US
            server.send(calls_between(until_us - SECONDS_A_TURN * 1_000_000, until_us, chance))
            server.detecting.turn()
    finally:
        server.spool.close()
    told = [one.finding for one in history.metadata.findings.list()]
    assert {one.kind for one in told} == {"volume_spike", "model_drift"}
    looked_back = backtest(AnomalySettings(), history.store, NOW * MINUTE_US, (ENDS - 1) * MINUTE_US)
    assert words(told) == words(list(looked_back.findings))
    [spike] = [one for one in told if one.kind == "volume_spike"]
    assert spike.detected_at_us <= (SPIKE.start + 3) * MINUTE_US


def words(findings: list[Finding]) -> set[tuple[object, ...]]:
    return {(one.kind, tuple(sorted(one.scope.items())), one.severity, one.open) for one in findings}
