"""Reports from a data directory on which no server runs: what waits in the spool is taken in first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from running_server import answer_of, taximeter

from taximeter.cli.sources import STARTING_SECONDS, running_server
from taximeter.clock import SystemClock
from taximeter.core.ids import uuid7
from taximeter.sdk.remote import Remote
from taximeter.spool import Spool
from taximeter.store.ownership import own

LONG_AGO = ("--since", "2024-06-01", "--until", "2024-07-01")


def call(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": uuid7(1718000000000 + number, number.to_bytes(10, "big")),
        "started_at": "2024-06-10T06:13:20Z",
        "provider": "openai",
        "status": "ok",
        **fields,
    }


def spooled(data: Path, calls: Iterable[dict[str, Any]]) -> Path:
    """A data directory in whose spool these calls wait."""
    spool = Spool(data / "spool", clock=SystemClock(), writer="test")
    assert spool.extend([json.dumps(one).encode() for one in calls])
    spool.close()
    return data


HOUSE_MODEL = {"request_model": "acme-house-7b", "feature": "summary"}


def test_what_has_no_price_is_not_shown_as_free(tmp_path: Path) -> None:
    failed = {"status": "error", "not_billed": True}
    unpriced = call(1, **HOUSE_MODEL, input_tokens=1000, output_tokens=500)
    data = spooled(tmp_path, [unpriced, call(2, **HOUSE_MODEL, **failed)])
    asked = (*LONG_AGO, "--by", "model", "--measures", "cost_usd,cost_per_call,calls", "--data", str(data))
    row = {"model": "acme-house-7b", "cost_usd": None, "cost_per_call": None, "calls": 2}
    assert answer_of("report", *asked)["rows"] == [row]
    top = ("top", "--once", "--since", "2024-06-01", "--data", str(data))
    for shown in (taximeter("report", *asked), taximeter(*top)):
        assert "unpriced" in shown.stdout, shown.stderr
        assert "$0" not in shown.stdout


def test_calls_are_priced_again_without_a_server(tmp_path: Path) -> None:
    data = spooled(tmp_path, [call(1, request_model="gpt-4o", input_tokens=1000, output_tokens=500)])
    assert taximeter("prices", "set", "gpt-4o", "--input", "1", "--output", "1", "--data", str(data)).returncode == 0
    run = ("prices", "reprice", "--from", "2024-06-01", "--data", str(data))
    assert answer_of(*run)["outcome"]["calls"] == 0, "priced at the new price when it was taken in"
    assert taximeter("prices", "set", "gpt-4o", "--multiply", "2", "--data", str(data)).returncode == 0
    done = taximeter(*run, "--yes")
    assert (done.returncode, "$0.003000" in done.stdout) == (0, True), done.stderr
    history = answer_of("prices", "history", call(1)["event_id"], "--data", str(data))
    assert (history["current"]["cost_usd"], history["superseded"][0]["cost_usd"]) == ("0.003", "0.0015")


# ── who owns the directory ─────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_is_just_starting_is_waited_for(tmp_path: Path) -> None:
    with own(tmp_path, pid=1) as starting:
        found = running_server(tmp_path, pause=lambda _: starting.announce("http://127.0.0.1:1", "t0ken"))
    assert found == Remote("http://127.0.0.1:1", "t0ken")


def test_a_server_that_is_about_to_end_is_waited_for_and_not_asked(tmp_path: Path) -> None:
    with own(tmp_path, pid=1) as ending:
        ending.announce("http://127.0.0.1:1", "t0ken")
        ending.withdraw()
        assert running_server(tmp_path, pause=lambda _: ending.release()) is None
    assert taximeter("keys", "create", "--name", "n", "--scope", "read", "--data", str(tmp_path)).returncode == 0


def test_neither_a_command_nor_a_server_that_hangs_is_waited_for_forever(tmp_path: Path) -> None:
    pauses: list[float] = []
    with own(tmp_path, pid=1, brief=True):
        assert running_server(tmp_path, pause=pauses.append) is None
    assert pauses == []
    with own(tmp_path, pid=1):
        assert running_server(tmp_path, pause=pauses.append) is None
    assert sum(pauses) == pytest.approx(STARTING_SECONDS, abs=0.1)


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "wins"), [([], True), (["--no-attributes-win"], False), (["--attributes-win"], True)]
)
def test_attributes_of_a_key_win_unless_told_otherwise(tmp_path: Path, flags: list[str], wins: bool) -> None:
    data = ("--data", str(tmp_path))
    answer_of("keys", "create", "--name", "n", "--scope", "gateway", "--attribute", "team=core", *flags, *data)
    (key,) = answer_of("keys", "list", *data)["keys"]
    assert (key["attributes"], key["attributes_win"]) == ({"team": "core"}, wins)
    assert ("unless said otherwise" in taximeter("keys", "list", *data).stdout) is not wins


# ── many groups ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_table_has_room_for_any_number_of_users_and_exports_have_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taximeter.cli.report.TABLE_GROUPS", 2)
    data = spooled(tmp_path, [call(number, user_id=f"u{number}", input_tokens=number) for number in range(5)])
    asked = ("report", *LONG_AGO, "--by", "user", "--measures", "input_tokens,calls", "--data", str(data))
    shown = taximeter(*asked)
    assert [line.split()[1:-1:2] for line in shown.stdout.splitlines() if "u4" in line or "others" in line] == [
        ["u4", "4", "1"],
        ["others", "3", "3"],
    ]
    assert "--limit" in shown.stderr
    assert [row["user_id"] for row in answer_of(*asked)["rows"]] == ["u4", "u3", "u2", "u1", "u0"]
    assert taximeter(*asked, "--format", "csv").stdout.splitlines()[0] == "user_id,input_tokens,calls"
    limited = taximeter(*asked, "--format", "csv", "--limit", "1").stdout.splitlines()
    assert limited == ["user_id,input_tokens,calls,other", "u4,4,1,", ",6,4,True"]


@pytest.mark.parametrize("asked", [["list"], ["revoke", "key_nonsense"]])
def test_keys_of_a_mistyped_directory_are_not_found_and_nothing_is_made_there(tmp_path: Path, asked: list[str]) -> None:
    done = taximeter("keys", *asked, "--data", str(tmp_path / "typo"))
    assert (done.returncode, done.stderr.count("\n"), (tmp_path / "typo").exists()) == (1, 1, False)
    assert "there are no keys in" in done.stderr
