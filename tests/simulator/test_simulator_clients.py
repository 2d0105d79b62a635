"""The real client libraries believe that they talk to the providers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

HELLO: list[Any] = [{"role": "user", "content": "hello big world"}]
SONNET = "claude-sonnet-5"


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(seed=11, output_tokens_median=20, reasoning_tokens_median=30)) as running:
        yield running


@pytest.fixture(scope="module")
def gpt(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.openai_url, api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(simulator: RunningSimulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.anthropic_url, api_key="key", max_retries=0) as client:
        yield client


def booked(simulator: RunningSimulator, call_id: str | None) -> dict[str, Any]:
    """The one ledger row of a call."""
    rows: Any = simulator.ledger["rows"]
    (row,) = [row for row in rows if row["call_id"] == call_id]
    return dict(row)


def test_a_chat_completion_costs_the_words_in_and_the_words_out(
    simulator: RunningSimulator, gpt: openai.OpenAI
) -> None:
    answer = gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
    text = answer.choices[0].message.content or ""
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, len(text.split()))
    assert answer.model == "gpt-4o-2024-08-06"
    row = booked(simulator, answer.id)
    assert (row["input_tokens"], row["output_tokens"], row["outcome"]) == (3, len(text.split()), "complete")


@pytest.mark.parametrize("choices", [1, 3])
def test_a_chat_stream_has_usage_only_when_it_is_asked_for(
    simulator: RunningSimulator, gpt: openai.OpenAI, choices: int
) -> None:
    silent = list(gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, n=choices))
    assert all(chunk.usage is None and chunk.choices for chunk in silent)
    told = list(
        gpt.chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}, n=choices
        )
    )
    assert [chunk.usage is not None for chunk in told] == [False] * (len(told) - 1) + [True]
    usage = told[-1].usage
    assert usage is not None
    assert told[-1].choices == []
    words = sum(len((choice.delta.content or "").split()) for chunk in told for choice in chunk.choices)
    assert usage.completion_tokens == words == booked(simulator, told[0].id)["output_tokens"]


@pytest.mark.parametrize(("name", "bound"), [("max_tokens", 7), ("max_completion_tokens", 9)])
def test_an_answer_never_exceeds_the_bound_it_was_given(gpt: openai.OpenAI, name: str, bound: int) -> None:
    answer = gpt.chat.completions.create(
        model="gpt-4o", messages=HELLO, extra_body={name: bound, "simulator": {"output_tokens": 50}}
    )
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (bound, "length")


def test_reasoning_is_part_of_the_output_and_counts_towards_the_bound(gpt: openai.OpenAI) -> None:
    wish = {"X-Simulator-Reasoning-Tokens": "40", "X-Simulator-Output-Tokens": "5"}
    free = gpt.chat.completions.create(model="gpt-5-mini", messages=HELLO, extra_headers=wish).usage
    bound = gpt.chat.completions.create(
        model="gpt-5-mini", messages=HELLO, max_completion_tokens=30, extra_headers=wish
    ).usage
    assert free is not None
    assert bound is not None
    assert free.completion_tokens_details is not None
    assert (free.completion_tokens, free.completion_tokens_details.reasoning_tokens) == (45, 40)
    assert bound.completion_tokens == 30


@pytest.mark.parametrize("stream", [False, True])
def test_responses_report_usage_when_they_are_complete(
    simulator: RunningSimulator, gpt: openai.OpenAI, stream: bool
) -> None:
    if stream:
        events = list(gpt.responses.create(model="gpt-5-mini", input="two words", stream=True))
        assert [e.sequence_number for e in events] == list(range(len(events)))
        answer: Any = events[-1].response  # type: ignore[union-attr]
        assert events[-1].type == "response.completed"
    else:
        answer = gpt.responses.create(model="gpt-5-mini", input="two words")
    row = booked(simulator, answer.id)
    reasoning = answer.usage.output_tokens_details.reasoning_tokens
    assert (answer.usage.input_tokens, reasoning) == (2, row["reasoning_tokens"])
    assert answer.usage.output_tokens == row["output_tokens"] == reasoning + len(answer.output_text.split())


def test_a_response_that_hits_its_bound_is_incomplete(gpt: openai.OpenAI) -> None:
    answer = gpt.responses.create(
        model="gpt-4o", input="x", max_output_tokens=3, extra_headers={"X-Simulator-Output-Tokens": "8"}
    )
    assert answer.status == "incomplete"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_have_the_size_asked_for_and_cost_input_only(gpt: openai.OpenAI, encoding: Any) -> None:
    answer = gpt.embeddings.create(
        model="text-embedding-3-small", input=["one", "two words"], dimensions=64, encoding_format=encoding
    )
    assert len(answer.data) == 2
    assert encoding == "base64" or len(answer.data[0].embedding) == 64
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)


def test_a_message_stops_at_max_tokens(simulator: RunningSimulator, claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(
        model=SONNET, max_tokens=4, messages=HELLO, extra_headers={"X-Simulator-Output-Tokens": "9"}
    )
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.stop_reason) == (3, 4, "max_tokens")
    assert booked(simulator, answer.id)["output_tokens"] == 4


@pytest.mark.parametrize("lifetime", ["5m", "1h"])
def test_a_marked_prefix_is_written_first_and_read_afterwards(claude: anthropic.Anthropic, lifetime: Any) -> None:
    system: Any = [
        {
            "type": "text",
            "text": f"manual-{lifetime} " * 1200,
            "cache_control": {"type": "ephemeral", "ttl": lifetime},
        }
    ]

    def ask() -> Any:
        with claude.messages.stream(model=SONNET, max_tokens=9, system=system, messages=HELLO) as stream:
            return stream.get_final_message().usage

    first, second = ask(), ask()
    written = (first.cache_creation.ephemeral_5m_input_tokens, first.cache_creation.ephemeral_1h_input_tokens)
    assert written == ((1200, 0) if lifetime == "5m" else (0, 1200))
    assert (first.cache_read_input_tokens, first.input_tokens) == (0, 3)
    assert (second.cache_read_input_tokens, second.cache_creation_input_tokens, second.input_tokens) == (1200, 0, 3)


@pytest.mark.parametrize(("model", "writes"), [("gpt-4o", None), ("gpt-5.6-sol", 1152)])
def test_a_long_prompt_is_cached_by_itself_in_steps_of_128(gpt: openai.OpenAI, model: str, writes: int | None) -> None:
    messages: list[Any] = [{"role": "user", "content": f"{model} " * 1200}]
    first, second = (gpt.chat.completions.create(model=model, messages=messages).usage for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.prompt_tokens_details is not None
    assert second.prompt_tokens_details is not None
    assert (first.prompt_tokens_details.cached_tokens, second.prompt_tokens_details.cached_tokens) == (0, 1152)
    assert first.prompt_tokens_details.cache_write_tokens == writes


def test_thinking_is_streamed_before_the_text(claude: anthropic.Anthropic) -> None:
    wish = {"X-Simulator-Reasoning-Tokens": "6", "X-Simulator-Output-Tokens": "5"}
    with claude.messages.stream(
        model=SONNET,
        max_tokens=2000,
        messages=HELLO,
        thinking={"type": "enabled", "budget_tokens": 1024},
        extra_headers=wish,
    ) as stream:
        answer = stream.get_final_message()
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.usage.output_tokens == 11


def test_counting_tokens_is_free(simulator: RunningSimulator, claude: anthropic.Anthropic) -> None:
    before: Any = simulator.ledger["totals"]
    assert claude.messages.count_tokens(model=SONNET, messages=HELLO).input_tokens == 3
    assert simulator.ledger["totals"] == before


def test_both_providers_list_their_models(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert {"gpt-4o"} <= {model.id for model in gpt.models.list()}
    assert {SONNET} <= {model.id for model in claude.models.list()}
    assert gpt.models.retrieve("gpt-4o").id == "gpt-4o"


def test_request_ids_are_in_the_providers_own_headers(
    simulator: RunningSimulator, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    embedding = gpt.embeddings.with_raw_response.create(model="text-embedding-3-small", input="x")
    assert booked(simulator, embedding.headers["x-request-id"])["operation"] == "embeddings"
    message = claude.messages.create(model=SONNET, max_tokens=1, messages=HELLO)
    assert message._request_id == booked(simulator, message.id)["request_id"]


def test_a_tag_of_the_caller_is_echoed_in_the_ledger(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    answer = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, extra_headers={"X-Ledger-Tag": "mine"})
    assert booked(simulator, answer.id)["tag"] == "mine"


async def ask_async(simulator: RunningSimulator) -> tuple[int, int]:
    async with openai.AsyncOpenAI(base_url=simulator.openai_url, api_key="k") as gpt:
        chunks = [c async for c in await gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)]
    async with anthropic.AsyncAnthropic(base_url=simulator.anthropic_url, api_key="k") as claude:
        message = await claude.messages.create(model=SONNET, max_tokens=2, messages=HELLO)
    return len(chunks), message.usage.output_tokens


def test_the_async_clients_work_as_well(simulator: RunningSimulator) -> None:
    chunks, output_tokens = asyncio.run(ask_async(simulator))
    assert chunks > 2
    assert output_tokens <= 2
