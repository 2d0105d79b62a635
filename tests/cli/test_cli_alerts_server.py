"""From a call to somebody's pocket: a rule over real calls, a webhook told once, taken, silenced, over."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_server import Server, eventually, running, taximeter

from taximeter.core.ids import uuid7

sys.path.append(str(Path(__file__).parents[1] / "alerts"))
from vendors import Vendor, vendor  # type: ignore[import-not-found]

pytestmark = pytest.mark.timeout(480)  # each of up to four waits may take the two minutes that `eventually` gives it

CONFIGURATION = """
rules:
  - {name: burn, measure: cost_usd, over: 10m, each: [feature], where: {environment: prod}, critical: "> 0.01"}
alerts:
  channels:
    hook: {kind: webhook, url: "%(url)s/hook"}
    broken: {kind: webhook, url: "http://127.0.0.1:9/hook"}
  routes:
    - {match: {kind: threshold}, channels: [hook], escalate: [{after: 1h, channels: [hook]}]}
"""

LINE = "CRITICAL A bound is crossed: feature chat, $0.06 in 10 minutes, rule burn"


@pytest.fixture
def receiver() -> Iterator[Vendor]:
    with vendor() as opened:
        yield opened


@pytest.fixture
def server(tmp_path: Path, receiver: Vendor) -> Iterator[Server]:
    config = tmp_path / "taximeter.yaml"
    config.write_text(CONFIGURATION % {"url": receiver.url})
    with running(tmp_path / "data", "--config", str(config)) as opened:
        yield opened


def call(number: int, feature: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "event_id": uuid7(int(now.timestamp() * 1000), number.to_bytes(10, "big")),
        "started_at": now.isoformat(),
        "provider": "openai",
        "request_model": "gpt-4o",
        "input_tokens": 10_000,
        "output_tokens": 500,
        "feature": feature,
        "environment": "prod",
        "status": "ok",
    }


def post(server: Server, *calls: dict[str, Any]) -> None:
    with server.client(server.first_key("ingest")) as client:
        assert client.post("/v1/events", json=list(calls)).json()["accepted"] == len(calls)


def told(receiver: Vendor) -> list[tuple[str, str]]:
    return [(body["event"], body["first_line"]) for body in receiver.bodies]


def admin(server: Server) -> httpx.Client:
    return server.client(server.local_token)


def test_a_call_over_the_bound_is_told_once_taken_and_annotated(server: Server, receiver: Vendor) -> None:
    with admin(server) as client:
        mark = client.post("/api/v1/annotations", json={"text": "checkout 4.2", "labels": {"service": "checkout"}})
        assert mark.status_code == 201
        post(server, call(1, "chat"), call(2, "chat"))
        eventually(lambda: told(receiver) == [("opened", LINE)])
        (incident,) = client.get("/api/v1/alerts").json()["incidents"]
        assert (incident["severity"], incident["labels"]) == ("critical", {"feature": "chat"})
        assert "burn: cost_usd over 10 minutes is 0.06" in incident["alerts"][0]["summary"]
        taken = client.post(f"/api/v1/alerts/{incident['incident_id']}/acknowledge", json={"by": "anna"}).json()
        assert taken["acknowledged_by"] == "anna"
        eventually(lambda: told(receiver)[-1][0] == "acknowledged")

        def page() -> dict[str, Any]:
            shown: dict[str, Any] = client.get(f"/api/v1/alerts/{incident['incident_id']}").json()
            return shown

        assert [mark["text"] for mark in page()["annotations"]] == ["checkout 4.2"]
        delivered = ["delivered", "delivered"]
        eventually(lambda: [letter["state"] for letter in page()["notifications"]] == delivered)
    assert [event for event, _ in told(receiver)] == ["opened", "acknowledged"]


def test_what_is_silenced_is_seen_and_not_told(server: Server, receiver: Vendor) -> None:
    with admin(server) as client:
        wish = {"match": {"feature": "chat"}, "to": "2199-01-01T00:00:00Z", "comment": "a load test"}
        made = client.post("/api/v1/silences", json=wish).json()
        post(server, call(3, "chat"))
        eventually(lambda: len(client.get("/api/v1/alerts").json()["incidents"]) == 1)
        assert told(receiver) == []
        assert client.delete(f"/api/v1/silences/{made['silence_id']}").status_code == 204
        eventually(lambda: [event for event, _ in told(receiver)] == ["opened"])


def test_a_restart_in_the_middle_neither_forgets_nor_repeats(tmp_path: Path, receiver: Vendor) -> None:
    config = tmp_path / "taximeter.yaml"
    config.write_text(CONFIGURATION % {"url": receiver.url})
    with running(tmp_path / "data", "--config", str(config)) as first:
        post(first, call(4, "chat"))
        eventually(lambda: len(told(receiver)) == 1)
        first.process.kill()
        first.process.wait()
    with running(tmp_path / "data", "--config", str(config)) as second, admin(second) as client:
        eventually(lambda: client.get("/api/v1/status").json()["jobs"]["alerts"]["runs"] >= 2)
        (incident,) = client.get("/api/v1/alerts").json()["incidents"]
        assert incident["resolved_at"] is None
    assert {event for event, _ in told(receiver)} == {"opened"}
    assert len({headers["idempotency-key"] for _, headers, _ in receiver.taken}) == 1, "a copy is known as one"


def test_the_command_line_shows_escalates_takes_and_silences(server: Server, receiver: Vendor) -> None:
    place = ("--data", str(server.data))
    assert "Nothing is wrong" in taximeter("alerts", "list", *place).stderr
    post(server, call(5, "chat"))
    eventually(lambda: len(told(receiver)) == 1)
    listed = taximeter("alerts", "list", *place, "--format", "json")
    incident = json.loads(listed.stdout)["incidents"][0]["incident_id"]
    assert listed.returncode == 1, "there is one"
    assert taximeter("alerts", "escalate", incident[:13], *place).returncode == 0
    eventually(lambda: [event for event, _ in told(receiver)] == ["opened", "escalated"])
    assert "nobody further" in taximeter("alerts", "escalate", incident[:13], *place).stderr
    assert taximeter("alerts", "ack", incident[:13], "--by", "bert", *place).returncode == 0
    assert "taken by bert" in taximeter("alerts", "list", *place).stdout.replace("\n", " ")
    assert taximeter("alerts", "annotate", "rolled back", "--label", "feature=chat", *place).returncode == 0
    shown = taximeter("alerts", "show", incident, *place).stdout
    assert "A bound is crossed: feature chat" in shown
    assert "rolled back" in shown
    until = ("--until", "2199-01-01T00:00:00Z")
    assert taximeter("alerts", "silence", "--match", "feature=chat", *until, *place).returncode == 0
    assert "feature=chat" in taximeter("alerts", "silence", *place).stdout
    assert taximeter("alerts", "test", "broken", *place).returncode == 1
    assert taximeter("alerts", "ack", "0000", *place).returncode == 2


def may_call(server: Server, feature: str) -> bool:
    """What a caller is told who asks whether one more call may be made."""
    one = call(99, feature)
    wish = {
        "event_id": one["event_id"],
        "started_at": one["started_at"],
        "subject": {"feature": feature},
        "kind": {"provider": "openai", "model": "gpt-4o"},
        "bound": {"input_tokens": 10, "output_tokens": 10},
    }
    with server.client(server.first_key("ingest")) as client:
        answer = client.post("/api/v1/limits/admit", json=wish)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["verdict"] == "admitted")


def test_who_caused_an_incident_is_paused_from_it_after_a_confirmation_and_let_go_again(
    server: Server, receiver: Vendor
) -> None:
    place = ("--data", str(server.data))
    post(server, call(6, "chat"), call(7, "search"))
    with admin(server) as client:
        eventually(lambda: {one["labels"]["feature"] for one in open_incidents(client)} == {"chat", "search"})
        (incident,) = (one["incident_id"] for one in open_incidents(client) if one["labels"]["feature"] == "chat")
        path = f"/api/v1/alerts/{incident}/actions"
        planned = client.post(path, json={"kind": "pause"}).json()
        assert (planned["in_force"], planned["definition"]["scope"]) == (False, {"feature": ["chat"]})
        assert client.get(path).json()["actions"] == []
        assert may_call(server, "chat")

        done = taximeter("alerts", "act", incident, "pause", "--yes", *place)
        assert done.returncode == 0, done.stderr
        eventually(lambda: not may_call(server, "chat"))
        assert may_call(server, "search")
        (action,) = client.get(path).json()["actions"]
        assert action["name"] in done.stderr
        assert action["changed_by"]
        marks = client.get(f"/api/v1/alerts/{incident}").json()["annotations"]
        assert "pause: feature chat" in [mark["text"] for mark in marks]

        assert taximeter("alerts", "act", incident, "--undo", "limit-of-others", *place).returncode != 0
        assert taximeter("alerts", "act", incident, "--undo", action["name"], *place).returncode == 0
        eventually(lambda: may_call(server, "chat"))
        assert client.get(path).json()["actions"] == []
        assert client.post(path, json={"kind": "limit"}).status_code == 422
        assert client.post("/api/v1/alerts/none/actions", json={"kind": "pause"}).status_code == 404


def open_incidents(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/alerts").json()["incidents"]
    return found


def test_without_a_server_nothing_is_watched_and_the_command_says_so(tmp_path: Path) -> None:
    done = taximeter("alerts", "list", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "taximeter up" in done.stderr


@pytest.mark.parametrize(("told_at_once", "code"), [("[slack opened threshold]", 0), ("[]", 1)])
def test_a_scenario_can_be_played_from_the_command_line(tmp_path: Path, told_at_once: str, code: int) -> None:
    text = f"channels: [slack]\ntimeline: [{{at: 0m, observe: [{{rule: r}}], told: {told_at_once}}}]\n"
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "taximeter.yaml").write_text("")
    config = ("--config", str(tmp_path / "taximeter.yaml"))
    assert taximeter("rules", "check", "--scenario", str(tmp_path / "one.yaml"), *config).returncode == code


def test_a_channel_can_be_tried_and_says_what_is_wrong(server: Server, receiver: Vendor) -> None:
    with admin(server) as client:
        assert client.post("/api/v1/channels/hook/test").json()["delivered"]
        assert receiver.bodies[0]["kind"] == "test"
        broken = client.post("/api/v1/channels/broken/test").json()
        assert (broken["delivered"], broken["error"]) == (False, "the webhook does not answer: ConnectionRefusedError")
        assert client.post("/api/v1/channels/pigeon/test").status_code == 404
        listed = client.get("/api/v1/channels").json()["channels"]
    assert listed == [{"name": "broken", "kind": "webhook"}, {"name": "hook", "kind": "webhook"}]


def test_everything_wrong_with_rules_and_alerts_is_told_at_once(tmp_path: Path) -> None:
    config = tmp_path / "taximeter.yaml"
    config.write_text(
        """
rules:
  - {name: a, measure: cost_eur, warning: "> 1"}
  - {name: b, measure: cost_usd, warning: "> 150%"}
  - {name: b, measure: cost_usd, each: [colour], warning: "> 1"}
alerts:
  channels: {p: {kind: pagerduty}}
  routes: [{channels: [q]}]
"""
    )
    done = taximeter("check", str(config), "--format", "json")
    places = [mistake["where"] for mistake in json.loads(done.stdout)["mistakes"]]
    assert done.returncode == 2
    assert places == [
        "alerts.channels.p.routing_key",
        "alerts.routes",
        "rules.0.measure",
        "rules.1.warning",
        "rules.2.name",
        "rules.2.each",
    ]
