"""What is written on the command line and what is printed, without a server."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from taximeter.cli import app as cli
from taximeter.cli.comparing import change
from taximeter.cli.console import OUT, complain
from taximeter.cli.logs import OneLine
from taximeter.cli.options import filters, names
from taximeter.cli.rendering import cell, columns_of, coverage_notes, csv_text, table, usd
from taximeter.cli.tail import line
from taximeter.errors import UsageError


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1234.5678", "$1,234.57"),
        ("10", "$10.00"),
        ("0.0125", "$0.012500"),
        ("0.000000012", "$0.00000001"),
        ("0", "$0.00"),
        ("-0.275", "-$0.275000"),
        ("-1234.5678", "-$1,234.57"),
        (None, "unpriced"),
    ],
)
def test_money_for_people(amount: str | None, shown: str) -> None:
    assert usd(amount) == shown


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("calls", 1234567, "1,234,567"),
        ("cost_usd", None, "unpriced"),
        ("cost_usd", "2", "$2.000000"),
        ("cost_per_call", "0.5", "$0.500000"),
        ("user_id", None, "–"),
        ("cache_hit_rate", 0.4321, "43.2%"),
        ("cache_hit_rate", None, "–"),
        ("latency_ms_p95", 812.34, "812.3"),
        ("other", True, "True"),
    ],
)
def test_cells(column: str, value: Any, shown: str) -> None:
    assert cell(column, value) == shown


def test_csv_is_exact_and_quotes() -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": 'a,"b"', "cost_usd": "0.000000000001"},
        {"user_id": None, "cost_usd": None},
    ]
    assert csv_text(rows, ["user_id", "cost_usd"]) == 'user_id,cost_usd\r\n"a,""b""",0.000000000001\r\n,\r\n'


def test_the_groups_behind_the_limit_have_a_row_that_says_so() -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": None, "cost_usd": "2", "calls": 3, "latency_ms_p50": None},
        {"user_id": None, "cost_usd": None, "calls": 1, "latency_ms_p50": None, "other": True},
    ]
    totals = {"cost_usd": "2", "calls": 4, "latency_ms_p50": None}
    assert columns_of(rows, totals) == ["user_id", "cost_usd", "calls", "latency_ms_p50", "other"]
    shown = table(rows, totals)
    assert [list(column.cells) for column in shown.columns] == [
        ["–", "others"],
        ["$2.000000", "unpriced"],
        ["3", "1"],
        ["–", "–"],
    ]


def test_short_names_become_fields() -> None:
    assert names("user, feature,session,tags.project,") == ["user_id", "feature", "session_id", "tags.project"]


def test_conditions_become_filters() -> None:
    asked = filters(["feature=chat", "user=a", "user=b", "tags.note=x=y"])
    assert asked == {"feature": "chat", "user_id": {"in": ["a", "b"]}, "tags.note": "x=y"}


# fmt: off
CONDITIONS: list[tuple[str, dict[str, object]]] = [
    ("user!=a",             {"user_id": {"not": ["a"]}}),
    ("input_tokens>=1000",  {"input_tokens": {">=": "1000"}}),
    ("cost_usd > 0.5",      {"cost_usd": {">": "0.5"}}),
    ("endpoint~/chat",      {"endpoint": {"contains": "/chat"}}),
    ("endpoint!~/chat",     {"endpoint": {"not_contains": "/chat"}}),
    ("tags.plan?",          {"tags.plan": {"exists": True}}),
    ("!session",            {"session_id": {"exists": False}}),
    ("tags.q=a>b",          {"tags.q": "a>b"}),
]
# fmt: on


@pytest.mark.parametrize(("written", "asked"), CONDITIONS)
def test_a_condition_has_an_operator(written: str, asked: dict[str, object]) -> None:
    assert filters([written]) == asked


def test_conditions_on_one_field_all_have_to_hold() -> None:
    assert filters(["input_tokens>5", "input_tokens<9"]) == {"input_tokens": {">": "5", "<": "9"}}
    with pytest.raises(UsageError, match="already"):
        filters(["input_tokens>5", "input_tokens>6"])


@pytest.mark.parametrize(
    ("before", "now", "shown"),
    [("2", "3", "+50.0%"), (4, 3, "-25.0%"), ("0", "3", "–"), (None, "3", "–"), ("3", None, "–")],
)
def test_a_change_is_told_in_percent(before: object, now: object, shown: str) -> None:
    assert change(before, now) == shown


@pytest.mark.parametrize("wrong", ["feature", "=chat", "?", "!"])
def test_a_condition_needs_both_sides(wrong: str) -> None:
    with pytest.raises(UsageError, match="not FIELD=VALUE"):
        filters([wrong])


def test_coverage_says_only_what_is_missing() -> None:
    assert coverage_notes({"unpriced_calls": 0, "estimated_calls": 0, "late_calls": 0}) == []
    assert coverage_notes({"unpriced_calls": 1200, "estimated_calls": 0, "late_calls": 0}) == [
        "1,200 calls without a price yet, not in the cost"
    ]
    assert coverage_notes({"unpriced_calls": 2, "unpriced_tokens": 3_000, "late_calls": 1}) == [
        "2 calls without a price yet, not in the cost (3,000 tokens)",
        "1 calls that arrived late",
    ]


def test_a_call_is_a_line() -> None:
    event = {
        "started_at": "2026-11-20T09:30:00.000001Z",
        "cost_usd": "0.0125",
        "input_tokens": 1000,
        "output_tokens": 500,
        "response_model": "gpt-4o",
        "feature": "chat",
        "user_id": "u1",
        "status": "ok",
        "duration_ms": 829.6,
    }
    assert line(event).split() == ["09:30:00", "$0.012500", "1000+500", "gpt-4o", "chat", "u1", "ok", "830", "ms"]
    bare = {"started_at": "2026-11-20T09:30:00.000001Z", "status": "interrupted"}
    assert line(bare).split() == ["09:30:00", "unpriced", "?+?", "?", "–", "–", "interrupted"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "--bogus"], "--bogus"),
        (["report", "--format", "xml"], "xml"),
        (["report", "--where", "feature"], "not FIELD=VALUE"),
        (["nonsense"], "nonsense"),
        (["keys", "create", "--name", "x"], "--scope"),
        (["up", "--port", "99999"], "65535"),
    ],
)
def test_wrong_use_is_exit_2_and_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path))
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_no_command_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 0
    assert "report" in capsys.readouterr().out


def test_a_fault_of_the_server_is_one_line_and_names_its_place() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "collector: %s", ("odd",), sys.exc_info())
    text = OneLine().format(record)
    assert text.startswith("taximeter: collector: odd: ValueError: two lines at ")
    assert f"{Path(__file__).name}:" in text


@pytest.mark.parametrize("command", ["report", "top --once", "tail --once", "keys list", "doctor"])
def test_a_file_as_data_directory_is_one_line(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.run([*command.split(), "--data", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_the_machine_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path / "file" / "in"))
    assert cli.run(["keys", "list"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(tmp_path / "file") in told


def test_check_tells_mistakes_of_the_prices_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices.yaml").write_text("prices: 7")
    (tmp_path / "c.yaml").write_text("server: {port: many}\nprices: {overrides: prices.yaml}\n")
    assert cli.run(["check", "--config", str(tmp_path / "c.yaml")]) == 2
    told = capsys.readouterr().err
    assert "server.port" in told
    assert "2 to mend" in told
    assert cli.run(["check", "x", "--config", "y"]) == 2


NAMES_OF_CALLS = ["[/foo]", "/users/[id]", "[red]", "a:dog:b", "\\[x]"]


def _shown(names: list[str]) -> str:
    rows = [{"user_id": name, "calls": 1} for name in names]
    with OUT.capture() as taken:
        OUT.print(table(rows, {"calls": len(rows)}, title="of [/them]"))
    return taken.get()


@pytest.mark.parametrize("name", NAMES_OF_CALLS)
def test_a_name_that_looks_like_markup_is_shown_as_it_is(name: str) -> None:
    assert name in _shown([name])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]52;c;ZXZpbA==\x07", "␛]52;c;ZXZpbA==␇"),
        ("\x1b[2J\x1b[31mred", "␛[2J␛[31mred"),
        ("two\nlines\tand\rmore", "two␊lines␉and␍more"),
        ("\x9b31m", "\N{REPLACEMENT CHARACTER}31m"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe", "\N{REPLACEMENT CHARACTER}gnp.exe"),
        ("пользователь 😀", "пользователь 😀"),
    ],
)
def test_a_name_does_not_steer_the_terminal(name: str, shown: str) -> None:
    assert shown in _shown([name])
    assert shown in line({"started_at": "2026-11-20T09:30:00Z", "user_id": name, "status": "ok"})


def test_an_error_that_repeats_a_name_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complain("there is no user \x1b[2J")
    assert capsys.readouterr().err == "taximeter: there is no user ␛[2J\n"


def test_what_is_none_of_the_choices_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", "--format", "xml"]) == 2
    said = "Invalid value for '--format': 'xml' is not one of 'table', 'csv', 'json', 'parquet'."
    assert capsys.readouterr().err == f"taximeter: {said} (see: taximeter --help)\n"
