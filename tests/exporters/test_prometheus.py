"""What Prometheus sees: a running server under load, every rule and every panel; counters that never go back."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import yaml
from export_rig import World, record
from grafana_here import shipped_queries
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from server_rig import PATIENCE_SECONDS, answers, eventually, free_port, server

from taximeter.clock import SystemClock
from taximeter.exporters.feed import Feed, Grouping
from taximeter.exporters.latencies import HISTOGRAMS
from taximeter.exporters.prometheus import (
    BY_USER,
    GAUGES,
    SPEND,
    USER_MEASURES,
    Reading,
    ReadingsCollector,
    SpendCollector,
    StandingCollector,
)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANUAL = ROOT / "docs" / "integrations" / "prometheus.md"

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool (scripts/ensure_programs.py installs it)"
)


def exposed(*feeds: Feed) -> str:
    registry = CollectorRegistry(auto_describe=False)
    for feed in feeds:
        registry.register(SpendCollector(feed, BY_USER if feed.grouping.name == "users" else SPEND))
        if feed.grouping.name != "users":
            registry.register(StandingCollector(feed))
    return generate_latest(registry).decode()


def spend(here: World) -> Feed:
    return Feed(Grouping("spend", ("model", "feature"), 20), here.store, here.metadata.exports, here.clock)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def complaints(text: str) -> tuple[int, str]:
    """What promtool has to say of metrics, and how it ends."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


NOTHING_WRONG = (0, "")


@promtool
def test_the_metrics_pass_promtool(here: World) -> None:
    here.traffic(Random(3), 100)
    users = Feed(Grouping("users", ("user_id",), 5, USER_MEASURES), here.store, here.metadata.exports, here.clock)
    one = spend(here)
    for feed in (one, users):
        feed.turn()
    assert complaints(exposed(one, users)) == NOTHING_WRONG


@promtool
def test_quantiles_pass_promtool() -> None:
    latency = Reading("taximeter_latency_seconds", ("model", "quantile"), [(("gpt-4o", "0.95"), 1.5)])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ReadingsCollector(lambda: [latency]))
    text = generate_latest(registry).decode()
    assert 'taximeter_latency_seconds{model="gpt-4o",quantile="0.95"} 1.5' in text
    assert complaints(text) == NOTHING_WRONG


def test_they_are_openmetrics_too(here: World) -> None:
    here.call()
    one = spend(here)
    one.turn()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SpendCollector(one, SPEND))
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    assert 'taximeter_cost_usd_total{feature="chat",model="gpt-4o"} 0.0125' in text
    assert text.endswith("# EOF\n")


def test_counters_never_go_back_across_restarts_corrections_and_new_names(here: World) -> None:
    chance = Random(4)
    before: dict[Any, float] = {}
    for turn in range(6):
        here.traffic(chance, 60)
        if turn == 3:
            here.store.delete_user("user-1", here.clock.at_us + 1)
        one = spend(here)
        one.turn()
        now = {name: value for name, value in samples(exposed(one)).items() if name[0].endswith("_total")}
        assert {name: now[name] for name in before if now[name] < before[name]} == {}
        before = now
        here.clock.at_us += 3_600_000_000
    assert before


def test_a_feed_that_has_not_begun_has_no_counters(here: World) -> None:
    assert exposed(spend(here)) == ""


@promtool
def test_rules_and_configuration_pass_promtool_and_every_alert_fires_when_it_should(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "prometheus", tmp_path, dirs_exist_ok=True)
    shutil.copy(Path(__file__).with_name("rules_test.yml"), tmp_path)
    (tmp_path / "taximeter.key").write_text("tm_read_x")
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        said = subprocess.run(["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_test() -> None:
    tested = Path(__file__).with_name("rules_test.yml").read_text()
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    assert alerts
    assert [alert for alert in alerts if f"alertname: {alert}," not in tested] == []


def test_every_metric_of_spend_is_in_the_manual() -> None:
    text = MANUAL.read_text()
    for name in (*(metric.name for metric in (*SPEND, *BY_USER)), *GAUGES, *HISTOGRAMS):
        assert f"`{name}`" in text


# ── a real server, a real Prometheus ───────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(6 * PATIENCE_SECONDS)
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus (scripts/ensure_programs.py installs it)")
def test_every_recording_rule_and_every_panel_returns_data_from_a_server_under_load(tmp_path: Path) -> None:
    with server(tmp_path) as (url, key), loaded(url, key), prometheus(tmp_path, url, key) as ask:
        recording = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
        wanted = recording | panels() | dict(enumerate(examples()))
        missing = set(wanted)
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while missing and time.monotonic() < deadline:
            missing = {name for name in missing if not ask(wanted[name])}
            time.sleep(2 if missing else 0)
        assert missing == set()
        told = httpx.get(url + "/metrics", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_SECONDS)
        assert complaints(told.raise_for_status().text) == NOTHING_WRONG
        assert {name for name in recording if not eventually(partial(ask, name))} == set()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def examples() -> list[str]:
    """Those of the manual, over a time that has something so soon."""
    found = re.findall(r"```promql\n(.*?)\n```", MANUAL.read_text(), re.DOTALL)
    assert found
    return found


def panels() -> dict[str, str]:
    """The query of every panel as Grafana would ask it, everything chosen."""
    found = {}
    for name, target in shipped_queries("prometheus"):
        query = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "5m")
        found[name] = re.sub(r"\$\{?\w+\}?", ".*", query)
    return found


@contextmanager
def loaded(url: str, key: str) -> Iterator[None]:
    """Calls of every kind come in all the time."""
    stop = threading.Event()
    chance = Random(5)

    def post() -> None:
        number = 0
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as client:
            while not stop.is_set():
                events = [call(chance, number := number + 1) for _ in range(40)]
                client.post(url + "/v1/events", json=events, timeout=60).raise_for_status()
                stop.wait(1)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def call(chance: Random, number: int) -> dict[str, Any]:
    told = record(
        SystemClock().now_us(),
        number,
        feature=chance.choice(("chat", "search")),
        request_model=chance.choice(("gpt-4o", "gpt-4o", "nobody-knows")),
        status=chance.choice(("ok", "ok", "ok", "error", "refused")),
        attempt=chance.choice((1, 1, 2)),
        cache_read_tokens=500,
        time_to_first_token_ms=120.0,
    )
    del told["cost_usd"]
    return told


@contextmanager
def prometheus(folder: Path, url: str, key: str) -> Iterator[Callable[[str], list[Any]]]:
    """A Prometheus that scrapes often, by the shipped configuration; asks it a query.

    It waits as long for an answer as it lets pass between two of them: a busy server needs some seconds.
    """
    home = folder / "prometheus"
    shutil.copytree(DEPLOY / "prometheus", home)
    (home / "taximeter.key").write_text(key)
    file, port = home / "prometheus.yml", free_port()
    text = file.read_text().replace("127.0.0.1:8787", url.removeprefix("http://"))
    text = re.sub(r"scrape_interval: \d+s", "scrape_interval: 5s", text)
    file.write_text(re.sub(r"evaluation_interval: \d+s", "evaluation_interval: 1s", text))
    shipped = home / "rules.yml"
    shipped.write_text(shipped.read_text().replace("interval: 30s", "interval: 1s"))
    own = [f"--web.listen-address=127.0.0.1:{port}", f"--config.file={file}", f"--storage.tsdb.path={home / 'tsdb'}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(["prometheus", *own], stdout=quiet, stderr=quiet) as process:
        try:
            here = f"http://127.0.0.1:{port}"
            assert eventually(lambda: answers(here + "/-/ready"))

            def ask(query: str) -> list[Any]:
                answer = httpx.get(here + "/api/v1/query", params={"query": query}, timeout=30).json()
                assert answer["status"] == "success", (query, answer)
                found: list[Any] = answer["data"]["result"]
                return found

            yield ask
        finally:
            process.terminate()
            process.wait(30)
