"""The parts of the demo as processes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from taximeter.cli import demo
from taximeter.cli.companion import FURTHER_ARGUMENTS
from taximeter.config import PREFIX
from taximeter.config.file import parse


def test_secrets_are_not_among_the_arguments_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: started.append((command, how["env"])))
    demo._start(["traffic"], subprocess.DEVNULL, ["--key", "tm_gateway_x"])
    ((command, environment),) = started
    assert "tm_gateway_x" not in command
    assert "tm_gateway_x" in environment[PREFIX + FURTHER_ARGUMENTS]


def test_a_companion_takes_its_secrets_from_the_environment(capfd: pytest.CaptureFixture[str]) -> None:
    process = demo._start(["history"], subprocess.DEVNULL, ["--key", "k", "--url", "u", "--days", "many"])
    assert process.wait(100) == 2
    demo._stop(process)
    assert "argument --days" in capfd.readouterr().err


def test_the_providers_are_simulated_and_all_else_is_as_it_was_written(tmp_path: Path) -> None:
    text = """
limits: [{name: monthly, scope: user, each: true, measure: total_tokens, limit: 1000, window: month}]
rules: [{name: burn, measure: cost_usd, for: 5m, warning: "> 1"}]
"""
    written = parse(text, {})
    running = demo.SampleTraffic(tmp_path)
    running.url = "http://127.0.0.1:1"
    simulated = running.pointed_at_simulator(written)
    assert simulated.providers["openai"].base_url == "http://127.0.0.1:1/v1"
    assert (simulated.limits, simulated.rules, simulated.gateway) == (written.limits, written.rules, written.gateway)
