"""The parts of the demo as processes."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from taximeter.cli import demo
from taximeter.cli.companion import FURTHER_ARGUMENTS
from taximeter.config import PREFIX


def test_secrets_are_not_among_the_arguments_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: started.append((command, how["env"])))
    demo._start(["traffic"], subprocess.DEVNULL, ["--key", "tm_gateway_x"])
    ((command, environment),) = started
    assert "tm_gateway_x" not in command
    assert "tm_gateway_x" in environment[PREFIX + FURTHER_ARGUMENTS]


def test_a_companion_takes_its_secrets_from_the_environment(capfd: pytest.CaptureFixture[str]) -> None:
    process = demo._start(["history"], subprocess.DEVNULL, ["--key", "k", "--url", "u", "--days", "many"])
    assert process.wait(30) == 2
    demo._stop(process)
    assert "argument --days" in capfd.readouterr().err
