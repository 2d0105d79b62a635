"""A real Alertmanager: an incident is one alert there, from its start to its end."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from test_channels import NOTIFICATION, OPENED, channel
from vendors import free_port

from taximeter.alerts.message import Message
from taximeter.clock import SystemClock, rfc3339

START_SECONDS = 60.0
CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("no Alertmanager on this machine (scripts/ensure_programs.py installs it)")
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "alertmanager.yml").write_text(CONFIGURATION)
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_ready(url)
            yield url
        finally:
            process.kill()


def wait_until_ready(url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("Alertmanager did not start")


def alerts_at(url: str, incident: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/api/v2/alerts", timeout=30).json()
    return [one for one in found if one["labels"]["incident"] == incident]


def now(message: Message, dedup_key: str) -> Message:
    at = rfc3339(SystemClock().now_us())
    return replace(message, started_at=at, at=at, dedup_key=dedup_key)


def test_an_incident_is_one_alert_however_often_it_is_told_and_ends(alertmanager: str) -> None:
    place = channel(kind="alertmanager", url=alertmanager)
    opened = now(OPENED, "one")
    for _ in range(2):
        place.deliver(opened, NOTIFICATION)
    place.deliver(replace(opened, event="changed", severity="warning"), NOTIFICATION)
    (alert,) = alerts_at(alertmanager, "one")
    assert alert["labels"] == {
        "alertname": "volume_spike",
        "service": "taximeter",
        "incident": "one",
        **OPENED.labels,
    }
    assert alert["annotations"]["severity"] == "warning"
    assert alert["annotations"]["description"] == OPENED.summary
    assert alert["generatorURL"] == OPENED.links[0].url
    ended = rfc3339(SystemClock().now_us())
    place.deliver(replace(opened, event="resolved", at=ended), NOTIFICATION)
    assert alerts_at(alertmanager, "one") == []


def test_labels_that_prometheus_does_not_know_are_taken(alertmanager: str) -> None:
    place = channel(kind="alertmanager", url=alertmanager)
    place.deliver(replace(now(OPENED, "two"), labels={"tag:Kunde-Nr": "ä", "9": "nine", "empty": ""}), NOTIFICATION)
    (alert,) = alerts_at(alertmanager, "two")
    assert alert["labels"]["tag_Kunde_Nr"] == "ä"
