"""`taximeter migrate`: a directory's events move into ClickHouse and back, by the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running_server import answer_of, taximeter
from test_cli_offline import call, spooled

from taximeter.store.ownership import own

ASKED = ("--since", "2024-06-01", "--until", "2024-07-01", "--by", "user,model", "--measures", "cost_usd,calls,users")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory in whose spool three calls wait."""
    calls = [
        call(number, request_model="gpt-4o", input_tokens=1000 + number, output_tokens=500, user_id=f"user {number}")
        for number in range(3)
    ]
    return spooled(tmp_path / "data", calls)


def report(data: Path, events: str) -> object:
    return answer_of("report", *ASKED, "--data", str(data), TAXIMETER_STORE_EVENTS=events)


def test_reports_are_the_same_after_moving_there_and_back(data: Path, clickhouse: str) -> None:
    before = report(data, "embedded")
    there = taximeter("migrate", "--to", clickhouse, "--data", str(data))
    assert there.returncode == 0, there.stderr
    assert "3 calls, 3 of them new there; each day's sums are as they were" in there.stdout
    assert "set store.events to clickhouse://" in there.stderr
    assert report(data, clickhouse) == before
    (data / "events.duckdb").unlink()
    back = answer_of("migrate", "--from", clickhouse, "--to", "embedded", "--data", str(data))
    assert (back["calls"], back["copied"], back["to"]) == (3, 3, "embedded")
    assert report(data, "embedded") == before


def test_the_configuration_may_name_the_new_place_already(data: Path, tmp_path: Path, clickhouse: str) -> None:
    config = tmp_path / "taximeter.yaml"
    config.write_text(f"store: {{events: '{clickhouse}'}}\n")
    asked = ("migrate", "--from", "embedded", "--config", str(config), "--data", str(data), "--format", "json")
    assert [json.loads(taximeter(*asked).stdout)["copied"] for _ in range(2)] == [3, 0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the events are to stay in embedded (name the other one: --to, or --from"),
        (["--to", "postgresql://h/d"], "should be 'embedded', or an address that begins with clickhouse://"),
        (["--to", "clickhouse://u:se@cret@h/d"], "should have special characters of a name or password encoded"),
        (["--to", "clickhouse://127.0.0.1/a-b"], "'a-b' is no name for a database"),
    ],
)
def test_a_wrong_place_is_told_in_one_line(data: Path, arguments: list[str], told: str) -> None:
    done = taximeter("migrate", *arguments, "--data", str(data))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr
    assert "cret" not in done.stderr


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = taximeter("migrate", "--to", "clickhouse://127.0.0.1", "--data", str(tmp_path / "none"))
    assert (done.returncode, (tmp_path / "none").exists()) == (1, False)
    assert "there is no data directory" in done.stderr


def test_a_running_server_is_not_moved_under(data: Path) -> None:
    with own(data, pid=4711):
        done = taximeter("migrate", "--to", "clickhouse://127.0.0.1", "--data", str(data))
    assert (done.returncode, "in use by process 4711 (stop it" in done.stderr) == (1, True)


def test_the_doctor_looks_at_the_store_that_is_configured(data: Path) -> None:
    done = taximeter("doctor", "--data", str(data), TAXIMETER_STORE_EVENTS="clickhouse://127.0.0.1:1")
    assert done.returncode == 1
    assert "clickhouse://127.0.0.1:1/taximeter does not answer" in " ".join(done.stdout.split())
