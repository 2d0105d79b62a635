"""docs/api.md and the code say the same. `python tests/server/test_api_manual.py` writes the lists anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taximeter import errors
from taximeter.server.api import build_api, description
from taximeter.server.health import METRICS
from taximeter.store.events.vocabulary import GROUPABLE, MEASURES

MANUAL = Path(__file__).parents[2] / "docs" / "api.md"

METRIC_ROWS = [f"| `{m.name}` | {f'`{m.label}`' if m.label else ''} | {m.about} |" for m in METRICS]
LISTS = {
    "measures": ", ".join(f"`{name}`" for name in MEASURES),
    "dimensions": ", ".join(f"`{name}`" for name in GROUPABLE),
    "metrics": "\n".join(["", "| Metric | Label | Meaning |", "|---|---|---|", *METRIC_ROWS, ""]),
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", re.DOTALL)


@pytest.mark.parametrize("name", LISTS)
def test_the_lists_are_those_of_the_code(name: str) -> None:
    found = block(name).search(MANUAL.read_text())
    assert found is not None
    assert found[1] == LISTS[name] + "\n"


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
