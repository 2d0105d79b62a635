"""Files by day: whole, once, anew when their day changed, the store's sums to the last digit; in a folder and in S3."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from export_rig import World
from focus_rules import violations
from receivers import aws
from shelves import OnDisk, Shelf, copied, new_bucket

from taximeter.compose.exporting import open_exporting
from taximeter.compose.jobs import Jobs
from taximeter.config.exporting import FileSettings
from taximeter.config.file import parse
from taximeter.errors import ConfigurationError
from taximeter.exporters import focus
from taximeter.exporters.days import DAY_US
from taximeter.exporters.filing import CONTENTS, Filing, Place
from taximeter.exporters.port import ExportError
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US

EVENTS = int(os.environ.get("EXPORT_EVENTS", "1400"))
"""Of the run with crashes and outages; 10,000 and more when there is time for it."""


MANUAL = Path(__file__).parents[2] / "docs" / "integrations" / "files.md"
pytestmark = pytest.mark.timeout(360)


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patched, aws() as url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "testing")
        yield url


@pytest.fixture(params=["folder", "s3"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return OnDisk(tmp_path / "spend")
    return new_bucket(request.getfixturevalue("s3"))


@dataclass
class Troubled:
    """A place with trouble at some of its files."""

    place: Place
    troubles: list[str]

    def put(self, name: str, file: Path) -> None:
        trouble = self.troubles.pop(0) if self.troubles else "none"
        if trouble == "away":
            raise ExportError("nobody there")
        if trouble == "crash before":
            raise Crash
        self.place.put(name, file)
        if trouble == "crash after":
            raise Crash


def filing(here: World, shelf: Shelf, place: Place | None = None, **chosen: Any) -> Filing:
    """As a process that has just started has it."""
    settings = FileSettings(to=shelf.to, **chosen)
    return Filing("it", settings, place or shelf.place, here.store, here.metadata.exports, here.clock, None)


def stored(here: World, *measures: str) -> tuple[Any, ...]:
    totals = here.store.query(Query(from_us=0, to_us=LATEST_US, measures=measures)).totals
    return tuple(Decimal(totals[name]) for name in measures)


def sums(shelf: Shelf, folder: Path) -> tuple[Any, ...]:
    """Calls and cost in all Parquet files, as DuckDB reads them from a copy."""
    assert list(copied(shelf, folder / "copy"))
    asked = f"SELECT count(*), count(DISTINCT event_id), sum(cost_usd) FROM '{folder}/copy/*/calls.parquet'"
    return tuple(duckdb.execute(asked).fetchall()[0])


def test_every_call_is_in_the_file_of_its_day_through_three_crashes_and_two_outages(
    here: World, shelf: Shelf, tmp_path: Path
) -> None:
    chance = Random(4)
    plan = ["crash before", "away", "crash after", "none", "away", "crash after", "none"]
    for number, trouble in enumerate(plan):
        here.traffic(chance, EVENTS // len(plan) + (number == 0) * (EVENTS % len(plan)))
        try:
            filing(here, shelf, Troubled(shelf.place, ["none", trouble])).turn()
        except (Crash, ExportError):
            assert trouble != "none"
    assert {name.split("/")[1] for name in shelf.files()} == {"calls.parquet"}, "nothing is left behind"
    calls, cost = stored(here, "calls", "cost_usd")
    assert sums(shelf, tmp_path) == (calls, calls, cost) == (EVENTS, EVENTS, cost)


def test_only_days_that_changed_are_written_again(here: World, shelf: Shelf, tmp_path: Path) -> None:
    here.call()
    here.call(at_us=here.clock.at_us - 3 * DAY_US)
    one = filing(here, shelf)
    one.turn()
    written: list[str] = []

    @dataclass
    class Noting:
        place: Place

        def put(self, name: str, file: Path) -> None:
            written.append(name)
            self.place.put(name, file)

    again = filing(here, shelf, Noting(shelf.place))
    again.turn()
    assert written == []
    here.call(at_us=here.clock.at_us - 3 * DAY_US, cost_usd="0.000000000001")
    again.turn()
    assert [name.split("/")[0] for name in written] == ["date=2026-11-15"]
    assert sums(shelf, tmp_path)[2] == stored(here, "cost_usd")[0]


def test_what_is_deleted_is_in_no_file_any_more(here: World, tmp_path: Path) -> None:
    shelf = OnDisk(tmp_path / "spend")
    here.call(user_id="bob")
    one = filing(here, shelf, format="json")
    one.turn()
    here.store.delete_user("bob", here.clock.at_us + 1)
    one.turn()
    assert list(shelf.files().values()) == [b""]


def test_other_settings_write_everything_anew(here: World, tmp_path: Path) -> None:
    shelf = OnDisk(tmp_path / "spend")
    here.call()
    filing(here, shelf).turn()
    filing(here, shelf, content="focus", format="csv").turn()
    assert sorted(name.split("/")[1] for name in shelf.files()) == ["calls.parquet", "focus.csv"]


def test_a_version_with_other_columns_writes_everything_anew(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = OnDisk(tmp_path / "spend")
    event_id = here.call()
    filing(here, shelf, format="csv").turn()
    pages, _ = CONTENTS["calls"]
    monkeypatch.setitem(CONTENTS, "calls", (pages, {"event_id": "text"}))
    filing(here, shelf, format="csv").turn()
    assert list(shelf.files().values()) == [f"event_id\r\n{event_id}\r\n".encode()]


def test_charges_keep_the_rules_of_focus_and_add_up(here: World, tmp_path: Path) -> None:
    shelf = OnDisk(tmp_path / "spend")
    here.traffic(Random(9), 100)
    filing(here, shelf, content="focus", format="csv").turn()
    lines = [body.decode().splitlines() for body in shelf.files().values()]
    rows = [{k: v or None for k, v in row.items()} for one in lines for row in csv.DictReader(one)]
    assert violations(list(focus.COLUMNS), rows) == []
    assert (sum(Decimal(str(row["BilledCost"])) for row in rows),) == stored(here, "cost_usd")


def test_the_queries_of_the_manual_read_them(here: World, tmp_path: Path) -> None:
    shelf = OnDisk(tmp_path / "calls")
    here.call(tags={"plan": "pro"})
    here.call(cost_usd=None, unpriced_reason="unknown_model", tags={"plan": "free"})
    filing(here, shelf).turn()
    queries = re.findall(r"^```sql\n(.*?)^```", MANUAL.read_text(), re.DOTALL | re.MULTILINE)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(queries[0].replace("/var/lib/taximeter", str(tmp_path)))
        assert connection.execute(queries[1]).fetchall() == [(date(2026, 11, 18), "chat", Decimal("0.0125"), 2, 1)]
        by_plan = queries[2].replace("max(started_at)", "epoch_us(max(started_at))")
        assert connection.execute(by_plan).fetchall() == [
            ("free", None, here.clock.at_us),
            ("pro", Decimal("0.0125"), here.clock.at_us),
        ]


def test_a_folder_that_cannot_be_written_is_told(here: World, tmp_path: Path) -> None:
    (tmp_path / "spend").write_text("a file")
    here.call()
    with pytest.raises(ExportError, match="cannot be written"):
        filing(here, OnDisk(tmp_path / "spend")).turn()


def test_a_server_does_it_as_a_job(here: World, tmp_path: Path) -> None:
    settings = parse(f"exporters: {{files: {{lake: {{to: '{tmp_path}/lake', format: json}}}}}}", {})
    jobs = Jobs(here.clock)
    open_exporting(settings, here.store, here.metadata.exports, here.clock, jobs, list, here.metadata.alerting)
    event_id = here.call()
    jobs._jobs["export files lake"].turn()
    assert jobs.status["export files lake"].last_error is None
    (file,) = (tmp_path / "lake").rglob("*.ndjson")
    assert json.loads(file.read_text())["event_id"] == event_id


@pytest.mark.parametrize(
    "wrong",
    [
        "{to: 's3://'}",
        "{to: 'gs://bucket/x'}",
        "{to: '/x', format: xlsx}",
        "{to: '/x', content: focus, labels: [nobody]}",
    ],
)
def test_a_wrong_place_or_form_is_a_mistake_of_the_configuration(wrong: str) -> None:
    from taximeter.compose.exporting import mistakes

    try:
        found = [str(one) for one in mistakes(parse(f"exporters: {{files: {{lake: {wrong}}}}}", {}))]
    except ConfigurationError as error:
        found = [str(one) for one in error.mistakes]
    assert len(found) == 1
    assert "exporters.files.lake" in found[0]
