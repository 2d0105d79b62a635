"""docs/limits.md has every key of a definition. `python tests/limits/test_limits_manual.py` writes the table anew."""

from __future__ import annotations

import re
from pathlib import Path

from taximeter.config.limits import KEYS

MANUAL = Path(__file__).parents[2] / "docs" / "limits.md"
BLOCK = re.compile(r"<!-- keys -->\n(.*?)<!-- /keys -->", re.DOTALL)


def table() -> str:
    rows = [f"| `{key.name}` | {key.default} | {key.meaning} |" for key in KEYS]
    return "\n".join(["| Key | Default | Meaning |", "|---|---|---|", *rows, ""])


def test_the_keys_are_those_of_the_code() -> None:
    found = BLOCK.search(MANUAL.read_text())
    assert found is not None
    assert found[1] == table()


if __name__ == "__main__":
    text = MANUAL.read_text()
    MANUAL.write_text(BLOCK.sub(lambda _: f"<!-- keys -->\n{table()}<!-- /keys -->", text))
