"""Every command in the README and the manual is one that there is; those that only read are carried out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from documented_blocks import BLOCKS, ROOT, words

from taximeter.cli.app import app, run
from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7
from taximeter.spool import Spool

pytestmark = pytest.mark.timeout(360)
COMMANDS = sorted({command for block in BLOCKS for command in block.commands})
READING = ("report", "sql", "why", "forecast", "calc", "prices show")
"""Commands that tell something of calls that are there, and end."""


def asks(command: str) -> bool:
    return command.startswith(tuple(f"taximeter {name} " for name in READING))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_manual_is_taken(command: str) -> None:
    _, *rest = words(command)
    found: Any = typer.main.get_command(app)
    context = found.make_context("taximeter", rest)
    while hasattr(found, "commands"):
        _, found, rest = found.resolve_command(context, [*context._protected_args, *context.args])
        context = found.make_context(found.name, list(rest), parent=context)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with calls of the last days."""
    data, now_us = tmp_path_factory.mktemp("calls"), SystemClock().now_us()
    spool = Spool(data / "spool", clock=SystemClock(), writer="test")
    told = [
        {
            "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
            "started_at": rfc3339(at_us),
            "provider": "openai",
            "request_model": ("gpt-4o", "gpt-4o-mini")[number % 2],
            "status": "ok",
            "feature": ("chat", "reports")[number % 2],
            "team": "core",
            "user_id": f"user_{120 + number % 5}",
            "input_tokens": 1000 + number,
            "output_tokens": 100,
        }
        for number in range(60)
        for at_us in [now_us - number * 12 * 3_600_000_000]
    ]
    assert spool.extend([json.dumps(one).encode() for one in told])
    spool.close()
    return data


@pytest.mark.parametrize("command", [command for command in COMMANDS if asks(command)])
def test_a_command_that_asks_is_answered(
    command: str,
    calls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "examples" / "prices-illustrative.yaml", tmp_path / "negotiated.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXIMETER_DATA", str(calls))
    monkeypatch.delenv("TAXIMETER_URL", raising=False)
    _, *rest = words(command)
    status = run(rest)
    told = capsys.readouterr()
    assert status == 0, told.err
    assert told.out.strip() or told.err.strip(), "where there is nothing, it says so"
