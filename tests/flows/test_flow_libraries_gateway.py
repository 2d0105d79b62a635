"""Every client library through the gateway, against providers that fail, are slow and are hung up on: the providers'
ledger and our store agree call by call, token by token, hang-ups included, which the gateway reads to their end.

A call is known by the number of words in its prompt, which is what the provider bills.
`LIBRARY_ROUNDS` says how often every way of every library is gone (1).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from libraries import NEVER_TRY_AGAIN, WAYS, plan
from standing import Standing, eventually

from taximeter.simulator.ledger import COUNTED
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

ROUNDS = int(os.environ.get("LIBRARY_ROUNDS", "1"))
HANG_UPS = 0.05 if ROUNDS > 10 else 0.3
FAULTS = {"rate_limit": 0.05, "server_error": 0.05}
FEWEST_WORDS = 20

# The libraries warn of models that are older than they are.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.timeout(480 + 60 * ROUNDS)]

MOUNTS = {
    "openai": "/openai",
    "azure": "/azure",
    "groq": "",  # the path of these two begins with their name
    "mistralai": "",
    "anthropic at bedrock": "/bedrock",
    "anthropic at vertex": "/vertex",
    "anthropic": "/anthropic",
    "gemini at vertex": "/vertex",
    "gemini": "/gemini",
    "boto3": "/bedrock",
    "cohere": "/cohere",
    "ollama": "/ollama",
}
"""What the name of a way begins with → where the gateway serves its provider; the longest counts."""


def settings(url: str) -> str:
    return f"""\
  azure: {{base_url: {url}, api_key: sk-real}}
  groq: {{base_url: {url}/groq, api_key: sk-real}}
  mistral: {{base_url: {url}/mistral/v1, api_key: sk-real}}
  bedrock: {{base_url: {url}, api_key: sk-real}}
  vertex: {{base_url: {url}, api_key: sk-real, key_header: authorization}}
  gemini: {{base_url: {url}, api_key: sk-real}}
  cohere: {{base_url: {url}, api_key: sk-real}}
  ollama: {{base_url: {url}}}
server: {{auth: "off"}}
"""


def mount_of(way: str) -> str:
    return MOUNTS[max((name for name in MOUNTS if way.startswith(name)), key=len)]


@dataclass
class Run:
    """What happened, by number of words: the way, the provider's row, our events."""

    ways: dict[int, str] = field(default_factory=dict)
    hung_up: set[int] = field(default_factory=set)
    failed: dict[int, Exception] = field(default_factory=dict)
    rows: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    events: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    done, chance = Run(), Random(7)
    simulated = Settings(
        seed=7,
        output_tokens_median=12,
        reasoning_tokens_median=8,
        fault_rates=FAULTS,
        retry_after_seconds=0.01,
        tokens_per_second=300,
        latency_ms=5,
    )
    with (
        RunningSimulator(simulated) as simulator,
        Standing(tmp_path_factory.mktemp("through"), simulator.url, settings(simulator.url)) as standing,
    ):

        def call(number: int, way: str, hang_up: bool) -> None:
            words = number + FEWEST_WORDS
            done.ways[words] = way
            if hang_up:
                done.hung_up.add(words)
            try:
                WAYS[way](standing.url + mount_of(way), "word " * words, hang_up)
            except Exception as error:
                done.failed[words] = error

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda planned: call(*planned), plan(ROUNDS, lambda: chance.random() < HANG_UPS)))
        billed: Any = eventually(lambda: simulator.ledger["rows"], lambda rows: len(rows) >= len(done.ways))  # type: ignore[arg-type]
        eventually(lambda: standing.calls(status={"in": ["ok", "cancelled"]}), lambda calls: calls >= len(billed))
        for row in billed:
            done.rows.setdefault(row["input_tokens"], []).append(row)
        for event in standing.events():
            if event["status"] == "error":
                done.errors.append(event)
            else:
                done.events.setdefault(event["input_tokens"], []).append(event)
    return done


def test_every_call_that_was_billed_is_in_the_store_token_by_token(run: Run) -> None:
    assert len(run.rows) + len(run.failed) == len(run.ways)
    for words, (row, *more) in run.rows.items():
        way = run.ways[words]
        assert not more, way
        (event,) = run.events[words]
        assert {name: event.get(name) or 0 for name in COUNTED} == {name: row[name] for name in COUNTED}, way
        assert not event["usage_estimated"], way
        assert event["status"] in (("ok", "cancelled") if words in run.hung_up else ("ok",)), way


def test_nothing_is_in_the_store_that_was_not_billed(run: Run) -> None:
    assert run.events.keys() == run.rows.keys()
    assert {event["http_status"] for event in run.errors} <= {429, 500}
    assert all(event["not_billed"] for event in run.errors)


def test_streams_were_hung_up_on_and_only_libraries_that_do_not_try_again_gave_up(run: Run) -> None:
    assert run.hung_up
    gave_up = {run.ways[words] for words in run.failed}
    assert gave_up <= NEVER_TRY_AGAIN, run.failed


def test_boto3_with_a_taximeter_key_as_its_access_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    with RunningSimulator(Settings()) as simulator:
        bedrock = f"  bedrock: {{base_url: {simulator.url}, api_key: sk-real}}\n"
        with Standing(tmp_path_factory.mktemp("signed"), simulator.url, bedrock) as standing:
            session = boto3.session.Session(standing.key("gateway"), "-", region_name="eu-west-1")
            config = Config(retries={"total_max_attempts": 1})
            client = session.client("bedrock-runtime", endpoint_url=standing.url + "/bedrock", config=config)
            with closing(client):
                said = [{"role": "user", "content": [{"text": "word " * 30}]}]
                answer = client.converse(modelId="amazon.nova-lite-v1:0", messages=said)
            assert eventually(standing.calls, lambda calls: calls == 1) == 1
            (event,) = standing.events()
    assert (event["provider"], event["status"]) == ("bedrock", "ok")
    assert event["input_tokens"] == answer["usage"]["inputTokens"]
