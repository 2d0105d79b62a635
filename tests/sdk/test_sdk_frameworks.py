"""A call through a framework is one call, whoever counts it, and the provider's ledger agrees token by token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import framework_calls
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from replay import Written

import taximeter
from taximeter.sdk.context import FOLLOWING, follow_threads
from taximeter.sdk.instruments import litellm as litellm_instrument
from taximeter.sdk.instruments import uninstrument_all
from taximeter.sdk.instruments.frameworks import CHAT, Watched
from taximeter.sdk.yielding import Watch, counted, watching
from taximeter.simulator.ledger import COUNTED
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

ROOT = Path(__file__).parents[2]
MAY_INSTALL = pytest.mark.timeout(600)
"""Of a test that makes an environment when it first runs."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(seed=3, output_tokens_median=10)) as running:
        yield running


def calls_of(framework: str, python: Path, simulator: RunningSimulator, data: Path) -> list[dict[str, Any]]:
    """What the provider booked for the calls of a framework, made by a Python of their own."""
    before: Any = simulator.ledger["rows"]
    done = subprocess.run(
        [python, framework_calls.__file__, framework, simulator.url],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(data),
            "PYTHONPATH": str(ROOT / "src"),
            "TAXIMETER_DATA": str(data),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert "taximeter" not in done.stderr
    after: Any = simulator.ledger["rows"]
    return list(after[len(before) :])


def assert_agreed(rows: list[dict[str, Any]], written: Written) -> None:
    events = {event["input_tokens"]: event for event in written.events}
    assert len(rows) == len(written.events) == len(events)
    for row in rows:
        event = events[row["input_tokens"]]
        assert (event["status"], event["provider"]) == ("ok", row["provider"])
        assert {name: event.get(name) or 0 for name in COUNTED} == {name: row[name] for name in COUNTED}
        assert not event.get("usage_estimated")


@pytest.mark.timeout(420)
@pytest.mark.parametrize("framework", ["litellm", "langchain"])
def test_a_framework_and_the_client_below_it_count_a_call_once(
    framework: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    rows = calls_of(framework, Path(sys.executable), simulator, tmp_path)
    assert len(rows) == {"litellm": 10, "langchain": 8}[framework]
    assert_agreed(rows, Written(tmp_path))


@MAY_INSTALL
def test_llama_index_and_an_older_client_below_it_count_a_call_once(
    python_with: Callable[[str], Path], simulator: RunningSimulator, tmp_path: Path
) -> None:
    rows = calls_of("llama-index", python_with("llama-index"), simulator, tmp_path)
    assert len(rows) == 5
    assert_agreed(rows, Written(tmp_path))


@MAY_INSTALL
def test_aiobotocore_every_call_token_by_token_every_attempt_and_a_hang_up(
    python_with: Callable[[str], Path], tmp_path: Path
) -> None:
    faults = {"rate_limit": 0.15, "server_error": 0.15}
    settings = Settings(seed=3, output_tokens_median=10, fault_rates=faults, retry_after_seconds=0.01)
    with RunningSimulator(settings) as failing:
        rows = calls_of("aiobotocore", python_with("aiobotocore"), failing, tmp_path)
    events = Written(tmp_path).events
    billed = {row["input_tokens"]: row for row in rows}
    answered = [event for event in events if event["status"] == "ok"]
    assert len(answered) == 6
    for event in answered:
        row = billed[event["input_tokens"]]
        assert {name: event.get(name) or 0 for name in COUNTED} == {name: row[name] for name in COUNTED}
        request = event.get("request_id", event["event_id"])
        tries = [one for one in events if request in (one["event_id"], one.get("request_id"))]
        assert sorted(one["attempt"] for one in tries) == list(range(1, len(tries) + 1))
    failures = {event["http_status"] for event in events if event["status"] == "error"}
    assert failures
    assert failures <= {429, 500}
    assert [event["status"] for event in events].count("cancelled") == 1


# ── what nobody below counts ────────────────────────────────────────────────────────────────────────────────


def own_model(*answers: AIMessage) -> GenericFakeChatModel:
    """A model of somebody's own, which calls no client that we know."""
    return GenericFakeChatModel(messages=iter(answers))


def test_a_model_without_a_client_that_we_know_is_counted_by_what_langchain_says(written: Written) -> None:
    usage: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "input_token_details": {"cache_read": 3}}
    with taximeter.attribute(user="u"):
        taximeter.instrument(own_model(AIMessage("one two", usage_metadata=usage))).invoke("hello")
    (event,) = written.events
    assert (event["input_tokens"], event["output_tokens"], event["cache_read_tokens"]) == (5, 2, 3)
    assert (event["status"], event["user_id"]) == ("ok", "u")


def test_an_answer_that_says_nothing_of_its_usage_is_estimated(written: Written) -> None:
    taximeter.instrument(own_model(AIMessage("one two"))).invoke("hello")
    (event,) = written.events
    assert event["usage_estimated"]


def test_a_model_that_fails_is_an_error(written: Written) -> None:
    with pytest.raises(StopIteration):
        taximeter.instrument(own_model()).invoke("hello")
    (event,) = written.events
    assert (event["status"], event["error_type"]) == ("error", "StopIteration")


def test_instrument_all_adds_the_handler_to_every_model_and_takes_it_away_again(written: Written) -> None:
    model = own_model(*(AIMessage("x") for _ in range(3)))
    taximeter.instrument_all()
    try:
        model.invoke("hello")
        taximeter.instrument(model).invoke("hello")
    finally:
        uninstrument_all()
    assert len(written.events) == 2


def test_what_langchain_has_in_its_cache_is_no_call_again(written: Written) -> None:
    usage: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    model = own_model(AIMessage("one two", usage_metadata=usage))
    model.cache = InMemoryCache()
    taximeter.instrument(model)
    assert [model.invoke("hello").content for _ in range(2)] == ["one two", "one two"]
    assert [(event["status"], event["input_tokens"]) for event in written.events] == [("ok", 5), ("cached", 5)]


class ModelSomewhere(GenericFakeChatModel):
    """A model that says where it is served, as those of Vertex AI do."""

    location: str

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True


def test_a_model_that_says_where_it_is_served_is_counted_there(written: Written) -> None:
    taximeter.instrument(ModelSomewhere(messages=iter([AIMessage("x")]), location="europe-west1")).invoke("hello")
    (event,) = written.events
    assert event["region"] == "europe-west1"


# ── litellm by itself ───────────────────────────────────────────────────────────────────────────────────────
#
# A module in its place: the real one takes seconds to import, and is called in `framework_calls.py`.

SAID: list[Any] = [{"role": "user", "content": "something secret"}]


class BadRequestError(Exception):
    """What the library raises where it knows nobody to ask."""

    status_code = 400


class LiteLlmAnswer:
    _response_ms: float | None = None

    def __init__(self, **hidden: Any) -> None:
        self._hidden_params = hidden

    def model_dump(self) -> dict[str, Any]:
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        choices = [{"message": {"content": "x"}, "finish_reason": "stop"}]
        return {"id": "c1", "model": "claude-sonnet-5", "choices": choices, "usage": usage}


def provider_of(model: str, **_: Any) -> tuple[str, str]:
    provider, name = [*model.split("/", 1), ""][:2]
    if not name:
        raise BadRequestError
    return name, provider


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    def completion(model: str, messages: Any = None, **kwargs: Any) -> Any:
        provider_of(model)
        if (stream := getattr(module, "answers_with", None)) is not None:
            return stream
        answer = LiteLlmAnswer(**kwargs.get("hidden", {}))
        answer._response_ms = kwargs.get("took_ms")
        return answer

    def responses(input: str, model: str, **_: Any) -> Any:  # noqa: A002 - as the library calls it
        return completion(model, input)

    async def acompletion(model: str, messages: Any = None, **kwargs: Any) -> Any:
        return completion(model, messages, **kwargs)

    module, secrets = ModuleType("litellm"), ModuleType("litellm.secret_managers.main")
    vars(module).update(completion=completion, acompletion=acompletion, responses=responses, vertex_location=None)
    vars(module).update(get_llm_provider=provider_of, exceptions=SimpleNamespace(BadRequestError=BadRequestError))
    vars(secrets)["get_secret_str"] = {"VERTEX_LOCATION": "us-east5"}.get
    for name, stands_for in (("litellm", module), ("litellm.secret_managers.main", secrets)):
        monkeypatch.setitem(sys.modules, name, stands_for)
    instrument = litellm_instrument._LiteLLM()
    instrument.patch_classes()
    yield module
    instrument.restore_classes()


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"model": "nobody-knows-it", "messages": SAID},
        {"model": "anthropic/claude-sonnet-5", "messages": SAID, "mock_response": "made up"},
    ],
    ids=["without a model", "a model of nobody's", "made up"],
)
def test_what_litellm_asks_nobody_for_is_no_call(asked: dict[str, Any], litellm: Any, written: Written) -> None:
    with suppress(TypeError, BadRequestError):
        litellm.completion(**asked)
    assert written.lines == []


def test_a_model_that_is_given_by_its_place_is_the_model(litellm: Any, written: Written) -> None:
    litellm.responses("something secret", "anthropic/claude-sonnet-5")
    (event,) = written.events
    assert (event["request_model"], event["input_tokens"]) == ("claude-sonnet-5", 11)
    assert "secret" not in json.dumps(event)


def test_what_litellm_has_in_its_cache_is_no_call_again(litellm: Any, written: Written) -> None:
    for hidden in ({}, {"cache_key": "k"}, {"cache_hit": True}):
        litellm.completion("anthropic/claude-sonnet-5", SAID, hidden=hidden)
    assert [event["status"] for event in written.events] == ["ok", "cached", "cached"]
    assert {event["input_tokens"] for event in written.events} == {11}


def test_embeddings_of_which_litellm_has_a_part_in_its_cache_are_a_call(litellm: Any, written: Written) -> None:
    for took_ms in (None, 31.5):
        litellm.completion("cohere/embed-v4", SAID, hidden={"cache_hit": True}, took_ms=took_ms)
    assert [event["status"] for event in written.events] == ["cached", "ok"]


def test_a_stream_out_of_a_cache_that_is_left_is_free_as_well(written: Written) -> None:
    watched = Watched("cohere", CHAT, {"model": "command-a", "messages": SAID, "stream": True})
    watched.from_cache()
    watched.begins_to_stream()
    watched.took({"choices": [{"index": 0, "delta": {"content": "some"}}]})
    watched.let_go()
    watched.exhausted()
    assert [event["status"] for event in written.events] == ["cached"]


class LiteLlmChunk(SimpleNamespace):
    """A chunk of a stream, with a usage where the provider said one, or where the library counted by itself."""

    def model_dump(self) -> dict[str, Any]:
        choices = [{"index": 0, "delta": {"content": "one two"}, "finish_reason": "stop"}]
        return {"id": "c1", "model": "m", "choices": choices, "usage": self.usage}


class LiteLlmStream:
    """`chunks` is what the provider sent, `handed_out` what the caller gets of it."""

    def __init__(self, chunks: Any, handed_out: list[LiteLlmChunk], around: Any = None) -> None:
        self.completion_stream = around
        self._handed_out = iter(handed_out)
        if chunks is not None:
            self.chunks = chunks

    def __iter__(self) -> LiteLlmStream:
        return self

    def __next__(self) -> LiteLlmChunk:
        return next(self._handed_out)


TOLD: dict[str, Any] = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
SILENT = LiteLlmChunk(usage=None)
TELLING = LiteLlmChunk(usage=TOLD)


@pytest.mark.parametrize(
    ("stream", "estimated"),
    [
        (LiteLlmStream([SILENT, TELLING], [SILENT]), False),
        (LiteLlmStream([SILENT, TELLING], [SILENT, TELLING]), False),
        (LiteLlmStream(None, [SILENT], around=LiteLlmStream([SILENT, TELLING], [])), False),
        (LiteLlmStream([SILENT], [SILENT]), True),
        (LiteLlmStream([SILENT], [SILENT, TELLING]), True),
    ],
    ids=[
        "told to the library",
        "told to the caller",
        "told below a stream of text",
        "untold",
        "counted by the library",
    ],
)
def test_what_litellm_counts_by_itself_is_an_estimate(
    stream: LiteLlmStream, estimated: bool, litellm: Any, written: Written
) -> None:
    litellm.stream_chunk_builder = lambda chunks: LiteLlmAnswer()
    litellm.answers_with = stream
    list(litellm.completion("groq/llama-3.3-70b", SAID, stream=True))
    (event,) = written.events
    assert event.get("usage_estimated", False) is estimated
    assert estimated or (event["input_tokens"], event["output_tokens"]) == (11, 3)


@pytest.mark.parametrize(
    ("asked", "region"),
    [
        ({"model": "vertex_ai/claude-sonnet-5", "vertex_location": "europe-west1"}, "europe-west1"),
        ({"model": "vertex_ai/claude-sonnet-5"}, "us-east5"),
        ({"model": "bedrock/anthropic.claude-v2", "aws_region_name": "eu-central-1"}, "eu-central-1"),
        ({"model": "bedrock/eu-west-3/anthropic.claude-v2"}, "eu-west-3"),
        ({"model": "bedrock/arn:aws:bedrock:us-east-2:1:inference-profile/x"}, "us-east-2"),
        ({"model": "bedrock/anthropic.claude-v2"}, "us-west-2"),
        ({"model": "bedrock/x", "api_base": "https://bedrock-runtime.sa-east-1.amazonaws.com"}, "sa-east-1"),
        ({"model": "openai/gpt-4o"}, None),
    ],
    ids=str,
)
def test_a_call_of_litellm_is_counted_where_it_is_served(
    asked: dict[str, Any], region: str | None, litellm: Any, written: Written
) -> None:
    litellm.completion(messages=SAID, **asked)
    (event,) = written.events
    assert event.get("region") == region


# ── the watch ───────────────────────────────────────────────────────────────────────────────────────────────


def test_who_counts_tells_every_watch_around_it() -> None:
    watching.set(None)  # another test may have left a stream half read
    outer = Watch()
    outer.begin()
    inner = Watch()
    inner.begin()
    counted()
    assert (outer.told, inner.told) == (True, True)
    inner.end()
    assert watching.get() is outer
    outer.end()
    assert watching.get() is None


def test_watches_that_nobody_ended_do_not_pile_up() -> None:
    for _ in range(3):
        Watch().begin()
        counted()
    last = Watch()
    assert last.around is None
    watching.set(None)


def in_a_pool() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(counted).result()


def in_a_thread() -> None:
    thread = Thread(target=counted)
    thread.start()
    thread.join()


@pytest.mark.parametrize("elsewhere", [in_a_pool, in_a_thread])
def test_a_call_that_a_framework_has_made_in_another_thread_is_not_counted_by_both(
    elsewhere: Callable[[], None], written: Written
) -> None:
    follow_threads(True)
    before = watching.get()
    watched = Watched("aws", CHAT, {"model": "m", "messages": SAID})
    try:
        elsewhere()
        assert not watched.over()
    finally:
        FOLLOWING.end()
    assert watching.get() in (before, None)
    assert written.events == []


def test_a_worker_that_is_started_in_a_framework_watches_for_nobody() -> None:
    follow_threads(True)
    watch = Watch()
    watch.begin()
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            watch.end()
            assert pool.submit(watching.get).result() is None
    finally:
        FOLLOWING.end()
