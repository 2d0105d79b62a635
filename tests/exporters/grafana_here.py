"""The dashboards that are shipped, and what their panels ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
SHIPPED = GRAFANA / "dashboards"


def shipped_boards(plugin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Dashboards for a kind of data source, by the names of their files."""
    for file in sorted(SHIPPED.iterdir()):
        board = json.loads(file.read_text())
        if board["templating"]["list"][0]["query"] == plugin:
            yield file.stem, board


def shipped_queries(plugin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What every panel of those asks, by the names of dashboard and panel."""
    for name, board in shipped_boards(plugin):
        for panel in board["panels"]:
            for number, target in enumerate(panel["targets"]):
                yield f"{name}/{panel['title']}/{number}", target
