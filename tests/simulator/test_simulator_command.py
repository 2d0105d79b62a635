"""`python -m taximeter.simulator serve`: ready with a line of JSON, gone without a trace on SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

COMMAND = [sys.executable, "-m", "taximeter.simulator"]


@contextmanager
def served(*flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with subprocess.Popen([*COMMAND, "serve", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        try:
            yield json.loads(it.stdout.readline())["url"], it
        finally:
            it.kill()


def chat(url: str) -> Any:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    return httpx.post(url + "/v1/chat/completions", headers={"Authorization": "Bearer k"}, json=body).json()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_and_its_ledger_is_in_the_file(tmp_path: Path, number: signal.Signals) -> None:
    ledger = tmp_path / "ledger.ndjson"
    with served("--latency-ms", "0", "--tokens-per-second", "0", "--ledger", str(ledger)) as (url, process):
        answers = [chat(url) for _ in range(3)]
        reported = httpx.get(url + "/_simulator/ledger").json()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [row["call_id"] for row in rows] == [answer["id"] for answer in answers]
    assert reported["rows"] == rows
    assert reported["totals"]["output_tokens"] == sum(row["output_tokens"] for row in rows)


def test_its_ledger_survives_kill_9_row_by_row(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.ndjson"
    with served("--latency-ms", "0", "--tokens-per-second", "0", "--ledger", str(ledger)) as (url, process):
        answer = chat(url)
        process.kill()
    assert [json.loads(line)["call_id"] for line in ledger.read_text().splitlines()] == [answer["id"]]


def test_one_seed_gives_the_same_lengths_again() -> None:
    def lengths() -> list[int]:
        with served("--seed", "3", "--latency-ms", "0", "--tokens-per-second", "0") as (url, _):
            return [chat(url)["usage"]["completion_tokens"] for _ in range(5)]

    assert lengths() == lengths()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--fault", "fire=0.1"], "unknown fault fire"),
        (["--fault", "cut"], "simulator:"),
        (["--fault", "cut=1.5"], "sum to at most 1"),
        (["--host", "256.0.0.1"], "simulator:"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_2(flags: list[str], said: str) -> None:
    done = subprocess.run([*COMMAND, "serve", *flags], capture_output=True, text=True, timeout=30)
    assert (done.returncode, len(done.stderr.splitlines()), said in done.stderr) == (2, 1, True)
