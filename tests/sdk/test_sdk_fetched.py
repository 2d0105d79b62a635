"""What an earlier call cost is told by the answer that is fetched later, and counts once, whoever fetches it."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from replay import Answer, Provider, Written

import taximeter
from conftest import ClientFor
from taximeter.core.ids import derived_id, usage_event_id
from taximeter.sdk import fetched

USAGE = {"input_tokens": 40, "output_tokens": 900, "output_tokens_details": {"reasoning_tokens": 800}}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "o3-deep-research",
    "background": True,
    "output": [],
}
QUEUED = {**RESPONSE, "status": "queued", "usage": None}
DONE = {**RESPONSE, "status": "completed", "usage": {**USAGE, "total_tokens": 940}}


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    gc.collect()  # streams that another test has left are told when they are collected
    fetched._counted.clear()


def says(provider: Provider, *bodies: dict[str, Any]) -> None:
    provider.answers = [Answer(body=json.dumps(body).encode()) for body in bodies]


def plainly(client: Any) -> None:
    client.responses.retrieve("resp_1")


def raw(client: Any) -> None:
    client.responses.with_raw_response.retrieve("resp_1").parse()


def read_later(client: Any) -> None:
    with client.responses.with_streaming_response.retrieve("resp_1") as response:
        response.parse()


@pytest.mark.parametrize("retrieve", [plainly, raw, read_later])
def test_a_background_response_counts_once_when_it_is_done(
    retrieve: Callable[[Any], None], provider: Provider, written: Written, client_for: ClientFor
) -> None:
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        says(provider, QUEUED)
        client.responses.create(model="o3-deep-research", input="why", background=True)
        with taximeter.attribute(user="u1"):
            for answer in (QUEUED, DONE, DONE):
                says(provider, answer)
                retrieve(client)
    asked, done = written.events
    assert asked["not_billed"]
    assert done["event_id"] == usage_event_id("openai", "resp_1")
    assert (done["status"], done["response_model"], done["user_id"]) == ("ok", "o3-deep-research", "u1")
    assert (done["input_tokens"], done["output_tokens"], done["reasoning_tokens"]) == (40, 900, 800)
    assert written.begun == []


def test_so_does_one_of_an_asynchronous_client_when_everything_is_metered(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    says(provider, DONE)

    async def run() -> None:
        async with client_for("openai", provider.url, True) as client:
            await client.responses.retrieve("resp_1")
            await client.responses.retrieve("resp_1")

    taximeter.instrument_all()
    try:
        asyncio.run(run())
    finally:
        taximeter.sdk.instruments.uninstrument_all()
    (event,) = written.events
    assert (event["input_tokens"], event["output_tokens"]) == (40, 900)


@pytest.mark.parametrize(
    "told", [{**DONE, "background": False}, {**QUEUED, "status": "in_progress"}], ids=["not in the background", "runs"]
)
def test_a_response_that_has_told_or_will_tell_counts_nothing(
    told: dict[str, Any], provider: Provider, written: Written, client_for: ClientFor
) -> None:
    says(provider, told)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        client.responses.retrieve("resp_1")
    assert written.lines == []


CREATED = {"type": "response.created", "response": QUEUED}
WRITES = {
    "type": "response.output_text.delta",
    "item_id": "m",
    "output_index": 0,
    "content_index": 0,
    "delta": "word " * 80,
}
COMPLETED = {"type": "response.completed", "response": DONE}


def streams(provider: Provider, *events: dict[str, Any]) -> None:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    provider.answers = [Answer(body=body.encode(), content_type="text/event-stream")]


def until_it_is_completed(stream: Any) -> None:
    for event in stream:
        if event.type == "response.completed":
            break
    stream.close()


@pytest.mark.parametrize("read", [list, until_it_is_completed])
def test_a_background_response_that_is_fetched_as_a_stream_counts_once(
    read: Callable[[Any], object], provider: Provider, written: Written, client_for: ClientFor
) -> None:
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        for end in (COMPLETED, {"type": "response.completed", "response": {**DONE, "background": False, "id": "r2"}}):
            streams(provider, WRITES, end)
            read(client.responses.retrieve("resp_1", stream=True, starting_after=1))
        (event,) = written.events
        says(provider, DONE)
        client.responses.retrieve("resp_1")
    assert written.events == [event]
    assert (event["event_id"], event["output_tokens"]) == (usage_event_id("openai", "resp_1"), 900)
    assert not event.get("usage_estimated")


def test_a_stream_that_ends_before_it_tells_its_usage_is_not_free(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    queued = {**QUEUED, "background": False, "status": "in_progress"}
    streams(provider, {**CREATED, "response": queued}, WRITES)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        list(client.responses.create(model="gpt-5", input="why", stream=True))
    (event,) = written.events
    assert not event.get("not_billed")
    assert (event["status"], event["output_tokens"], event["usage_estimated"]) == ("ok", 100, True)


def left_behind(stream: Any) -> None:
    next(stream)
    next(stream)
    stream.close()


@pytest.mark.parametrize("read", [list, left_behind])
def test_what_runs_in_the_background_and_lost_its_stream_is_told_by_the_answer_that_is_fetched(
    read: Callable[[Any], object], provider: Provider, written: Written, client_for: ClientFor
) -> None:
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        streams(provider, CREATED, WRITES, WRITES)
        read(client.responses.create(model="o3-deep-research", input="why", background=True, stream=True))
        says(provider, DONE)
        client.responses.retrieve("resp_1")
    asked, done = written.events
    assert (asked["not_billed"], asked.get("output_tokens")) == (True, None)
    assert done["output_tokens"] == 900


def test_what_a_stream_has_told_is_not_counted_again(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        streams(provider, CREATED, COMPLETED)
        list(client.responses.create(model="o3-deep-research", input="why", background=True, stream=True))
        says(provider, DONE)
        client.responses.retrieve("resp_1")
    (event,) = written.events
    assert event["output_tokens"] == 900


def test_a_fetch_that_fails_is_no_call(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.answers = [Answer(404, b'{"error": {"message": "no", "type": "invalid_request_error"}}')]
    with taximeter.instrument(client_for("openai", provider.url)) as client, pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")
    assert written.lines == []


JOBS: list[tuple[Callable[[Any], Any], dict[str, Any], str, dict[str, Any]]] = [
    (
        lambda client: client.batches.retrieve("batch_1"),
        {
            "id": "batch_1",
            "object": "batch",
            "endpoint": "/v1/responses",
            "status": "completed",
            "completion_window": "24h",
            "created_at": 1,
            "input_file_id": "f",
            "output_file_id": "file_1",
            "model": "gpt-5",
            "usage": {"input_tokens": 70, "output_tokens": 8, "total_tokens": 78},
        },
        "file_1",
        {"input_tokens": 70, "output_tokens": 8, "service_tier": "batch", "response_model": "gpt-5"},
    ),
    (
        lambda client: client.get("/videos/video_1", cast_to=object),
        {
            "id": "video_1",
            "object": "video",
            "status": "completed",
            "model": "sora-2",
            "seconds": "8",
            "size": "720x1280",
            "progress": 100,
            "created_at": 1,
        },
        "video_1",
        {"units": {"video_seconds": 8}, "response_model": "sora-2", "operation": "video_generation"},
    ),
]


@pytest.mark.parametrize(("retrieve", "job", "usage_id", "expected"), JOBS, ids=["batch", "video"])
def test_a_job_counts_once_when_it_is_done(
    retrieve: Callable[[Any], Any],
    job: dict[str, Any],
    usage_id: str,
    expected: dict[str, Any],
    provider: Provider,
    written: Written,
    client_for: ClientFor,
) -> None:
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        for answer in ({**job, "status": "in_progress", "usage": None}, job, job):
            says(provider, answer)
            retrieve(client)
    (event,) = written.events
    assert event["event_id"] == usage_event_id("openai", usage_id)
    assert {name: event.get(name) for name in expected} == expected


def result(number: int, **said: Any) -> str:
    message: dict[str, Any] = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": number, "output_tokens": 2},
    }
    return json.dumps({"custom_id": str(number), "result": {"type": "succeeded", "message": message, **said}})


@pytest.mark.parametrize(
    ("asynchronous", "content_type"), [(False, "application/x-jsonl"), (True, "application/x-ndjson")]
)
def test_every_result_of_a_batch_of_anthropics_counts_once(
    asynchronous: bool, content_type: str, provider: Provider, written: Written, client_for: ClientFor
) -> None:
    path = "/v1/messages/batches/msgbatch_1/results"
    batch = {
        "id": "msgbatch_1",
        "type": "message_batch",
        "processing_status": "ended",
        "created_at": "2026-11-30",
        "results_url": provider.url + path,
        "expires_at": "2026-12-30",
        "ended_at": None,
        "archived_at": None,
        "request_counts": {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0},
    }
    lines = Answer(body="\n".join([result(11), result(12)]).encode(), content_type=content_type)
    client = taximeter.instrument(client_for("anthropic", provider.url, asynchronous))

    async def read() -> None:
        for _ in range(2):
            provider.answers = [Answer(body=json.dumps(batch).encode()), lines]
            if asynchronous:
                async for _ in await client.messages.batches.results("msgbatch_1"):
                    pass
            else:
                list(client.messages.batches.results("msgbatch_1"))
        if asynchronous:
            await client.close()
        else:
            client.close()

    asyncio.run(read())
    events = {event["event_id"]: event for event in written.events}
    assert list(events) == [derived_id("usage", "anthropic", path, str(number)) for number in range(2)]
    assert [event["input_tokens"] for event in events.values()] == [11, 12]
    assert {event["service_tier"] for event in events.values()} == {"batch"}


def test_pages_of_results_are_told_apart(provider: Provider, written: Written, client_for: ClientFor) -> None:
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        for number, token in ((1, None), (2, "t"), (2, "t")):
            usage = {"prompt_tokens": number, "completion_tokens": 1, "total_tokens": number + 1}
            answer = {"id": f"c{number}", "model": "grok-4", "choices": [], "usage": usage}
            says(provider, {"results": [{"batch_result": {"response": {"chat_get_completion": answer}}}]})
            asked = {} if token is None else {"params": {"pagination_token": token}}
            client.get("/batches/b1/results", cast_to=object, options=asked)
    assert len({event["event_id"] for event in written.events}) == 2
    assert [event["input_tokens"] for event in written.events] == [1, 2, 2]
