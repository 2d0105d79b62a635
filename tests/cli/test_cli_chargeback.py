"""`taximeter chargeback`: one statement from a server and from the files, with the mark-ups of the configuration."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

from running_server import answer_of, eventually, running, taximeter

from taximeter.core.ids import uuid7

CONFIGURATION = """
chargeback:
  by: tenant
  percent: 10
  markups:
    acme: {percent: 0, per_call_usd: "0.001"}
"""
MONTH = ("--month", "2026-10")


def call(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": uuid7(1_792_000_000_000 + number, number.to_bytes(10, "big")),
        "started_at": "2026-10-15T12:00:00Z",
        "provider": "openai",
        "request_model": "gpt-4o",
        "input_tokens": 1_000_000,
        "output_tokens": 0,
        **fields,
    }


CALLS = [call(1, tenant="acme"), call(2, tenant="globex", team="core"), call(3, input_tokens=500_000)]


def test_a_server_and_the_files_make_the_same_statement(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "taximeter.yaml"
    file.write_text(CONFIGURATION)
    asked = ("chargeback", *MONTH, "--data", str(data))
    with running(data, "--config", str(file)) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=CALLS).json()["accepted"] == len(CALLS)
        eventually(lambda: answer_of(*asked)["totals"]["calls"] == len(CALLS))
        online = answer_of(*asked)
    assert online == answer_of(*asked, TAXIMETER_CONFIG=str(file))
    amounts = {row["tenant"]: (row["cost_usd"], row["amount_usd"]) for row in online["rows"]}
    assert amounts == {"acme": ("2.5", "2.50"), "globex": ("2.5", "2.75"), None: ("1.25", "1.25")}
    assert (online["totals"]["cost_usd"], online["totals"]["amount_usd"]) == ("6.25", "6.50")
    shared = taximeter(*asked, "--unattributed", "shared", "--format", "csv", TAXIMETER_CONFIG=str(file)).stdout
    lines = {line["tenant"]: Decimal(line["amount_usd"]) for line in csv.DictReader(io.StringIO(shared))}
    assert lines.keys() == {"acme", "globex", ""}
    assert (lines[""], sum(lines.values(), Decimal(0))) == (Decimal(0), Decimal("6.50"))
    shown = taximeter(*asked, "--by", "team", TAXIMETER_CONFIG=str(file)).stdout
    assert all(text in shown for text in ("core", "$2.75", "(not said)", "$6.50"))


def test_mistakes_are_one_line_and_exit_code_two(tmp_path: Path) -> None:
    for wrong in (("--month", "October"), ("--by", "team,tenant"), (*MONTH, "--since", "30d"), ("--by", "nonsense")):
        done = taximeter("chargeback", *wrong, "--data", str(tmp_path))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
