"""What is told later: answers that are fetched with GET, any number of times, count once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import SSE_HEADERS, Play, Rig, Stage, running, stream, whole

from taximeter.gateway import Provider

CASES_FOLDER = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"


def case_of(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((CASES_FOLDER / f"{name}.json").read_text())
    return case


def played(case: dict[str, Any]) -> Play:
    return whole(case["response"]["body"].encode(), 200, case["response"]["headers"]["content-type"])


def path_of(case: dict[str, Any]) -> str:
    return f"/{case['provider']}{case['request']['path']}"


def fetch(rig: Rig, case: dict[str, Any]) -> None:
    rig.plays(played(case))
    reply = rig.ask(path_of(case), method="GET", x_taximeter_user="u")
    assert reply.body == case["response"]["body"].encode()


DONE = [
    "openai-responses-background-done",
    "openai-batch-done",
    "openai-batch-output-file",
    "openai-assistants-run-done",
    "anthropic-batch-results",
]


@pytest.mark.parametrize("name", DONE)
def test_polled_three_times_it_counts_once_with_all_its_items(name: str) -> None:
    case = case_of(name)
    with running() as rig, running() as restarted:
        for _ in range(3):
            fetch(rig, case)
        fetch(restarted, case)
        events, later = rig.log.of(None), restarted.log.of(None)
        assert rig.gateway.failures == {}
    expected = case["expected"].get("items", [case["expected"]])
    counted = [(event["input_tokens"], event["output_tokens"], event["response_model"]) for event in events]
    assert counted == [(item["input_tokens_total"], item["output_tokens_total"], item["model"]) for item in expected]
    assert [event["event_id"] for event in events] == [event["event_id"] for event in later]
    assert len({event["event_id"] for event in events}) == len(expected)
    assert {(event["status"], event["user_id"], event["api_key_id"]) for event in events} == {("ok", "u", "key_1")}


def test_an_answer_that_is_queued_is_free_until_it_is_told() -> None:
    queued = case_of("openai-responses-background-queued")
    with running() as rig:
        rig.plays(played(queued))
        rig.ask(path_of(queued), queued["request"]["body"])
        rig.ask("/openai/v1/responses/resp_1", method="GET")
        (event,) = rig.log.of(None)
    assert (event["status"], event["not_billed"], event["response_id"][:7]) == ("ok", True, "resp_0e")


def test_a_response_that_its_post_told_is_not_counted_when_it_is_fetched() -> None:
    done = case_of("openai-responses-background-done")
    body = json.loads(done["response"]["body"])
    with running() as rig:
        rig.plays(whole(json.dumps({**body, "background": False}).encode()))
        rig.ask(path_of(done), method="GET")
        assert rig.log.lines == []
        completed = json.dumps({"type": "response.completed", "response": body}).encode()
        rig.plays(stream([b"event: response.completed\ndata: " + completed + b"\n\n"]))
        rig.ask("/openai/v1/responses", {"model": "m", "background": True, "stream": True})
        fetch(rig, done)
        assert len(rig.log.of(None)) == 1


@pytest.mark.parametrize(("told", "counted"), [(True, 0), (False, 1)])
def test_what_a_stream_told_before_a_restart_is_not_counted_when_it_is_fetched(told: bool, counted: int) -> None:
    done = case_of("openai-responses-background-done")
    asked: list[tuple[str, str]] = []

    def known_answers(provider: str, response_id: str) -> bool:
        asked.append((provider, response_id))
        return told

    with running(known_answers=known_answers) as rig:
        for _ in range(2):
            fetch(rig, done)
        assert len(rig.log.of(None)) == counted
    assert asked == [("openai", json.loads(done["response"]["body"])["id"])], "once: then it is remembered"


def test_a_background_response_may_be_fetched_as_a_stream() -> None:
    done = case_of("openai-responses-background-done")
    body = json.loads(done["response"]["body"])
    event = b"data: " + json.dumps({"type": "response.completed", "response": body}).encode() + b"\n\n"
    with running() as rig:
        rig.plays(stream([event[:33], event[33:]]))
        rig.ask(path_of(done) + "?stream=true", method="GET")
        assert [event["input_tokens"] for event in rig.log.of(None)] == [15]


ASKED_IN_BACKGROUND = {"model": "m", "background": True, "stream": True, "input": "x" * 40}


def events_of(case: dict[str, Any]) -> list[bytes]:
    """The stream of a background response: that it is under way, some of its text, and all of it."""
    body = json.loads(case["response"]["body"])
    begun = {**body, "status": "in_progress", "usage": None, "output": []}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_text.delta", "delta": "t" * 400},
        {"type": "response.completed", "response": body},
    ]
    return [b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n" for event in told]


@pytest.mark.parametrize("how", ["", "?stream=true", "?stream=true&starting_after=2"])
def test_a_background_stream_that_broke_off_is_told_by_the_fetch_once(how: str) -> None:
    done = case_of("openai-responses-background-done")
    created, delta, completed = events_of(done)
    with running() as rig:
        rig.plays(stream([created, delta], cut=True))
        assert not rig.ask("/openai/v1/responses", ASKED_IN_BACKGROUND).complete
        (broken,), (begun,) = rig.log.of(None), rig.log.of("begin")
        for _ in range(2):
            rig.plays(stream([delta, completed]) if how else played(done))
            rig.ask(path_of(done) + how, method="GET")
        _, *fetched = rig.log.of(None)
    assert (broken["status"], broken["not_billed"], "usage_estimated" in broken) == ("interrupted", True, False)
    assert not {"input_tokens", "output_tokens"} & broken.keys()
    assert begun["told_later"], "a gateway that is killed now leaves it to the fetch, too"
    assert [(event["input_tokens"], event["response_id"]) for event in fetched] == [(15, broken["response_id"])]


def test_a_stream_that_did_not_run_in_the_background_is_estimated_when_it_breaks_off() -> None:
    created, delta, _ = events_of(case_of("openai-responses-background-done"))
    with running() as rig:
        rig.plays(stream([created, delta], cut=True))
        rig.ask("/openai/v1/responses", {**ASKED_IN_BACKGROUND, "background": False})
        (event,) = rig.log.of(None)
        assert "told_later" not in rig.log.of("begin")[0]
    assert (event["output_tokens"], event["usage_estimated"]) == (100, True)


@pytest.mark.parametrize("left", ["by the caller", "by the provider"])
def test_a_fetched_stream_that_is_left_after_it_told_its_usage_counts(left: str) -> None:
    done = case_of("openai-responses-background-done")
    *_, completed = events_of(done)

    async def told_and_open(stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        await stage.chunk(completed)
        if left == "by the provider":
            stage.break_off()
        await stage.until_gone()

    with running() as rig:
        rig.plays(told_and_open)
        with rig.open(path_of(done) + "?stream=true", method="GET") as connection:
            received = b""
            while b"response.completed" not in received:
                received += connection.recv(65536)
        (event,) = rig.log.wait_for(1)
    assert event["input_tokens"] == 15


INTERACTION = {
    "id": "v1_ChdXd3ZjYWJjZGVmMDEyMzQ1Njc4OQ",
    "model": "gemini-2.5-flash",
    "status": "completed",
    "usage": {"total_input_tokens": 7, "total_output_tokens": 3},
}


@pytest.mark.parametrize("told", ["whole", "as a stream", "by the fetch alone"])
def test_an_interaction_counts_once_whoever_tells_it(told: str) -> None:
    def google(port: int) -> list[Provider]:
        return [Provider("google", "gemini", f"http://127.0.0.1:{port}", "k")]

    path = "/google/v1beta/interactions"
    delta = {"event_type": "content.delta", "delta": {"type": "text", "text": "t" * 400}}
    events = [
        {"event_type": "interaction.start", "interaction": {**INTERACTION, "status": "in_progress", "usage": None}},
        delta,
        {"event_type": "interaction.complete", "interaction": INTERACTION},
    ]
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    broken = told == "by the fetch alone"
    with running(more_providers=google) as rig:
        rig.plays(whole(json.dumps(INTERACTION).encode()) if told == "whole" else stream(pieces[: 2 if broken else 3]))
        rig.ask(path, {"model": "gemini-2.5-flash", "input": "hi", "stream": told != "whole", "background": broken})
        rig.plays(whole(json.dumps(INTERACTION).encode()))
        for _ in range(2):
            rig.ask(f"{path}/{INTERACTION['id']}", method="GET")
        events_of_it = rig.log.of(None)
    counted = [event.get("input_tokens") for event in events_of_it]
    assert counted == ([None, 7] if broken else [7])


@pytest.mark.parametrize("names", [DONE[1:3], DONE[2:0:-1]])
def test_a_batch_and_the_file_of_its_results_count_once(names: list[str]) -> None:
    with running() as rig:
        for name in names:
            fetch(rig, case_of(name))
        assert sum(event["input_tokens"] for event in rig.log.of(None)) == 36


@pytest.mark.parametrize("first", DONE[1:3])
def test_what_was_stored_before_the_start_is_not_counted_again_in_its_other_form(first: str) -> None:
    with running() as before:
        fetch(before, case_of(first))
        stored = {event["event_id"] for event in before.log.of(None)}
    with running(known_ids=stored.intersection) as rig:
        for name in DONE[1:3]:
            fetch(rig, case_of(name))
        assert rig.log.lines == []


def test_a_part_of_a_file_is_not_counted_and_what_was_lost_is_written_the_next_time() -> None:
    case = case_of("anthropic-batch-results")
    with running() as rig:
        rig.plays(whole(case["response"]["body"].encode()[:-700], 206, "application/x-jsonl"))
        rig.ask(path_of(case), method="GET")
        assert rig.log.lines == []
        rig.log.full = True
        fetch(rig, case)
        assert rig.gateway.failures == {"event_lost": 2}
        rig.log.full = False
        fetch(rig, case)
        assert len(rig.log.of(None)) == 2
