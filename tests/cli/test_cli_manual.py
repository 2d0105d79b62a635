"""docs/cli.md tells of every command and every option, and of no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from taximeter.cli.app import app

MANUAL = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(leaves(typer.main.get_command(app), "taximeter"))


def section(heading: str) -> str:
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no section '{heading}'"
    return found[1]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_told_and_no_other(path: str) -> None:
    names = (name for p in COMMANDS[path].params for name in (*p.opts, *p.secondary_opts))
    real = {name for name in names if name.startswith("--")} - {"--help"}
    text = section(path)
    told = set(re.findall(r"`(--[a-z-]+)", text)) - {"--help"}
    assert told == real


def test_every_section_is_a_command() -> None:
    told = set(re.findall(r"^##+ (taximeter [a-z ]+)$", MANUAL, re.MULTILINE))
    assert told == {*COMMANDS, "taximeter keys"}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_a_help_text(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert all(p.help for p in command.params if p.name != "help")
