"""What a call is called: its operation and model, which a plain answer must not need the whole request for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from replay import Written, case

from taximeter.extract import Flavour
from taximeter.extract.registry import routes_of
from taximeter.sdk import meter as meters
from taximeter.sdk.call import Call
from taximeter.sdk.hosts import Host

FLAVOURS = [route.flavour for route in routes_of("openai") if not route.flavour.polled]
PLAIN = {flavour.name: flavour for flavour in FLAVOURS if flavour.read_plain is not None}
CHAT = PLAIN["openai.chat"]
ANSWER = json.loads(case("openai-chat-cached-4omini")["response"]["body"])


def answered(call: Call) -> None:
    call.leave(meters.meter())
    call.headed(200, 1)
    call.answered(ANSWER)


@pytest.mark.parametrize("flavour", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("body", [{}, {"stream": False}, {"stream": True}], ids=str)
def test_a_flavour_with_plain_answers_says_what_its_facts_would_say(flavour: Flavour, body: dict[str, Any]) -> None:
    facts = flavour.read_request({"model": "gpt-4o", **body})
    assert (flavour.operation, "gpt-4o") == (facts.operation, facts.model)
    assert facts.stream is body.get("stream", False)


def test_a_request_that_its_owner_changes_while_it_is_under_way_keeps_its_model(written: Written) -> None:
    shared = {"model": "gpt-4o", "messages": []}
    for _ in range(2):
        call = Call(meters.meter(), CHAT, shared, Host("openai"))
        shared["model"] = "gpt-4o-mini"
        answered(call)
        shared["model"] = "gpt-4o"
    assert [event["request_model"] for event in written.events] == ["gpt-4o", "gpt-4o"]


@pytest.mark.parametrize(
    ("asked", "told"), [("gpt-4o", "gpt-4o"), ("ü", "ü"), ("x" * 600, "x" * 512), ("", None), (7, None), ([], None)]
)
def test_whatever_is_asked_for_as_a_model_is_told_as_text_or_not_at_all(
    asked: object, told: str | None, written: Written
) -> None:
    for _ in range(2):
        answered(Call(meters.meter(), CHAT, {"model": asked}, Host("openai")))
    assert [event.get("request_model") for event in written.events] == [told, told]


def test_a_model_that_only_the_path_names_is_told(written: Written) -> None:
    named = CHAT.for_model("gpt-4o")
    answered(Call(meters.meter(), named, {}, Host("azure")))
    answered(Call(meters.meter(), CHAT, {}, Host("azure")))
    assert [event.get("request_model") for event in written.events] == ["gpt-4o", None]


def test_an_answer_that_tells_what_it_used_needs_no_request_and_another_one_does(written: Written) -> None:
    read = list[object]()

    class Body(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            read.append(key)
            return super().__contains__(key)

    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 400}]}
    answered(Call(meters.meter(), CHAT, Body(body), Host("openai")))
    assert read == []
    call = Call(meters.meter(), CHAT, Body(body), Host("openai"))
    call.headed(200, 1)
    call.answered({"choices": [{"message": {"content": "y" * 40}}]})
    event = written.events[-1]
    assert (event["input_tokens"], event["output_tokens"], event["usage_estimated"]) == (100, 10, True)
