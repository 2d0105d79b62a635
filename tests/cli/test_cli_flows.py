"""A server and the commands, from the first start to the last report."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from running_server import Server, answer_of, environment, eventually, process, running, taximeter

from taximeter.core.ids import uuid7
from taximeter.server.shapes import Answer, Call
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings as SimulatorSettings


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "event_id": uuid7(1718000000000 + number, bytes(10)),
        "started_at": f"2024-06-10T06:13:{number:02d}Z",
        "provider": "openai",
        "request_model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 500,
        "status": "ok",
        "user_id": "u1",
        "feature": "chat",
        **more,
    }


LATER = event(20, started_at="2024-08-10T06:13:00Z")
WORKED = [event(1), event(2, user_id="u2"), event(3, feature="search", request_model="nobody-knows-it")]


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(SimulatorSettings(mode="replay")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, simulator: RunningSimulator) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("flow") / "data"
    config = data.with_name("taximeter.yaml")
    config.write_text(f"providers: {{openai: {{base_url: {simulator.openai_url}, api_key: sk-real}}}}")
    with running(data, "--config", str(config)) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=WORKED).json()["accepted"] == 3
        eventually(lambda: len(_ask(server, ["calls"])["rows"]) and _ask(server, ["calls"])["totals"]["calls"] >= 3)
        yield server


def _ask(server: Server, measures: list[str], **more: Any) -> Any:
    with server.client(server.local_token) as client:
        asked = {"measures": measures, "from": "2024-06-01", "to": "2024-07-01", **more}
        return client.post("/api/v1/query", json=asked).json()


ARCHITECTURE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
ARCHITECTURE_FILES = re.findall(r"^\| `([^`]+)` \|", ARCHITECTURE.partition("## A data directory")[2], re.MULTILINE)

SINCE = ("--since", "2024-06-01", "--until", "2024-07-01")


def test_the_worked_example_is_reported_exactly(server: Server) -> None:
    done = process("report", *SINCE, "--by", "user,feature,model", "--format", "json", "--data", str(server.data))
    answer = json.loads(done.stdout)
    assert set(answer) == {"rows", "totals", "coverage"}
    assert {tuple(row.values()) for row in answer["rows"]} == {
        ("u1", "chat", "gpt-4o", "0.0125", 1, 1000, 500),
        ("u2", "chat", "gpt-4o", "0.0125", 1, 1000, 500),
        ("u1", "search", "nobody-knows-it", None, 1, 1000, 500),
    }
    assert list(answer["rows"][0])[:3] == ["user_id", "feature", "model"]
    assert answer["totals"]["cost_usd"] == "0.025"
    assert answer["coverage"]["unpriced_calls"] == 1


def test_every_format_has_the_same_numbers(server: Server) -> None:
    asked = ("report", *SINCE, "--by", "user", "--data", str(server.data))
    rows = answer_of(*asked)["rows"]
    as_csv = list(csv.DictReader(io.StringIO(taximeter(*asked, "--format", "csv").stdout)))
    assert as_csv == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    table = taximeter(*asked)
    assert "$0.012500" in table.stdout
    assert "3" in table.stdout
    assert "1 calls without a price yet" in table.stderr


def test_parquet_has_money_as_decimals(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "report.parquet"
    asked = ("report", *SINCE, "--by", "user", "--data", str(server.data), "--format", "parquet")
    file.write_bytes(taximeter(*asked).out)
    with duckdb.connect() as connection:
        costs = connection.execute("SELECT user_id, cost_usd FROM read_parquet(?) ORDER BY 1", [str(file)]).fetchall()
    assert costs == [("u1", Decimal("0.0125")), ("u2", Decimal("0.0125"))]


def test_where_and_interval(server: Server) -> None:
    asked = ("report", *SINCE, "--data", str(server.data), "--where", "user=u2", "--interval", "day")
    rows = answer_of(*asked, "--tz", "Europe/Berlin")["rows"]
    assert [(row["time"], row["calls"]) for row in rows] == [("2024-06-10T00:00:00+02:00", 1)]


def test_a_question_with_a_name_is_narrowed(server: Server) -> None:
    asked = ("report", "--question", "top-users", *SINCE, "--data", str(server.data))
    answer = answer_of(*asked, "--where", "user=u2", "--by", "user,model_family")
    assert [(row["user_id"], row["model_family"]) for row in answer["rows"]] == [("u2", "gpt-4o")]
    assert "users who cost most" in taximeter(*asked).stdout
    unknown = taximeter("report", "--question", "top-secret", "--data", str(server.data))
    assert unknown.returncode == 1
    assert "top-users" in unknown.stderr


def test_a_time_stands_beside_another(server: Server) -> None:
    asked = ("report", *SINCE, "--by", "user", "--data", str(server.data), "--compare", "2020-01-01..2020-02-01")
    assert answer_of(*asked)["comparison"]["totals"]["calls"] == 0
    assert "compared with 2020-01-01" in taximeter(*asked).stdout
    rows = list(csv.DictReader(io.StringIO(taximeter(*asked, "--format", "csv").stdout)))
    assert {row["period"] for row in rows} == {"asked"}


def test_calls_are_found_by_filters_of_a_query(server: Server) -> None:
    with server.client(server.local_token) as client:
        filters = json.dumps({"user_id": {"not": "u1"}, "input_tokens": {">": 0}})
        found = client.get("/api/v1/events", params={"filters": filters, "from": "2024-01-01", "to": "2025-01-01"})
        assert {event["user_id"] for event in found.json()["events"]} == {"u2"}
        assert client.get("/api/v1/events", params={"filters": "[1"}).json()["error"]["field"] == "filters"
        listed = client.get("/api/v1/questions").json()["questions"]
        assert "top-users" in [question["name"] for question in listed]
        assert client.get("/api/v1/questions/user-this-month").json()["error"]["field"] == "user_id"


def test_a_select_is_answered_with_exact_amounts(server: Server) -> None:
    worked = "started_at IN ('2024-06-10 06:13:01', '2024-06-10 06:13:02')"
    statement = f"SELECT user_id, sum(cost_usd) AS cost_usd FROM calls WHERE {worked} GROUP BY ALL ORDER BY ALL"
    asked = ("sql", statement, "--data", str(server.data))
    assert answer_of(*asked)["rows"] == [["u1", "0.0125"], ["u2", "0.0125"]]
    assert "$0.012500" in taximeter(*asked).stdout
    refused = taximeter("sql", "SELECT * FROM read_text('/etc/passwd')", "--data", str(server.data))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_the_roll_ups_are_proven_and_a_user_is_forgotten(server: Server) -> None:
    data = ("--data", str(server.data))
    with server.client(server.first_key("ingest")) as client:
        assert client.post("/v1/events", json=[event(40, user_id="gone", feature="forget")]).json()["accepted"] == 1
    report = ("report", *SINCE, "--by", "user", "--where", "feature=forget", *data)
    eventually(lambda: answer_of(*report)["totals"]["calls"] == 1)
    assert taximeter("forget", "gone", *data).returncode == 2
    assert answer_of("forget", "gone", "--yes", *data) == {"events": 1, "outcomes": 0, "remaining_rows": 0}
    assert answer_of(*report)["totals"]["calls"] == 0
    assert answer_of("verify", *data)["differing"] == []


def test_another_server_is_asked_by_url_with_the_key_of_the_environment(server: Server) -> None:
    made = answer_of("keys", "create", "--name", "reader", "--scope", "read", "--data", str(server.data))
    answer = answer_of("report", *SINCE, "--url", server.url, TAXIMETER_KEY=made["key"])
    assert answer["totals"]["calls"] >= 3
    refused = taximeter("report", "--url", server.url, TAXIMETER_KEY="tm_read_wrong")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "not known" in refused.stderr


def test_keys_are_made_used_listed_and_revoked_while_the_server_runs(server: Server) -> None:
    data = ("--data", str(server.data))
    made = answer_of("keys", "create", "--name", "n", "--scope", "ingest", "--attribute", "team=core", *data)
    assert list(made) == ["id", "name", "scope", "key"]
    with server.client(made["key"]) as client:
        assert client.post("/v1/events", json=LATER).status_code == 202
        listed = {key["id"]: key for key in answer_of("keys", "list", *data)["keys"]}
        assert listed[made["id"]]["attributes"] == {"team": "core"}
        assert listed[made["id"]]["last_used_at"] is not None
        assert made["key"] not in json.dumps(listed)
        assert answer_of("keys", "revoke", made["id"], *data)["revoked_at"]
        assert client.post("/v1/events", json=LATER).status_code == 401
    stored = eventually(lambda: _team_core(server))
    assert stored[0]["calls"] == 1
    assert taximeter("keys", "revoke", "key_nonsense", *data).returncode == 1


def _team_core(server: Server) -> Any:
    asked = ("--since", "2024-08-01", "--until", "2024-09-01", "--by", "team", "--where", "team=core")
    return answer_of("report", *asked, "--data", str(server.data))["rows"]


def test_tail_and_top_print_once(server: Server) -> None:
    data = ("--data", str(server.data))
    lines = taximeter("tail", "--once", "--where", "feature=search", "--format", "json", *data).stdout.splitlines()
    assert [json.loads(line)["unpriced_reason"] for line in lines] == ["unknown_model"]
    assert "nobody-knows-it" in taximeter("tail", "--once", *data).stdout
    assert answer_of("top", "--since", "2024-06-01", "--where", "user=u2", *data)["rows"][0]["cost_usd"] == "0.0125"
    assert "gpt-4o" in taximeter("top", "--once", "--since", "2024-06-01", *data).stdout


def test_the_doctor_is_content(server: Server) -> None:
    answer = answer_of("doctor", "--data", str(server.data))
    assert answer["good"] is True
    states = {check["check"]: check["state"] for check in answer["checks"]}
    assert states["server"] == "good"
    assert states["losses"] == "good"


def test_a_second_server_on_the_directory_names_the_first(server: Server) -> None:
    second = taximeter("up", "--data", str(server.data), "--port", "0")
    assert (second.returncode, second.stdout, second.stderr.count("\n")) == (1, "", 1)
    assert f"process {server.process.pid}" in second.stderr


def test_a_port_that_is_taken_is_one_line(server: Server, tmp_path: Path) -> None:
    other = taximeter("up", "--data", str(tmp_path / "other"), "--port", server.url.rsplit(":", 1)[1])
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)
    assert "cannot listen" in other.stderr


def test_the_link_that_was_printed_signs_a_browser_in(server: Server) -> None:
    link = next(word for word in server.printed.split() if "/signin?token=" in word)
    fresh = taximeter("keys", "signin", "--data", str(server.data)).stdout.strip()
    for url in (link, fresh):
        with httpx.Client(base_url=server.url) as browser:
            assert browser.get(url).status_code == 200
            me = browser.get("/api/v1/me")
            assert (me.status_code, me.json()["kind"], me.json()["scope"]) == (200, "session", "admin")
            asked = {"measures": ["calls"]}
            assert browser.post("/api/v1/query", json=asked).status_code == 403
            ours = {"x-requested-with": "taximeter"}
            assert browser.post("/api/v1/query", json=asked, headers=ours).status_code == 200


def test_a_real_call_through_the_gateway_is_priced_and_live_within_a_second(server: Server) -> None:
    with server.client(server.local_token) as watcher, watcher.stream("GET", "/api/v1/live") as stream:
        ticks = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
        next(ticks)
        with server.client(server.first_key("gateway")) as client:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
            answer = client.post("/openai/v1/chat/completions", json=body, headers={"x-taximeter-feature": "live"})
        assert answer.status_code == 200, answer.text
        event_id = answer.headers["x-taximeter-event-id"]
        call = next(call for tick in ticks for call in tick["calls"] if call["event_id"] == event_id)
    usage = answer.json()["usage"]
    assert (call["feature"], call["source"]) == ("live", "gateway")
    assert (call["input_tokens"], call["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert call["cost_usd"] == answer.headers["x-taximeter-cost-usd"]


def test_answers_have_the_shapes_that_openapi_promises(server: Server) -> None:
    with server.client(server.local_token) as client:
        Answer.model_validate(_ask(server, ["cost_usd", "latency_ms_p95"], group_by=["user"]))
        page = client.get("/api/v1/events", params={"limit": 2}).json()
        for one in page["events"]:
            Call.model_validate(one)
        following = client.get("/api/v1/events", params={"limit": 2, "cursor": page["next"]}).json()
        assert not {e["event_id"] for e in page["events"]} & {e["event_id"] for e in following["events"]}
        document = client.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["schemas"]["Call"]["properties"]) >= set(page["events"][0])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"measures": ["nope"]}, "measures"),
        ({"measures": "calls"}, "measures"),
        ({"measures": ["calls"], "group_by": ["nope"]}, "group_by"),
        ({"measures": ["calls"], "timezone": "Mars/Olympus"}, "timezone"),
        ({"measures": ["calls"], "from": "2024-02-01", "to": "2024-01-01"}, "from"),
        ({"measures": ["calls"], "surprise": 1}, "surprise"),
        ([], "body"),
    ],
)
def test_a_wrong_question_is_422_naming_the_field(server: Server, asked: Any, field: str) -> None:
    with server.client(server.local_token) as client:
        answer = client.post("/api/v1/query", json=asked)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
        assert "nope" in client.get("/api/v1/events", params={"nope": 1}).json()["error"]["message"]


def test_a_data_directory_holds_what_the_manual_says(server: Server) -> None:
    told = [re.sub(r"<.+?>", "[^/]+", name.replace(".", r"\.")) for name in ARCHITECTURE_FILES]
    found = {str(path.relative_to(server.data)) for path in server.data.rglob("*") if path.is_file()}
    assert {"owner.lock", "owner.json", "events.duckdb", "metadata.sqlite"} <= found
    assert [name for name in sorted(found) if not any(re.fullmatch(one, name) for one in told)] == []


def test_nothing_of_the_api_answers_without_a_credential(server: Server) -> None:
    with server.client(server.local_token) as client:
        paths = client.get("/api/openapi.json").json()["paths"]
    with server.client() as stranger, server.client(server.first_key("gateway")) as gateway:
        for path, methods in paths.items():
            for method in methods:
                assert stranger.request(method, path).status_code == 401, path
                allowed = 200 if path == "/api/v1/me" else 403
                assert gateway.request(method, path, json={"name": "x", "scope": "admin"}).status_code in (allowed, 422)
        assert stranger.get("/api/openapi.json").status_code == 401
        assert stranger.get("/api/v1/nonsense").json()["error"]["code"] == "not_found"


# ── ends, beginnings, and no server at all ─────────────────────────────────────────────────────────────────


def test_what_was_accepted_is_there_after_any_end_and_counts_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, "--role", "collector") as server:
        key = server.first_key("ingest")
        with server.client(key) as client:
            assert client.post("/v1/events", json=event(1)).json()["accepted"] == 1
            assert client.post("/openai/v1/chat/completions").status_code == 404, "a collector is no gateway"
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    offline = answer_of("report", *SINCE, "--data", str(data))
    assert (offline["totals"]["calls"], offline["totals"]["cost_usd"]) == (1, "0.0125")
    with running(data) as server:
        assert "tm_" not in server.printed, "keys are printed by the first start only"
        with server.client(key) as client:
            again = client.post("/v1/events", json=[event(1), event(2)]).json()
            assert (again["accepted"], again["duplicates"]) == (1, 1)
        assert server.stop() == 0
        assert "leaked" not in server.rest(), "its libraries find nothing to complain of at the end"
    offline = answer_of("report", *SINCE, "--data", str(data))
    assert offline["totals"]["calls"] == 2, "what was accepted just before the end was stored"
    assert answer_of("doctor", "--data", str(data))["good"] is True
    assert answer_of("keys", "create", "--name", "offline", "--scope", "admin", "--data", str(data))["scope"] == "admin"


def test_a_gateway_role_ships_to_its_collector(server: Server, tmp_path: Path, simulator: RunningSimulator) -> None:
    variables = {
        "TAXIMETER_URL": server.url,
        "TAXIMETER_KEY": server.first_key("ingest"),
        "TAXIMETER_PROVIDERS_OPENAI_BASE_URL": simulator.openai_url,
        "TAXIMETER_SERVER_AUTH": "off",
    }
    with running(tmp_path / "gateway", "--role", "gateway", **variables) as gateway:
        with gateway.client() as client:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
            clients_own_key = {"authorization": "Bearer sk-mine"}
            answer = client.post("/openai/v1/chat/completions", json=body, headers=clients_own_key)
            assert answer.status_code == 200
            assert client.get("/").status_code == 404
            assert client.get("/api/v1/me", headers={"host": "evil.example"}).status_code == 403
            refused = client.post("/api/v1/query", json={"measures": ["calls"]})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert gateway.stop() == 0
    with server.client(server.local_token) as client:
        asked = {"event_id": answer.headers["x-taximeter-event-id"]}
        found = eventually(lambda: client.get("/api/v1/events", params=asked).json()["events"])
        assert found[0]["source"] == "gateway"


def test_a_gateway_without_a_collector_says_what_it_needs(tmp_path: Path) -> None:
    done = taximeter("up", "--role", "gateway", "--data", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "TAXIMETER_URL" in done.stderr


def test_a_bad_configuration_is_exit_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("server:\n  prot: 1\nlimits:\n  - {name: x, scope: user, limit: 5, window: day}\n")
    up = taximeter("up", "--config", str(wrong), "--data", str(tmp_path / "data"))
    assert (up.returncode, up.stderr.count("\n")) == (2, 1)
    checked = process("check", str(wrong))
    assert checked.returncode == 2
    assert checked.stderr.splitlines()[:2] == [
        "line 2: server.prot: there is no such setting; did you mean 'port'?",
        "line 4: limits[0].measure: is needed: one of cost_usd, input_tokens, output_tokens, total_tokens, requests, "
        "concurrent",
    ]
    as_json = taximeter("check", str(wrong), "--format", "json")
    assert {mistake["line"] for mistake in json.loads(as_json.stdout)["mistakes"]} == {2, 4}
    monkeypatch.chdir(tmp_path)
    assert taximeter("check").returncode == 0


def test_commands_without_a_directory_say_so(tmp_path: Path) -> None:
    missing = taximeter("report", "--data", str(tmp_path / "nowhere"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert taximeter("doctor", "--data", str(tmp_path / "nowhere")).returncode == 0
    assert not (tmp_path / "nowhere").exists(), "asking makes nothing"


SAMPLE_TRAFFIC = """
import sys, time, pathlib
from taximeter.cli.demo import SampleTraffic
with SampleTraffic(pathlib.Path(sys.argv[1])) as sample:
    print(sample.url, flush=True)
    time.sleep(600)
"""


def test_the_simulated_providers_end_with_the_server_however_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAMPLE_TRAFFIC, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        companions = _children(parent.pid)
        parent.kill()
    assert url.startswith("http://127.0.0.1:")
    (companion,) = companions
    eventually(lambda: not _runs(companion), 30)


def _children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
