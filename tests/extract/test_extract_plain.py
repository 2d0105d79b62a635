"""The short ways through plain requests and answers give what the general ones give, or nothing; the gist of an answer
gives what the answer gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_answers import Case, cases, parsed

from taximeter.extract import Flavour, Reading, flavour_for
from taximeter.extract.payload import MOST_PLAIN_MESSAGES, characters
from taximeter.extract.plain import Plain

WHOLE = [case for case in cases() if not case.stream and case.flavour.read_plain is not None]


def flavour(kind: str, path: str) -> Flavour:
    found = flavour_for(kind, "POST", path)
    assert found is not None
    return found


CHAT = flavour("openai", "/v1/chat/completions")
RESPONSES = flavour("openai", "/v1/responses")
MESSAGES = flavour("anthropic", "/v1/messages")

CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3, "accepted_prediction_tokens": 0},
    },
    "service_tier": "default",
}
RESPONSE = {
    "id": "resp_1",
    "model": "gpt-4o-mini-2024-07-18",
    "status": "completed",
    "error": None,
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
    "usage": {
        "input_tokens": 19,
        "output_tokens": 10,
        "total_tokens": 29,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 3},
    },
    "service_tier": "default",
}
MESSAGE = {
    "id": "msg_1",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hi"}],
    "usage": {
        "input_tokens": 19,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
        "output_tokens": 10,
        "service_tier": "standard",
        "inference_geo": "not_available",
        "server_tool_use": None,
    },
}
ANSWERS = [(CHAT, CHAT_ANSWER), (RESPONSES, RESPONSE), (MESSAGES, MESSAGE)]


def short(flavour: Flavour, answer: object) -> Plain | None:
    assert flavour.read_plain is not None
    return flavour.read_plain(answer)


def agree(flavour: Flavour, answer: object) -> bool:
    plain = short(flavour, answer)
    general = flavour.read_body(200, answer)
    return (plain is None or plain.reading() == general) and gist_agrees(flavour, answer, general)


def gist_agrees(flavour: Flavour, answer: object, general: Reading) -> bool:
    """Whether there is no gist, or its reading is that of the answer, even after it was spooled."""
    spooled = None if flavour.gist is None else flavour.gist(answer, "")
    if spooled is None:
        return True
    return flavour.read_answer(200, json.loads(spooled)) == general and general.usage.known and general.finished


@pytest.mark.parametrize(("flavour", "answer"), ANSWERS, ids=lambda value: getattr(value, "name", ""))
def test_a_plain_answer_is_read_the_short_way(flavour: Flavour, answer: dict[str, Any]) -> None:
    assert short(flavour, answer) is not None
    assert flavour.gist is not None
    assert flavour.gist(answer, "") is not None
    assert agree(flavour, answer)


@pytest.mark.parametrize(
    ("kept", "plain"),
    [
        (None, True),
        ({}, True),
        ({"ttl_30m_tokens": 4, "ttl_12h_tokens": 0}, True),
        ({"ttl_30m_tokens": 1, "ttl_12h_tokens": 3}, False),
        ({"ttl_30m_tokens": 0, "ttl_12h_tokens": 4}, False),
        ({"ttl_30m_tokens": 0, "ttl_12h_tokens": 5}, False),
        ([4], False),
    ],
)
def test_what_is_kept_longer_is_read_the_long_way(kept: object, plain: bool) -> None:
    details = {"cached_tokens": 4, "cache_write_tokens": 4, "cache_write_tokens_details": kept}
    usage = {"input_tokens": 19, "output_tokens": 10, "total_tokens": 29, "input_tokens_details": details}
    answer = {**RESPONSE, "usage": usage}
    assert (short(RESPONSES, answer) is not None) is plain
    assert agree(RESPONSES, answer)


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.id)
def test_a_recorded_answer_reads_the_same_both_ways(case: Case) -> None:
    assert agree(case.flavour, parsed(case.body))


def test_most_recorded_answers_are_plain() -> None:
    plain = [case for case in WHOLE if case.status == 200 and short(case.flavour, parsed(case.body)) is not None]
    assert {case.flavour.name for case in plain} >= {"openai.chat", "openai.responses", "anthropic.messages"}
    assert len(plain) > 20


# -- anything at all ------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 40),
    st.sampled_from([10**12, 10**12 + 1, 10**19, 29.0, 1.5, float("nan")]),
    st.sampled_from(["", "name", "n" * 600, "é", "\ud800", "queued", "completed", "not_available", "eu"]),
    st.sampled_from([[], {}, [1], {"type": "x"}, {"cost": 0.5}, {"cached_tokens": 30}, {"total_cost": 1}]),
    st.lists(st.sampled_from([{"type": "message"}, {"type": "web_search_call"}, {}, "text"]), max_size=3),
)
KEYS = st.sampled_from(
    [
        *("error", "id", "model", "service_tier", "status", "output", "usage", "tool_usage", "choices", "content"),
        *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens"),
        *("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"),
        *("cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens", "image_tokens", "video_tokens"),
        *("cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "ephemeral_1h_input_tokens"),
        *("ephemeral_5m_input_tokens", "server_tool_use", "inference_geo", "iterations", "cost", "num_cached_tokens"),
        *("cost_in_usd_ticks", "prompt_cache_hit_tokens", "prompt_audio_seconds", "server_side_tool_usage_details"),
    ]
)
CHANGES = st.lists(st.tuples(st.sampled_from(["", "usage", "details"]), KEYS, ODD), max_size=4)


def changed(answer: dict[str, Any], changes: list[tuple[str, str, object]], dropped: set[str]) -> dict[str, Any]:
    """A copy of an answer with some keys set and some left out, at the top, in its usage or in the details there."""
    answer = json.loads(json.dumps(answer))
    usage = answer["usage"]
    details = [value for value in usage.values() if isinstance(value, dict)]
    for place, key, value in changes:
        for holder in {"": [answer], "usage": [usage], "details": details}[place]:
            if key in holder or not place or key.endswith(("_tokens", "details")) or value is None:
                holder[key] = value
    for holder in (answer, usage, *details):
        for key in dropped & holder.keys():
            del holder[key]
    return answer


@pytest.mark.parametrize(("flavour", "answer"), ANSWERS, ids=lambda value: getattr(value, "name", ""))
@settings(max_examples=400, deadline=None)
@given(changes=CHANGES, dropped=st.sets(KEYS, max_size=3))
def test_an_odd_answer_reads_the_same_both_ways(
    flavour: Flavour, answer: dict[str, Any], changes: list[tuple[str, str, object]], dropped: set[str]
) -> None:
    assert agree(flavour, changed(answer, changes, dropped))


COUNT = st.one_of(st.none(), st.integers(-1, 50))


@settings(max_examples=300, deadline=None)
@given(read=COUNT, written=COUNT, total=COUNT, details=st.dictionaries(KEYS, COUNT), other=st.dictionaries(KEYS, COUNT))
def test_counts_of_a_chat_agree(
    read: int | None, written: int | None, total: int | None, details: dict[str, int], other: dict[str, int]
) -> None:
    usage: dict[str, object] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": total}
    usage |= {"prompt_tokens_details": details, "completion_tokens_details": other}
    assert agree(CHAT, {**CHAT_ANSWER, "usage": usage})


@given(st.one_of(ODD, st.dictionaries(KEYS, ODD)))
def test_what_is_no_answer_reads_the_same_both_ways(answer: object) -> None:
    assert all(agree(flavour, answer) for flavour, _ in ANSWERS)


# -- requests -------------------------------------------------------------------------------------------------

CONTENT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["data:image/png;base64,AAAA", "data: of mine"]),
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)}), max_size=2),
    st.integers(),
    st.none(),
)
MESSAGE_LISTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "system", {"text": "odd"}]), "content": CONTENT}),
        st.fixed_dictionaries({"role": st.just("tool"), "content": CONTENT, "name": st.text(max_size=5)}),
        st.fixed_dictionaries({"content": CONTENT, "note": st.text(max_size=5)}),
        st.text(max_size=9),
    ),
    max_size=5,
)


@given(MESSAGE_LISTS)
def test_a_list_of_messages_measures_like_the_same_list_in_an_object(messages: list[Any]) -> None:
    assert characters(messages) == characters({"messages": messages})


def test_a_very_long_conversation_is_measured_up_to_the_bound_of_nodes() -> None:
    messages = [{"role": "user", "content": "four"}] * (MOST_PLAIN_MESSAGES + 1)
    assert characters(messages) == 4 * len(messages)
