"""Rules of one's own on a running server: those of the file, those set over the API, and what they would have told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from running_server import Server, eventually, running, taximeter
from test_cli_alerts_server import CONFIGURATION, admin, call, post

sys.path.append(str(Path(__file__).parents[1] / "alerts"))
from vendors import Vendor, vendor  # type: ignore[import-not-found]

DOCS: dict[str, Any] = {
    "name": "docs-burn",
    "measure": "cost_usd",
    "over": "10m",
    "where": {"feature": "docs"},
    "warning": "> 0.01",
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Vendor]:
    with vendor() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Vendor) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("rules")
    config = folder / "taximeter.yaml"
    config.write_text(CONFIGURATION % {"url": receiver.url})
    with running(folder / "data", "--config", str(config)) as opened:
        yield opened


def test_a_rule_of_the_file_is_shown_and_can_only_be_changed_there(server: Server) -> None:
    with admin(server) as client:
        burn = client.get("/api/v1/rules/burn").json()
        assert (burn["provisioned"], burn["version"], burn["changed_by"]) == (True, None, None)
        assert burn["critical"] == "> 0.01"
        changed = client.post("/api/v1/rules", json={"name": "burn", "measure": "calls", "warning": "> 1"})
        assert (changed.status_code, client.delete("/api/v1/rules/burn").status_code) == (403, 403)
        assert client.get("/api/v1/rules/burn").json() == burn


@pytest.mark.parametrize("name", ["search/answers", "50% of ü?"])
def test_a_rule_is_found_and_removed_whatever_its_name(server: Server, name: str) -> None:
    with admin(server) as client:
        assert client.post("/api/v1/rules", json={**DOCS, "name": name}).status_code == 201
        address = f"/api/v1/rules/{quote(name, safe='')}"
        assert client.get(address).json()["name"] == name
        assert client.delete(address).status_code == 204
        assert len(client.get(f"{address}/history").json()["versions"]) == 2


def test_a_rule_that_is_set_fires_and_changes_by_versions_until_it_is_removed(server: Server, receiver: Vendor) -> None:
    staging = {**call(71, "docs"), "environment": "staging"}
    post(server, staging)
    with admin(server) as client:
        made = client.post("/api/v1/rules", json={**DOCS})
        assert (made.status_code, made.json()["version"], made.json()["provisioned"]) == (201, 1, False)

        def about() -> list[dict[str, Any]]:
            found = client.get("/api/v1/alerts?state=all").json()["incidents"]
            return [one for one in found if any(alert["rule"] == "docs-burn" for alert in one["alerts"])]

        eventually(about)
        assert about()[0]["severity"] == "warning"
        second = client.post("/api/v1/rules", json={**DOCS, "critical": "> 0.02"}).json()
        assert second["version"] == 2
        eventually(lambda: about()[0]["severity"] == "critical")
        assert client.delete("/api/v1/rules/docs-burn").status_code == 204
        assert client.get("/api/v1/rules/docs-burn").status_code == 404
        versions = client.get("/api/v1/rules/docs-burn/history").json()["versions"]
    assert [(one["version"], one["definition"] is None) for one in versions] == [(3, True), (2, False), (1, False)]
    assert all(one["changed_by"] for one in versions)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({**DOCS, "measure": "euros"}, "measure"),
        ({**DOCS, "warning": "about 5"}, "warning"),
        ({**DOCS, "over": "soon"}, "over"),
        ({**DOCS, "colour": "red"}, "colour"),
        ({"name": "x"}, "measure"),
    ],
)
def test_a_wrong_rule_is_refused_by_its_field(server: Server, wrong: dict[str, Any], field: str) -> None:
    with admin(server) as client:
        for path, body in (("/api/v1/rules", wrong), ("/api/v1/rules/preview", {"rule": wrong})):
            answer = client.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_who_may_only_read_may_look_and_try_but_not_set(server: Server) -> None:
    with server.client(server.first_key("ingest")) as client:
        assert client.get("/api/v1/rules").status_code == 403
        assert client.post("/api/v1/rules", json=DOCS).status_code == 403


def test_the_command_line_lists_rules_and_tries_them_on_the_past(server: Server) -> None:
    place = ("--data", str(server.data))
    post(server, {**call(72, "tried"), "environment": "staging"})
    listed = taximeter("rules", "list", *place)
    assert "burn" in listed.stdout
    text = '{name: t, measure: cost_usd, over: 10m, where: {feature: tried}, warning: "> 0.01"}'

    def fired() -> int:
        answer = json.loads(taximeter("rules", "preview", text, "--since", "1h", *place, "--format", "json").stdout)
        return int(answer["count"])

    eventually(lambda: fired() == 1)
    shown = taximeter("rules", "preview", text, "--since", "1h", *place)
    assert "warning, and still does" in shown.stdout
    assert "t: cost_usd over 10 minutes is 0.03" in shown.stdout
    assert "would have fired 1 times" in shown.stderr
    assert taximeter("rules", "preview", "nothing", *place).returncode == 1
    assert taximeter("rules", "preview", "{name: [", *place).returncode == 2
