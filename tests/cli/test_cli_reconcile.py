"""`taximeter reconcile`: an imported bill beside the calls that were metered, asked of a server and of the files."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from running_server import answer_of, eventually, running, taximeter

from taximeter.core.ids import uuid7

MONTH = ("--month", "2026-10")
ANY = ("--tolerance", "1")
"""Any difference is within it, so the answer is yes."""

DAY_STARTS = 1_791_504_000
"""2026-10-09T00:00:00Z"""


def call(number: int, model: str, input_tokens: int) -> dict[str, Any]:
    return {
        "event_id": uuid7(DAY_STARTS * 1000 + number, number.to_bytes(10, "big")),
        "started_at": "2026-10-09T12:00:00Z",
        "provider": "openai",
        "response_model": model,
        "input_tokens": input_tokens,
        "output_tokens": 0,
    }


CALLS = [call(1, "gpt-4o-2024-08-06", 1_000_000), call(2, "gpt-4o-mini-2024-07-18", 1_000_000)]
"""2.50 and 0.15 USD."""


def bucket(*results: dict[str, Any]) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": DAY_STARTS, "end_time": DAY_STARTS + 86_400, "results": results}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None}


def cost(item: str, usd: float) -> dict[str, Any]:
    amount = {"value": usd, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item, "project_id": None}


def usage(model: str, input_tokens: int) -> dict[str, Any]:
    counts = {"input_tokens": input_tokens, "output_tokens": 0, "num_model_requests": 3}
    return {"object": "organization.usage.completions.result", "model": model, **counts}


BILL = bucket(
    cost("gpt-4o-2024-08-06, input", 3.5),
    cost("gpt-4o-mini-2024-07-18, input", 0.15),
    cost("web search tool calls", 0.01),
)
USAGE = bucket(usage("gpt-4o-2024-08-06", 1_400_000), usage("gpt-4o-mini-2024-07-18", 1_000_000))
"""400,000 tokens, 1 USD, went past the meter."""


def written(folder: Path, **pages: Any) -> list[str]:
    for name, page in pages.items():
        (folder / f"{name}.json").write_text(json.dumps(page))
    return [str(folder / f"{name}.json") for name in pages]


def test_a_server_and_the_files_explain_the_same_difference(tmp_path: Path) -> None:
    data = tmp_path / "data"
    files = written(tmp_path, bill=BILL, usage=USAGE)
    asked = ("reconcile", *files, *MONTH, "--data", str(data))
    with running(data) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=CALLS).json()["accepted"] == len(CALLS)
        eventually(lambda: answer_of(*asked, *ANY)["totals"]["calls"] == len(CALLS))
        online = answer_of(*asked, *ANY)
        texts = [{"name": Path(file).name, "text": Path(file).read_text()} for file in files]
        with server.client(server.local_token) as client:
            of_texts = client.post("/api/v1/reconcile", json={"month": "2026-10", "tolerance": "1", "files": texts})
            nonsense = [{"name": "notes.txt", "text": "no bill, words"}]
            refused = client.post("/api/v1/reconcile", json={"month": "2026-10", "files": nonsense})
    assert of_texts.json() == online
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "files")
    assert refused.json()["error"]["message"].startswith("notes.txt: ")
    assert online == answer_of(*asked, *ANY)
    totals = online["totals"]
    assert (totals["billed_usd"], totals["metered_usd"], totals["calls"]) == ("3.66", "2.65", len(CALLS))
    assert (totals["difference_usd"], totals["price_usd"], totals["unexplained_usd"]) == ("1.01", "0.01", "0")
    by_model = taximeter(*asked, "--by", "model", "--format", "csv").stdout
    lines = {line["model"]: Decimal(line["difference_usd"]) for line in csv.DictReader(io.StringIO(by_model))}
    assert lines == {
        "gpt-4o-2024-08-06": Decimal(1),
        "web search tool calls": Decimal("0.01"),
        "gpt-4o-mini-2024-07-18": 0,
    }
    shown = taximeter(*asked)
    assert shown.returncode == 1
    assert all(text in shown.stdout for text in ("2026-10-09", "$3.66", "$2.65", "+27.6%")), shown.stdout
    assert "web search tool calls" in shown.stderr
    assert answer_of("report", "--since", "2026-10-01", "--data", str(data))["totals"]["cost_usd"] == "2.65"
    one_amount = ("reconcile", *MONTH, "--provider", "openai", "--billed-usd", "2.65", "--data", str(data))
    assert taximeter(*one_amount).returncode == 0


def test_a_bill_that_was_imported_needs_no_file(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    (tmp_path / "calls.jsonl").write_text("\n".join(json.dumps(call) for call in CALLS))
    assert taximeter("import", *written(tmp_path, bill=BILL), str(tmp_path / "calls.jsonl"), *data).returncode == 0
    totals = answer_of("reconcile", *MONTH, *ANY, *data)["totals"]
    assert (totals["billed_usd"], totals["metered_usd"], totals["unexplained_usd"]) == ("3.66", "2.65", "1.01")


def test_without_a_bill_the_answer_is_no_and_says_what_to_do(tmp_path: Path) -> None:
    told = taximeter("reconcile", *MONTH, "--data", str(tmp_path))
    assert (told.returncode, told.stdout) == (1, "")
    assert "give its file" in told.stderr


def test_mistakes_are_one_line_and_exit_code_two(tmp_path: Path) -> None:
    for wrong in (("--month", "October"), ("--tolerance", "5"), ("--billed-usd", "1"), (*MONTH, "--since", "30d")):
        done = taximeter("reconcile", *wrong, "--data", str(tmp_path))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
