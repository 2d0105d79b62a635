"""Answers fetched later, batches, and sessions: several calls in one body, and usage that is told more than once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.usage import LARGEST_COUNT, Usage
from taximeter.extract import Flavour, Reading, flavour_for
from taximeter.extract.several import MOST_MODELS, together

COUNTED = Usage(input_tokens=3, output_tokens=2)
CHAT = {"id": "c1", "object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
CLAUDE = {"type": "message", "id": "msg_1", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 2}}
GEMINI = {"modelVersion": "g", "responseId": "r", "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}}


def polled(kind: str, path: str) -> Flavour:
    found = flavour_for(kind, "GET", path, polled=True)
    assert found is not None
    return found


def lines(*values: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def read(flavour: Flavour, *values: Mapping[str, Any]) -> Reading:
    reader = flavour.stream()
    reader.feed(lines(*values))
    return reader.reading()


# ── told again ───────────────────────────────────────────────────────────────────────────────────────────────

AGAIN = [
    ("openai", "/v1/responses/resp_1"),
    ("openai", "/v1/chat/completions/chatcmpl_1"),
    ("openai", "/v1/batches/batch_1"),
    ("openai", "/v1/files/file-1/content"),
    ("openai", "/v1/threads/t/runs/r"),
    ("anthropic", "/v1/messages/batches/b/results"),
    ("gemini", "/v1beta/batches/b"),
    ("gemini", "/v1beta/interactions/i"),
    ("gemini", "/download/v1beta/files/f:download"),
    ("xai", "/v1/batches/b/results"),
    ("xai", "/v1/chat/deferred-completion/r"),
    ("xai", "/v1/videos/v"),
    ("openai", "/v1/videos/video_1"),
    ("openai", "/v1/async/sonar/r"),
    ("openai", "/async/chat/completions/r"),
    ("openai", "/api/paas/v4/async-result/r"),
]


@pytest.mark.parametrize(("kind", "path"), AGAIN)
def test_what_tells_an_earlier_calls_usage_is_found_only_when_asked_for(kind: str, path: str) -> None:
    assert flavour_for(kind, "GET", path) is None
    assert polled(kind, path).polled


def test_a_response_keeps_its_id_from_the_first_answer_to_the_last_poll() -> None:
    post = flavour_for("openai", "POST", "/v1/responses")
    assert post is not None
    queued = post.read_answer(200, {"id": "resp_1", "status": "queued", "usage": None})
    usage = {"input_tokens": 3, "output_tokens": 2}
    body = {"id": "resp_1", "status": "completed", "background": True, "usage": usage}
    poll = polled("openai", "/v1/responses/resp_1")
    done = poll.read_answer(200, body)
    assert (queued.finished, queued.response_id, done.finished, done.response_id) == (False, "resp_1", True, "resp_1")
    assert done.usage == COUNTED
    assert not poll.tells(poll.read_answer(200, {**body, "background": False})), "the answer to its POST told it"


RESEARCH = {
    "id": "answer_1",
    "model": "sonar-deep-research",
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 500,
        "citation_tokens": 700,
        "num_search_queries": 4,
        "reasoning_tokens": 3000,
        "cost": {
            "citation_tokens_cost": 0.0014,
            "reasoning_tokens_cost": 0.009,
            "search_queries_cost": 0.02,
            "total_cost": 0.0344,
        },
    },
}


@pytest.mark.parametrize("path", ["/async/chat/completions", "/v1/async/sonar"])
def test_research_that_is_fetched_later_costs_nothing_until_it_is_there(path: str) -> None:
    post = flavour_for("openai", "POST", path)
    assert post is not None
    wish = {"request": {"model": "sonar-deep-research", "messages": [{"role": "user", "content": "why"}]}}
    created = {"id": "job_1", "model": "sonar-deep-research", "status": "CREATED", "response": None}
    assert post.read_request(wish).model == "sonar-deep-research"
    assert post.read_answer(200, created).not_billed
    get = polled("openai", f"{path}/job_1")
    assert not get.read_answer(200, {**created, "status": "IN_PROGRESS"}).finished
    done = get.read_answer(200, {**created, "status": "COMPLETED", "response": RESEARCH})
    at_once = polled("openai", "/v1/chat/completions/answer_1").read_answer(200, RESEARCH)
    assert (done.finished, done.usage_id, done.response_model) == (True, "job_1", "sonar-deep-research")
    assert done.usage == at_once.usage
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.units) == (709, 3500, {"web_searches": 4})


def test_research_that_failed_is_not_counted() -> None:
    failed = {"id": "job_1", "status": "FAILED", "response": None, "error_message": "gave up"}
    assert not polled("openai", "/v1/async/sonar/job_1").read_answer(200, failed).usage.known


VIDEO = {
    "id": "video_1",
    "object": "video",
    "model": "sora-2-pro",
    "status": "completed",
    "progress": 100,
    "created_at": 1_790_000_000,
    "completed_at": 1_790_000_090,
    "expires_at": 1_790_003_690,
    "seconds": "8",
    "size": "1280x720",
    "remixed_from_video_id": None,
    "error": None,
}
VIDEOS = [
    ({}, {"video_seconds": 8}),
    ({"size": "720x1280", "seconds": "12"}, {"video_seconds": 12}),
    ({"size": "1792x1024"}, {"video_seconds_1024p": 8}),
    ({"size": "1024x1792", "remixed_from_video_id": "video_0"}, {"video_seconds_1024p": 8}),
    ({"size": "1920x1080"}, {"video_seconds_1080p": 8}),
    ({"size": None, "seconds": 4}, {"video_seconds": 4}),
    ({"seconds": "long"}, {}),
    ({"seconds": "-8"}, {}),
    ({"seconds": "0"}, {}),
    ({"seconds": "1e9"}, {}),
]


@pytest.mark.parametrize(("said", "units"), VIDEOS)
def test_a_video_counts_its_seconds_by_its_shorter_side(said: dict[str, Any], units: dict[str, int]) -> None:
    read = polled("openai", "/v1/videos/video_1").read_answer(200, {**VIDEO, **said})
    assert read.usage == Usage(units=units)
    assert (read.finished, read.response_model, read.response_id) == (True, "sora-2-pro", "video_1")


NO_VIDEO = [
    ({"status": "queued", "progress": 0}, None),
    ({"status": "in_progress", "progress": 40}, None),
    ({"status": "failed", "error": {"code": "moderation_blocked", "message": "no"}}, "moderation_blocked"),
]


@pytest.mark.parametrize(("said", "error"), NO_VIDEO)
def test_a_video_that_is_not_there_costs_nothing(said: dict[str, Any], error: str | None) -> None:
    read = polled("openai", "/v1/videos/video_1").read_answer(200, {**VIDEO, **said})
    assert (read.finished, read.usage.known, read.error_type) == (False, False, error)


def test_videos_made_in_a_batch_are_counted_by_their_seconds() -> None:
    file = polled("openai", "/v1/files/file-1/content")
    line = {"custom_id": "1", "response": {"status_code": 200, "body": VIDEO}, "error": None}
    (made,) = read(file, line).items
    assert (made.usage, made.service_tier) == (Usage(units={"video_seconds": Decimal(8)}), "batch")


def test_a_fetched_answer_that_is_no_video_of_openai_is_read_as_xais() -> None:
    grok = {"status": "done", "model": "grok-imagine-video", "usage": {"cost_in_usd_ticks": 5_000_000_000}}
    read = polled("openai", "/v1/videos/v").read_answer(200, grok)
    assert (read.finished, read.reported_cost_usd) == (True, Decimal("0.5"))
    assert not polled("openai", "/v1/videos/v").read_answer(202, {"status": "pending"}).finished


def test_a_batch_and_the_file_of_its_results_are_one_usage() -> None:
    body = {"id": "batch_1", "status": "completed", "output_file_id": "file-1", "usage": {"input_tokens": 3}}
    batch = polled("openai", "/v1/batches/batch_1").read_answer(200, body)
    file = polled("openai", "/v1/files/file-1/content")
    assert batch.usage_id == file.usage_id == "file-1"
    assert (batch.service_tier, file.several) == ("batch", True)


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing"])
def test_a_batch_that_runs_says_nothing_yet(status: str) -> None:
    body = {"id": "batch_1", "status": status, "usage": {"input_tokens": 0}}
    reading = polled("openai", "/v1/batches/batch_1").read_answer(200, body)
    assert (reading.finished, reading.usage) == (False, Usage())


@pytest.mark.parametrize(("status", "finished"), [("queued", False), ("in_progress", False), ("completed", True)])
def test_an_assistants_run_is_finished_when_it_has_ended(status: str, finished: bool) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_token_details": {"cached_tokens": 1}}
    body = {"id": "run_1", "object": "thread.run", "status": status, "usage": usage if finished else None}
    reading = polled("openai", "/v1/threads/t/runs/run_1").read_answer(200, body)
    assert (reading.finished, reading.usage.cache_read_tokens) == (finished, 1 if finished else None)


def test_an_assistants_stream_ends_with_its_run() -> None:
    post = flavour_for("openai", "POST", "/v1/threads/t/runs")
    assert post is not None
    reader = post.stream()
    delta = {"object": "thread.message.delta", "delta": {"content": [{"type": "text", "text": {"value": "four"}}]}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    run = {"id": "run_1", "object": "thread.run", "model": "m", "status": "completed", "usage": usage}
    step = {"object": "thread.run.step", "usage": {"prompt_tokens": 99, "completion_tokens": 99}}
    for event in ({**run, "status": "queued", "usage": None}, delta, step, run):
        reader.feed(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n")
    reading = reader.reading()
    assert (reading.usage, reading.output_characters, reading.finished, reader.finished) == (COUNTED, 4, True, True)


# ── results of batches ───────────────────────────────────────────────────────────────────────────────────────

OPENAI = polled("openai", "/v1/files/file-1/content")
ANTHROPIC = polled("anthropic", "/v1/messages/batches/b/results")
GOOGLE = polled("gemini", "/download/v1beta/files/f:download")


def openai_line(body: Mapping[str, Any], status: int = 200) -> dict[str, Any]:
    return {"id": "b1", "custom_id": "1", "response": {"status_code": status, "body": body}, "error": None}


RESPONSE = {"object": "response", "id": "r1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}}
EMBEDDING = {"object": "list", "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
RESULTS = [
    (OPENAI, openai_line(CHAT), COUNTED, None),
    (OPENAI, openai_line(RESPONSE), COUNTED, None),
    (OPENAI, openai_line(EMBEDDING), Usage(input_tokens=3, output_tokens=0), None),
    (OPENAI, openai_line({"error": {"type": "invalid_request_error"}}, 400), Usage(), "invalid_request_error"),
    (OPENAI, {"custom_id": "1", "response": None, "error": {"code": "batch_expired"}}, Usage(), "batch_expired"),
    (ANTHROPIC, {"custom_id": "1", "result": {"type": "succeeded", "message": CLAUDE}}, COUNTED, None),
    (
        ANTHROPIC,
        {"custom_id": "1", "result": {"type": "errored", "error": {"error": {"type": "invalid_request"}}}},
        Usage(),
        "invalid_request",
    ),
    (ANTHROPIC, {"custom_id": "1", "result": {"type": "expired"}}, Usage(), "expired"),
    (GOOGLE, {"key": "1", "response": GEMINI}, COUNTED, None),
    (GOOGLE, {"key": "1", "error": {"status": "INTERNAL"}}, Usage(), "INTERNAL"),
]


@pytest.mark.parametrize(("flavour", "line", "usage", "error"), RESULTS)
def test_a_result_is_a_call_at_the_batch_price(
    flavour: Flavour, line: dict[str, Any], usage: Usage, error: str | None
) -> None:
    (item,) = read(flavour, line).items
    assert (item.usage, item.error_type, item.not_billed, item.service_tier) == (usage, error, bool(error), "batch")


@pytest.mark.parametrize("flavour", [OPENAI, ANTHROPIC, GOOGLE])
@pytest.mark.parametrize("line", [{}, {"custom_id": "1", "method": "POST", "body": {}}, {"a": 1}])
def test_a_file_of_something_else_has_no_calls(flavour: Flavour, line: dict[str, Any]) -> None:
    reading = read(flavour, line)
    assert (reading.items, reading.usage) == ((), Usage())


@pytest.mark.parametrize(
    ("flavour", "content_type"),
    [
        (OPENAI, "application/octet-stream"),
        (OPENAI, "application/jsonl; charset=utf-8"),
        (ANTHROPIC, "application/x-jsonl"),
        (ANTHROPIC, "application/binary"),
    ],
)
def test_a_file_is_read_as_it_comes(flavour: Flavour, content_type: str) -> None:
    assert flavour.streams(content_type)
    assert not flavour.streams("application/json")


def test_items_can_be_taken_as_they_come_and_the_sum_stays() -> None:
    reader = OPENAI.stream()
    taken: list[Reading] = []
    whole = lines(*[openai_line({**CHAT, "id": f"c{n}"}) for n in range(5)]).rstrip()
    for at in range(0, len(whole), 100):
        reader.feed(whole[at : at + 100])
        taken += reader.take_items()
    assert len(taken) == 4, "the last line has no end yet"
    assert len(reader.reading().items) == 1, "and counts when asked for"
    reader.end()
    taken += reader.take_items()
    assert [item.response_id for item in taken] == [f"c{n}" for n in range(5)]
    assert (reader.reading().items, reader.reading().usage) == ((), Usage(input_tokens=15, output_tokens=10))


def test_a_finished_batch_of_gemini_holds_its_answers_twice() -> None:
    inlined = {"inlinedResponses": {"inlinedResponses": [{"response": GEMINI}, {"error": {"status": "INTERNAL"}}]}}
    flavour = polled("gemini", "/v1beta/batches/b")
    whole = flavour.read_answer(200, {"done": True, "metadata": {"output": inlined}, "response": inlined})
    assert (len(whole.items), whole.usage) == (2, COUNTED)
    assert [item.not_billed for item in whole.items] == [False, True]
    running = flavour.read_answer(200, {"metadata": {"state": "BATCH_STATE_RUNNING"}})
    assert (running.items, running.finished) == ((), False)


@pytest.mark.parametrize("told", [4, "4"])
def test_a_batch_of_gemini_may_hold_embeddings_that_count_their_own_tokens(told: object) -> None:
    one: dict[str, object] = {"response": {"embedding": {"values": [0.1]}, "tokenCount": told}}
    other = {"response": {"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 3}}}
    inlined = {"inlinedEmbedContentResponses": {"inlinedResponses": [one, other, {"error": {"status": "INTERNAL"}}]}}
    whole = polled("gemini", "/v1beta/batches/b").read_answer(200, {"done": True, "response": inlined})
    expected = [Usage(input_tokens=4, output_tokens=0), Usage(input_tokens=3, output_tokens=0), Usage()]
    assert [item.usage for item in whole.items] == expected
    assert [item.service_tier for item in whole.items] == ["batch"] * 3
    assert [item.not_billed for item in whole.items] == [False, False, True]


def test_a_job_of_mistral_that_is_done_holds_its_answers() -> None:
    flavour = polled("openai", "/v1/batch/jobs/j")
    outputs = [
        {"custom_id": "0", "response": {"status_code": 200, "body": {**CHAT, "id": "c0", "model": "m"}}, "error": None},
        {"custom_id": "1", "response": {"status_code": 200, "body": {**CHAT, "id": "c1", "model": "m"}}, "error": None},
        {"custom_id": "2", "response": None, "error": {"type": "invalid_request_error"}},
    ]
    whole = flavour.read_answer(200, {"status": "SUCCESS", "model": "m", "outputs": outputs})
    assert [(item.response_id, item.service_tier, item.not_billed) for item in whole.items] == [
        ("c0", "batch", False),
        ("c1", "batch", False),
        (None, "batch", True),
    ]
    assert (whole.usage, whole.service_tier) == (Usage(input_tokens=6, output_tokens=4), "batch")
    for status, finished in (("RUNNING", False), ("FAILED", True)):
        running = flavour.read_answer(200, {"status": status, "outputs": None, "output_file": None})
        assert (running.items, running.usage, running.finished) == ((), Usage(), finished)


def test_calls_together() -> None:
    one = Reading(
        response_model="a", usage=COUNTED, service_tier="batch", reported_cost_usd=Decimal("0.1"), finished=True
    )
    two = Reading(response_model="b", usage=COUNTED, service_tier="batch", region="us", finished=True)
    whole = together([one, two, one])
    assert whole.usage == Usage(input_tokens=9, output_tokens=6)
    assert whole.by_model == (("a", Usage(input_tokens=6, output_tokens=4)), ("b", COUNTED))
    assert (whole.service_tier, whole.region, whole.reported_cost_usd) == ("batch", None, Decimal("0.2"))
    assert together([]) == Reading()


def test_a_sum_stays_believable() -> None:
    huge = Reading(response_model="a", usage=Usage(input_tokens=LARGEST_COUNT), finished=True)
    whole = together([huge, huge])
    assert (whole.usage.input_tokens, whole.usage_conflict) == (LARGEST_COUNT, True)


def test_models_without_end_are_not_told_apart_without_end() -> None:
    whole = together(Reading(response_model=str(n), usage=COUNTED) for n in range(MOST_MODELS * 2))
    assert len(whole.by_model) == MOST_MODELS
    assert sum(usage.input_tokens or 0 for _, usage in whole.by_model) == whole.usage.input_tokens


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────


def session(kind: str, path: str) -> Flavour:
    found = flavour_for(kind, "GET", path)
    assert found is not None
    assert found.several
    return found


REALTIME = session("openai", "/v1/realtime?model=gpt-realtime")
LIVE = session("gemini", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k")
MODEL = {"type": "session.created", "session": {"model": "rt", "audio": {"input": {"transcription": {"model": "w"}}}}}
DONE = {"type": "response.done", "response": {"id": "r1", "usage": {"input_tokens": 3, "output_tokens": 2}}}


def test_each_response_of_a_session_is_a_call() -> None:
    reading = read(REALTIME, MODEL, {"type": "response.created"}, DONE, {"type": "response.created"}, DONE)
    assert [(item.usage, item.response_model, item.response_id) for item in reading.items] == [
        (COUNTED, "rt", "r1")
    ] * 2
    assert (reading.usage, reading.finished) == (Usage(input_tokens=6, output_tokens=4), True)


def test_a_session_cut_in_a_response_says_so() -> None:
    delta = {"type": "response.output_audio_transcript.delta", "delta": "four"}
    reading = read(REALTIME, MODEL, {"type": "response.created"}, delta)
    assert (reading.finished, reading.output_characters, reading.response_model) == (False, 4, "rt")


def test_cached_sound_is_a_part_of_both() -> None:
    details = {"audio_tokens": 30, "cached_tokens": 20, "cached_tokens_details": {"audio_tokens": 15}}
    usage = {
        "input_tokens": 40,
        "output_tokens": 9,
        "input_token_details": details,
        "output_token_details": {"audio_tokens": 8},
    }
    assert read(REALTIME, {"type": "response.done", "response": {"usage": usage}}).usage == Usage(
        input_tokens=40,
        cache_read_tokens=20,
        input_audio_tokens=30,
        cache_read_audio_tokens=15,
        output_tokens=9,
        output_audio_tokens=8,
    )


def test_transcripts_are_another_models_calls() -> None:
    heard = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "i1",
        "usage": {"type": "duration", "seconds": 3},
    }
    reading = read(REALTIME, MODEL, heard, DONE)
    transcript, response = reading.items
    assert (transcript.response_model, transcript.usage) == ("w", Usage(units={"audio_seconds": Decimal(3)}))
    assert (reading.usage, response.usage) == (COUNTED, COUNTED)


def test_a_session_that_only_transcribes_is_the_sum_of_its_transcripts() -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    heard = {"type": kind, "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 2}}
    assert read(REALTIME, heard, heard).usage == Usage(input_tokens=6, output_tokens=4)


def test_a_response_that_failed_is_not_billed() -> None:
    failed = {"status": "failed", "status_details": {"error": {"type": "server_error"}}}
    (item,) = read(REALTIME, {"type": "response.done", "response": failed}).items
    assert (item.error_type, item.not_billed) == ("server_error", True)


def test_turns_of_a_live_session_add_up() -> None:
    facts = LIVE.read_request({"setup": {"model": "models/gemini-live"}})
    reader = LIVE.stream(facts)
    turn = {"serverContent": {"turnComplete": True}, "usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 2}}
    reader.feed(lines({"setupComplete": {}}, turn, turn))
    reading = reader.reading()
    assert (len(reading.items), reading.usage) == (2, Usage(input_tokens=6, output_tokens=4))
    assert reading.response_model == facts.model == "gemini-live"


# ── interactions ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["interaction.complete", "interaction.completed"])
def test_an_interaction_streams(end: str) -> None:
    post = flavour_for("gemini", "POST", "/v1beta/interactions")
    assert post is not None
    reader = post.stream()
    usage = {"total_input_tokens": 3, "total_output_tokens": 1, "total_thought_tokens": 1}
    for event in (
        {"event_type": "interaction.created", "interaction": {"id": "i", "model": "g", "status": "in_progress"}},
        {"event_type": "step.delta", "delta": {"type": "text", "text": "four"}},
        {"event_type": "step.delta", "delta": {"type": "image", "data": "AAAA"}},
        {"event_type": end, "interaction": {"id": "i", "status": "completed", "usage": usage}},
    ):
        reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    reading = reader.reading()
    assert reading.usage == Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)
    assert (reading.output_characters, reading.response_model, reader.finished) == (4, "g", True)
