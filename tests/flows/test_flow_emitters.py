"""Other people's instrumentations, really running: their spans arrive over OTLP with the tokens that were billed.

Each runs in an environment of its own, made on demand from requirements/emitters. All of them take a minute or two,
so they run with `EMITTERS=all` or `EMITTERS=openlit,logfire`; every day the spans they once sent are enough
(tests/ingest_otlp/test_otlp_recorded.py).
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from emitter_environments import LOCKS, python_of
from standing import Standing, clean_environment, eventually

from taximeter.simulator.running import RunningSimulator

SCRIPT = Path(__file__).parent / "emitters" / "emit.py"
ALL = tuple(path.stem for path in sorted(LOCKS.glob("*.txt")))
ASKED = os.environ.get("EMITTERS", "")
WANTED = ALL if ASKED == "all" else tuple(name for name in ASKED.split(",") if name)
COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens", "reasoning_tokens")

# The first run of an emitter makes its environment.
pytestmark = [pytest.mark.skipif(not WANTED, reason="EMITTERS=all runs them"), pytest.mark.timeout(600)]

Counts = tuple[int, ...]


@pytest.fixture(scope="module")
def receiving(simulator: RunningSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with Standing(tmp_path_factory.mktemp("emitters"), simulator.url) as running:
        yield running


def emitted(name: str, tag: str, standing: Standing, simulator: RunningSimulator, **more: str) -> None:
    variables = {
        "PROVIDERS_URL": simulator.url,
        "LEDGER_TAG": tag,
        "OTEL_SERVICE_NAME": tag,
        "OTEL_EXPORTER_OTLP_ENDPOINT": standing.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{standing.key('ingest')}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        **more,
    }
    done = subprocess.run(
        [python_of(name), SCRIPT, name],
        env={**clean_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def billed(simulator: RunningSimulator, tag: str) -> list[Mapping[str, Any]]:
    rows = simulator.ledger["rows"]
    assert isinstance(rows, list)
    return [row for row in rows if row["tag"] == tag]


def counts_of(row: Mapping[str, Any]) -> Counts:
    return tuple(row.get(name) or 0 for name in COUNTS)


def told(standing: Standing, tag: str, at_least: int) -> list[dict[str, Any]]:
    """The calls of a service that went well, once there are so many."""
    return eventually(lambda: standing.events(service=tag, status="ok"), lambda events: len(events) >= at_least)


def cannot_tell(name: str, row: Mapping[str, Any]) -> Counts | None:
    """What an emitter tells of a call where it cannot tell what was billed; None for a call without a span."""
    counts = dict(zip(COUNTS, counts_of(row), strict=True))
    if name == "otel-v2" and not row["call_id"].startswith("chatcmpl"):
        return None
    if name == "otel-v2":
        counts |= {"cache_read_tokens": 0, "reasoning_tokens": 0}
    if name == "openlit" and row["call_id"].startswith("chatcmpl"):
        counts |= {"reasoning_tokens": 0}
    return tuple(counts.values())


@pytest.mark.parametrize("name", WANTED)
def test_what_arrives_is_what_was_billed_and_each_call_once(
    name: str, receiving: Standing, simulator: RunningSimulator
) -> None:
    tag = f"emitter-{name}"
    emitted(name, tag, receiving, simulator)
    expected = [cannot_tell(name, row) for row in billed(simulator, tag)]
    assert len(expected) >= 12
    known = Counter(counts for counts in expected if counts is not None)
    events = told(receiving, tag, known.total())
    assert Counter(counts_of(event) for event in events) == known


OURS_TOO = {
    "the gateway": {"OPENAI_URL": "{url}/openai/v1", "ANTHROPIC_URL": "{url}/anthropic", "PROVIDERS_KEY": "{gateway}"},
    "the SDK": {"WITH_SDK": "1", "TAXIMETER_URL": "{url}", "TAXIMETER_KEY": "{ingest}"},
}


@pytest.mark.skipif("openllmetry" not in WANTED, reason="EMITTERS=openllmetry runs them")
@pytest.mark.parametrize("ours", OURS_TOO)
def test_a_call_that_we_see_as_well_still_counts_once(
    ours: str, receiving: Standing, simulator: RunningSimulator, tmp_path: Path
) -> None:
    """Also an embedding, whose answer has no id: its span travels, with `traceparent` or within the process."""
    tag = f"emitter-and-{ours.rpartition(' ')[2]}"
    keys = {"gateway": receiving.key("gateway"), "ingest": receiving.key("ingest")}
    more = {name: value.format(url=receiving.url, **keys) for name, value in OURS_TOO[ours].items()}
    sources = {"PYTHONPATH": str(LOCKS.parents[1] / "src"), "TAXIMETER_DATA": str(tmp_path)}
    before = Counter(counts_of(event) for event in receiving.events(status="ok"))
    already = receiving.told_twice()
    emitted("openllmetry", tag, receiving, simulator, **sources, **more)
    known = Counter(counts_of(row) for row in billed(simulator, tag))

    def told_twice() -> int:
        return receiving.told_twice() - already

    eventually(told_twice, lambda number: number >= known.total())
    added = Counter(counts_of(event) for event in receiving.events(status="ok")) - before
    assert added == known
