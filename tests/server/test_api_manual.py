"""docs/api.md and the code say the same. `python tests/server/test_api_manual.py` writes the lists anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from taximeter import errors
from taximeter.ingest.collector import SET_ASIDE_REASONS
from taximeter.ingest.wire import CODES, WireEvent
from taximeter.reports.questions import QUESTIONS
from taximeter.server.api import build_api, description
from taximeter.server.health import METRICS
from taximeter.spool import LOSS_REASONS
from taximeter.store.events.vocabulary import GROUPABLE, MEASURES

MANUAL = Path(__file__).parents[2] / "docs" / "api.md"


def two_columns(head: str, rows: Mapping[Any, str]) -> str:
    """The lines of a table between its marks."""
    told = [f"| `{name}` | {about} |" for name, about in rows.items()]
    return "\n".join(["", f"| {head} | Meaning |", "|---|---|", *told, ""])


METRIC_ROWS = [f"| `{m.name}` | {f'`{m.label}`' if m.label else ''} | {m.about} |" for m in METRICS]
LISTS = {
    "measures": ", ".join(f"`{name}`" for name in MEASURES),
    "dimensions": ", ".join(f"`{name}`" for name in GROUPABLE),
    "questions": two_columns("Question", {question.name: question.about for question in QUESTIONS}),
    "rejections": two_columns("Code", CODES),
    "set_aside": two_columns("Reason", SET_ASIDE_REASONS),
    "metrics": "\n".join(["", "| Metric | Label | Meaning |", "|---|---|---|", *METRIC_ROWS, ""]),
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", re.DOTALL)


@pytest.mark.parametrize("name", LISTS)
def test_the_lists_are_those_of_the_code(name: str) -> None:
    found = block(name).search(MANUAL.read_text())
    assert found is not None
    assert found[1] == LISTS[name] + "\n"


def test_every_reason_for_a_loss_is_in_the_manual() -> None:
    found = block("losses").search(MANUAL.read_text())
    assert found is not None
    assert re.findall(r"^\| `(\w+)` \|", found[1], re.MULTILINE) == list(LOSS_REASONS)


def test_ingest_is_described_with_its_shapes() -> None:
    document = description(build_api(None, "0"))
    assert document["paths"]["/v1/events"]["post"]["responses"].keys() >= {"202", "401", "413", "422"}
    event = document["components"]["schemas"]["IncomingEvent"]
    assert set(event["properties"]) == set(WireEvent.__struct_fields__) - {"cost_usd", "record"}
    assert event["required"] == ["event_id", "started_at"]


def test_every_route_is_in_the_manual() -> None:
    text = MANUAL.read_text()
    for path, methods in description(build_api(None, "0"))["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in text


def test_every_code_in_the_manual_is_one_of_an_error() -> None:
    codes = {e.code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.TaximeterError)}
    rows = re.findall(r"^\| \d{3} \| (.*?) \|", MANUAL.read_text(), re.MULTILINE)
    told = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert told
    assert told <= codes


if __name__ == "__main__":
    text = MANUAL.read_text()
    for name, content in LISTS.items():
        whole = f"<!-- {name} -->\n{content}\n<!-- /{name} -->".replace("\\", r"\\")
        text = block(name).sub(whole, text)
    MANUAL.write_text(text)
