"""What a service does to a notification, and what a kill does: nothing is lost, copies are known as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import pytest
from night import HandClock
from test_channels import OPENED, RESOLVED
from vendors import Vendor, certificate, free_port, vendor

from taximeter.alerts.channels import http
from taximeter.alerts.channels.registry import open_channels
from taximeter.alerts.delivery import Delivery
from taximeter.alerts.message import Message
from taximeter.alerts.states import SECOND_US
from taximeter.store.metadata import Letter, Metadata

KILLS: Final = int(os.environ.get("FLOW_KILLS", "2"))


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    opened = Metadata(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


def post(metadata: Metadata, channel: str, message: Message, number: int, now_us: int) -> None:
    incident = message.dedup_key
    letter = Letter(
        notification_id=f"{incident}/all/{channel}/{number}",
        incident_id=incident,
        channel=channel,
        event=message.event,
        content=asdict(message),
        state="waiting",
        tries=0,
        created_at_us=now_us,
        due_at_us=now_us,
    )
    metadata.alerting.keep("{}", [], [letter])


# ── a service in trouble for ten minutes ───────────────────────────────────────────────────────────────────

ACCEPTED: Final = (202, {"content-type": "application/json"}, b'{"status": "success", "dedup_key": "k"}')
Tls = tuple[Path, Path]
Fault = Callable[[int, Tls], AbstractContextManager[Any]]


@contextmanager
def slow(port: int, _other: Tls) -> Iterator[Vendor]:
    """Takes everything, and answers after everybody has hung up."""
    gone = threading.Event()
    with vendor(port=port) as opened:
        opened.before = lambda _number: gone.wait()
        try:
            yield opened
        finally:
            gone.set()


FAULTS: Final[dict[str, tuple[str, Fault]]] = {
    "is down": ("hook", lambda _port, _other: nullcontext()),
    "is slow": ("hook", slow),
    "asks to wait": ("hook", lambda port, _other: vendor((429, {"retry-after": "30"}, b"slow down"), port=port)),
    "fails": ("hook", lambda port, _other: vendor((500, {}, b"oops"), port=port)),
    "has another certificate": ("pager", lambda port, other: vendor(ACCEPTED, tls=other, port=port)),
    "speaks no TLS": ("pager", lambda port, _other: vendor(ACCEPTED, port=port)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_ten_minutes_of_trouble_lose_nothing_and_keep_the_order(
    fault: str, metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "is slow":
        monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.05)
    kind, broken = FAULTS[fault]
    (tmp_path / "other").mkdir()
    good, other = certificate(tmp_path), certificate(tmp_path / "other")
    port, clock = free_port(), HandClock(29_800_000)
    settings = {
        "hook": {"kind": "webhook", "url": f"http://127.0.0.1:{port}/"},
        "pager": {
            "kind": "pagerduty",
            "routing_key": "r" * 32,
            "api_url": f"https://127.0.0.1:{port}",
            "ca_file": str(good[1]),
        },
    }
    channels, _mistakes = open_channels({kind: settings[kind]}, clock)
    delivery = Delivery(metadata.alerting, channels, clock)

    def pass_minutes(minutes: int) -> None:
        for _ in range(minutes * 4):
            clock.us += 15 * SECOND_US
            delivery.run(kind)

    with broken(port, other):
        post(metadata, kind, OPENED, 1, clock.us)
        pass_minutes(5)
        post(metadata, kind, RESOLVED, 2, clock.us)
        pass_minutes(5)
        assert delivery.counts.get((kind, "delivered"), 0) == 0
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 10.0)
    with vendor(ACCEPTED, tls=good if kind == "pager" else None, port=port) as service:
        pass_minutes(15)
    told = [body.get("event_action") or body["event"] for body in service.bodies]
    assert told in (["opened", "resolved"], ["trigger", "resolve"])
    assert {one.state for one in metadata.alerting.letters()} == {"delivered"}


def test_a_slow_channel_holds_up_no_other(metadata: Metadata) -> None:
    clock = HandClock(29_800_000)
    with vendor() as quick:
        settings = {name: {"kind": "webhook", "url": quick.url} for name in ("slow", "quick")}
        channels, _mistakes = open_channels(settings, clock)
        for name in settings:
            post(metadata, name, OPENED, 1, clock.us)
        Delivery(metadata.alerting, channels, clock).run("quick")
    assert {one.channel: one.state for one in metadata.alerting.letters()} == {"slow": "waiting", "quick": "delivered"}


# ── kill -9 ────────────────────────────────────────────────────────────────────────────────────────────────


def test_killed_while_a_service_answers_nothing_is_lost_and_a_copy_has_the_same_key(
    metadata: Metadata, tmp_path: Path
) -> None:
    incidents = [f"incident-{number}" for number in range(3 * KILLS)]
    for number, incident in enumerate(incidents):
        for place, message in enumerate((OPENED, RESOLVED), start=1):
            post(metadata, "hook", replace(message, dedup_key=incident), place, 1_000_000 * number + place)
    metadata.close()
    with vendor() as service:
        child: list[subprocess.Popen[bytes]] = []

        def killing(*numbers: int) -> Callable[[int], None]:
            def kill(number: int) -> None:
                if number in numbers:
                    child[-1].kill()
                    child[-1].wait()

            return kill

        kills = range(3, 3 + 2 * KILLS, 2)
        service.before, service.after = killing(*kills[::2]), killing(*kills[1::2])
        while not child or child[-1].returncode != 0:
            script = Path(__file__).parent / "delivering.py"
            child.append(subprocess.Popen([sys.executable, script, tmp_path / "metadata.sqlite", service.url]))
            assert child[-1].wait() in (0, -signal.SIGKILL)
    assert len(child) == KILLS + 1
    keys = [headers["idempotency-key"] for _path, headers, _body in service.taken]
    wanted = [f"{incident}/all/hook/{place}" for incident in incidents for place in (1, 2)]
    assert sorted(set(keys)) == sorted(wanted)
    assert len(keys) - len(wanted) <= KILLS
    assert [key for number, key in enumerate(keys) if key not in keys[:number]] == wanted
