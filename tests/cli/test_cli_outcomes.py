"""Outcomes from the SDK through a server into the report, and without a server from the files."""

from __future__ import annotations

from pathlib import Path

from running_server import answer_of, eventually, running
from running_server import taximeter as command

import taximeter
from taximeter.spool import list_segments

OUTCOMES = ("report", "--question", "outcomes")


def solve_tickets() -> None:
    """Two calls for a cent, one solved ticket that is worth four dollars, and one of unknown worth."""
    with taximeter.attribute(user="ann", feature="support"):
        for _ in range(2):
            taximeter.record(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=250)
        for _ in range(2):  # told twice, it counts once
            taximeter.outcome("solved", value_usd="4.00", outcome_id="01890000-0000-7000-8000-000000000001")
        taximeter.outcome("solved", user="bob")


def test_an_outcome_of_the_sdk_is_set_against_what_it_cost(tmp_path: Path) -> None:
    data, here = tmp_path / "data", ("--data", str(tmp_path / "data"))
    with running(data) as server:
        taximeter.init(data=tmp_path / "sdk", url=server.url, key=server.first_key("ingest"))
        solve_tickets()
        assert taximeter.flush(60)
        taximeter.shutdown()
        eventually(lambda: answer_of(*OUTCOMES, *here)["totals"]["outcomes"] == 2)
        online = answer_of(*OUTCOMES, *here)
        calls = answer_of("report", "--by", "feature", "--measures", "calls,total_tokens", *here)
    offline = answer_of(*OUTCOMES, *here)
    assert online == offline
    (row,) = offline["rows"]
    assert (row["feature"], row["outcome"], row["outcomes"], row["value_usd"]) == ("support", "solved", 2, "4")
    assert (row["cost_usd"], row["cost_per_outcome_usd"], row["margin_usd"]) == ("0.01", "0.005", "3.99")
    assert (row["margin_share"], row["unvalued_outcomes"], row["calls"]) == (0.9975, 1, 2)
    assert calls["totals"] == {"calls": 2, "total_tokens": 2500}


def test_without_a_server_outcomes_wait_in_the_spool_and_are_forgotten_with_their_user(tmp_path: Path) -> None:
    here = ("--data", str(tmp_path))
    taximeter.init(data=tmp_path)
    solve_tickets()
    taximeter.shutdown()
    assert list_segments(tmp_path / "spool")
    shown = command(*OUTCOMES, "--by", "user", *here)
    assert "$3.990000" in shown.stdout, shown.stderr
    assert "1 outcomes without a value" in shown.stderr
    csv = command(*OUTCOMES, "--by", "user", "--where", "outcome=solved", "--format", "csv", *here).stdout.splitlines()
    assert csv[0].startswith("user_id,outcome,outcomes,value_usd,cost_usd")
    assert sorted(line.split(",")[:3] for line in csv[1:]) == [["ann", "solved", "1"], ["bob", "solved", "1"]]
    assert answer_of("forget", "ann", "--yes", *here) == {"events": 2, "outcomes": 1, "remaining_rows": 0}
    assert answer_of(*OUTCOMES, *here)["totals"]["outcomes"] == 1


def test_a_dimension_that_outcomes_do_not_have_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = command(*OUTCOMES, "--by", "model", "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "outcomes have no model" in done.stderr
    assert "Traceback" not in done.stderr
