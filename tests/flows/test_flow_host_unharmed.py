"""The application never suffers: whatever befalls taximeter, its results and exceptions are what they were."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harmed_host
import httpx
import pytest
from standing import Standing, clean_environment, eventually

from taximeter.simulator.running import RunningSimulator

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def outcomes(simulator: RunningSimulator, trouble: str, **environment: str) -> tuple[dict[str, Any], str]:
    """What the application saw, plain and metered, and its stderr."""
    done = subprocess.run(
        [sys.executable, harmed_host.__file__, trouble, simulator.url],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def assert_unharmed(seen: dict[str, Any]) -> None:
    assert len(seen["plain"]) > 15
    for name, plain in seen["plain"].items():
        assert seen["metered"][name] == plain, name


@pytest.mark.parametrize("trouble", ["no trouble", "bug"])
def test_results_and_exceptions_are_unchanged(simulator: RunningSimulator, trouble: str, tmp_path: Path) -> None:
    seen, said = outcomes(simulator, trouble, TAXIMETER_DATA=str(tmp_path))
    assert_unharmed(seen)
    assert ("your calls are not affected" in said) == (trouble == "bug")


def test_with_the_collector_down_events_wait_on_disk(simulator: RunningSimulator, tmp_path: Path) -> None:
    seen, _ = outcomes(
        simulator, "collector down", TAXIMETER_URL=NOBODY_LISTENS, TAXIMETER_KEY="k", TAXIMETER_DATA=str(tmp_path)
    )
    assert_unharmed(seen)
    waiting = [line for file in tmp_path.rglob("*.ndjson") for line in file.read_text().splitlines()]
    events = [line for line in waiting if "record" not in json.loads(line)]
    assert len(events) == len(seen["metered"])


def test_with_a_collector_that_never_answers(simulator: RunningSimulator, silent_server: str, tmp_path: Path) -> None:
    seen, _ = outcomes(
        simulator, "collector hangs", TAXIMETER_URL=silent_server, TAXIMETER_KEY="k", TAXIMETER_DATA=str(tmp_path)
    )
    assert_unharmed(seen)


def test_with_a_directory_that_cannot_be_made(simulator: RunningSimulator, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    seen, said = outcomes(simulator, "no directory", TAXIMETER_DATA=str(tmp_path / "file" / "below"))
    assert_unharmed(seen)
    assert "your calls are not affected" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_with_a_read_only_directory(simulator: RunningSimulator, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    seen, _ = outcomes(simulator, "read-only", TAXIMETER_DATA=str(tmp_path))
    assert_unharmed(seen)


def test_with_a_full_disk(simulator: RunningSimulator, tmp_path: Path) -> None:
    seen, said = outcomes(simulator, "disk full", TAXIMETER_DATA=str(tmp_path))
    assert_unharmed(seen)
    assert "your calls are not affected" in said


def set_file_size_limit(pid: int, limit_bytes: int) -> None:
    """A disk that is full for one process: writes beyond the limit fail."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_a_gateway_with_a_full_disk_serves_on_and_says_what_it_lost(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    with Standing(tmp_path, simulator.url) as standing, standing.gpt(max_retries=0) as gpt:
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert eventually(standing.calls, bool) == 1
        set_file_size_limit(standing.pid, 0)
        for _ in range(5):
            assert gpt.chat.completions.create(model="gpt-4o", messages=HELLO).choices
        headers = {"Authorization": f"Bearer {standing.key('read')}"}
        metrics = httpx.get(standing.url + "/metrics", headers=headers).text
        set_file_size_limit(standing.pid, resource.RLIM_INFINITY)
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
        lost = count_in(metrics, "taximeter_gateway_lost_records_total") + count_in(metrics, "taximeter_losses_total")
        seen = eventually(standing.calls, lambda n: n >= 2)
    assert lost >= 5 or seen == 7
    assert 2 <= seen <= 7


def count_in(metrics: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(name))


def test_a_caller_who_leaves_in_the_middle_is_recorded_with_the_whole_usage(
    standing: Standing, simulator: RunningSimulator
) -> None:
    wish = {
        "X-Simulator-Output-Tokens": "60",
        "X-Simulator-Tokens-Per-Second": "100",
        "X-Ledger-Tag": "left",
        "X-Taximeter-Feature": "left",
    }
    with standing.gpt(max_retries=0) as gpt:
        stream = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, extra_headers=wish)
        for _, _chunk in zip(range(5), stream, strict=False):
            pass
        stream.close()
        (event,) = eventually(lambda: standing.events(feature="left"), bool)
    rows: Any = simulator.ledger["rows"]
    (row,) = [row for row in rows if row["tag"] == "left"]
    assert (event["status"], event["output_tokens"]) == ("cancelled", row["output_tokens"])
