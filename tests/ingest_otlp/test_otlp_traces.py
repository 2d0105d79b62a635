"""Each call once: aggregates, calls seen twice, spans that come again, too late, or never."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_spans import (
    CHAT,
    NOW_US,
    S,
    after_grace,
    chat,
    counts,
    event,
    events,
    fresh_memory,
    immediate,
)

from taximeter.ingest.roads import Roads

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}


def run(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {**chat(input_tokens, output_tokens), **AGENT}


def sums(*found: dict[str, Any]) -> tuple[int, int]:
    return sum(one["input_tokens"] for one in found), sum(one["output_tokens"] for one in found)


# ── aggregates ──────────────────────────────────────────────────────────────────────────────────────────────────

RUN = (
    S(1, run(900, 120)),
    S(2, chat(400, 50), parent=1, at=1, until=3),
    S(3, chat(500, 70), parent=1, at=4, until=6),
)


@pytest.mark.parametrize("order", list(itertools.permutations(RUN)))
@pytest.mark.parametrize("together", [True, False])
def test_a_run_counts_as_its_calls_in_whatever_order_they_come(order: tuple[S, ...], together: bool) -> None:
    memory = fresh_memory()
    batches = [order] if together else [(span,) for span in order]
    found = [record for batch in batches for record in immediate(memory, *batch)]
    found += after_grace(memory)
    assert sorted(sums(one) for one in found) == [(400, 50), (500, 70)]
    assert not together or all(one["tags"]["agent"] == "planner" for one in found)


def test_a_run_without_calls_counts_after_the_grace_and_says_so() -> None:
    memory = fresh_memory()
    assert immediate(memory, S(1, run(900, 120))) == []
    assert memory.held == 1
    (found,) = after_grace(memory)
    assert sums(found) == (900, 120)
    assert found["tags"]["otlp_aggregate"] == "only"


def test_a_call_that_comes_too_late_is_in_the_aggregate_already() -> None:
    memory = fresh_memory()
    immediate(memory, RUN[0])
    found = after_grace(memory) + immediate(memory, RUN[1], RUN[2])
    assert sums(*found) == (900, 120)
    assert memory.tally.folded == 2


@pytest.mark.parametrize(
    "outer",
    [
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 900, "llm.token_count.completion": 120},
        {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 900, "llm.token_count.completion": 120},
        {"ai.operationId": "ai.generateText", "ai.usage.promptTokens": 900, "ai.usage.completionTokens": 120},
        {"ai.operationId": "ai.streamObject", "ai.usage.inputTokens": 900, "ai.usage.outputTokens": 120},
        {"ai.operationId": "ai.streamText", "gen_ai.operation.name": "chat", "gen_ai.usage.output_tokens": 120},
        {"gen_ai.aggregated_usage.input_tokens": 900, "gen_ai.aggregated_usage.output_tokens": 120, **AGENT},
        {"traceloop.span.kind": "workflow", "gen_ai.usage.prompt_tokens": 900, "gen_ai.usage.completion_tokens": 120},
        {"langfuse.observation.type": "span", "langfuse.observation.usage_details": '{"input": 900, "output": 120}'},
        {"gen_ai.operation.name": "agent_step", "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 120},
        {"gen_ai.operation.name": "something_new", "gen_ai.usage.output_tokens": 120},
    ],
)
def test_spans_that_repeat_what_is_below_them(outer: dict[str, Any]) -> None:
    found = events(S(1, {"gen_ai.request.model": "gpt-4o-mini", **outer}), *RUN[1:])
    assert sums(*found) == (900, 120)
    assert len(found) == 2
    assert len(events(S(1, {"gen_ai.request.model": "gpt-4o-mini", **outer}))) == 1, "alone, it is all there is"


def test_steps_between_a_run_and_its_calls_are_seen_through_even_when_they_come_last() -> None:
    memory = fresh_memory()
    found = immediate(memory, S(4, chat(10, 1), parent=3, at=3, until=4))
    found += immediate(memory, S(3, {}, parent=2, at=2, until=5, name="step"))
    found += immediate(memory, S(1, run(10, 1)))
    found += immediate(memory, S(2, {}, parent=1, at=1, until=6, name="tool"))
    found += after_grace(memory)
    assert [sums(one) for one in found] == [(10, 1)]


def test_an_aggregate_below_an_aggregate_counts_alone() -> None:
    (found,) = events(S(1, run(900, 120)), S(2, run(900, 120), parent=1, at=1, until=5))
    assert found["span_id"] == f"{2:016x}"


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "retrieval", "gen_ai.usage.output_tokens": 5},
        {"openinference.span.kind": "RETRIEVER", "llm.token_count.total": 5},
        {"mcp.method.name": "tools/call", **chat(5, 5)},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
        {"gen_ai.operation.name": "count_tokens", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 9},
        {"openinference.span.kind": "TOKEN_COUNTER", "llm.model_name": "m", "llm.token_count.prompt": 9},
        {"logfire.span_type": "pending_span", **chat(5, 5)},
        {**CHAT, "gen_ai.usage.partial.input_tokens": 5},
        {"http.request.method": "POST", "server.address": "api.openai.com"},
        {"gen_ai.request.model": "m"},
        {"genkit:metadata:subtype": "tool", "genkit:name": "lookUp", "genkit:output": '{"usage": {}}'},
        {"mlflow.spanType": '"TOOL"'},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0},
        {},
    ],
)
def test_what_is_no_call(attributes: dict[str, Any]) -> None:
    assert events(S(1, attributes)) == []


@pytest.mark.parametrize("name", ["OpenAI._prepare_chat_with_tools", "Anthropic._prepare_chat_with_tools"])
def test_what_llama_index_does_before_a_call_is_none(name: str) -> None:
    said = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini"}
    assert events(S(1, said, name=name, scope=LAZY)) == []
    assert len(events(S(1, said, name="OpenAI.astream_chat", scope=LAZY))) == 1


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"gen_ai.operation.name": "generate_content"}, "generate_content"),
        ({"gen_ai.operation.name": "embeddings"}, "embeddings"),
        ({"openinference.span.kind": "LLM"}, "chat"),
        ({"openinference.span.kind": "EMBEDDING"}, "embeddings"),
        ({"openinference.span.kind": "RERANKER"}, "rerank"),
        ({"llm.request.type": "completion"}, "text_completion"),
        ({"langfuse.observation.type": "generation"}, "chat"),
        ({"langfuse.observation.type": "embedding"}, "embeddings"),
        ({"ai.operationId": "ai.streamText.doStream"}, "chat"),
        ({"ai.operationId": "ai.embedMany.doEmbed"}, "embeddings"),
        ({"gen_ai.span.kind": "LLM"}, "chat"),
        ({"gen_ai.span.kind": "EMBEDDING"}, "embeddings"),
        ({"mlflow.spanType": '"CHAT_MODEL"'}, "chat"),
        ({"mlflow.spanType": '"LLM"'}, "chat"),
        ({"mlflow.spanType": '"EMBEDDING"'}, "embeddings"),
        ({"genkit:metadata:subtype": "model"}, "chat"),
        ({}, "chat"),
    ],
)
def test_what_is_a_call(attributes: dict[str, Any], operation: str) -> None:
    said = {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1, **attributes}
    assert event(S(1, said))["operation"] == operation


def test_a_refusal_of_a_node_of_dify_is_a_failed_call() -> None:
    node = {"gen_ai.framework": "dify", "gen_ai.span.kind": "LLM", "gen_ai.user.id": "u1"}
    found = event(S(1, node, failed=True))
    assert (found["status"], found["user_id"]) == ("error", "u1")


@pytest.mark.parametrize("scope", ["copilot-chat", "acme-editors"])
def test_all_calls_that_a_message_to_copilot_leads_to_count(scope: str) -> None:
    """What it gives them for the answer's id is the id of the message. Its scope is called as its service."""
    message = {
        "gen_ai.provider.name": "github",
        "gen_ai.response.id": "3f0c7c0e-6d3f-4d0e-9a55-7d0d4f7b1c11",
        "copilot_chat.request.max_prompt_tokens": 128_000,
    }
    rounds = [
        S(number, {**chat(1_000 * number, 50), **message}, parent=1, at=10 * number, until=10 * number + 5, scope=scope)
        for number in (2, 3, 4)
    ]
    turn = S(1, {**chat(9_000, 150), "gen_ai.operation.name": "invoke_agent"}, at=0, until=60, scope=scope)
    found = events(*rounds, turn)
    assert sorted(one["input_tokens"] for one in found) == [2_000, 3_000, 4_000]
    assert Roads(NOW_US).told_before(found, NOW_US) == set()


# ── one call in two spans ───────────────────────────────────────────────────────────────────────────────────────

OUTER = S(
    1, {**chat(300, 40), "gen_ai.response.id": "X", "user.id": "u1"}, scope="opentelemetry.instrumentation.langchain"
)
INNER = S(2, {**chat(300, 40), "gen_ai.response.id": "X"}, parent=1, at=1, until=9)


@pytest.mark.parametrize("order", [(OUTER, INNER), (INNER, OUTER)])
def test_a_framework_and_its_client_library_are_one_call_the_inner_one(order: tuple[S, S]) -> None:
    found = event(*order)
    assert (found["span_id"], sums(found), found["user_id"]) == (f"{2:016x}", (300, 40), "u1")


@pytest.mark.parametrize("order", [(OUTER, INNER), (INNER, OUTER)])
def test_also_in_batches_of_their_own(order: tuple[S, S]) -> None:
    memory = fresh_memory()
    found = [record for span in order for record in immediate(memory, span)]
    assert len(found + after_grace(memory)) == 1
    assert memory.tally.folded == 1


def nested(outer: dict[str, Any], inner: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return events(S(1, outer), S(2, inner, parent=1, at=1, until=9, **more))


@pytest.mark.parametrize(
    ("outer", "inner", "calls"),
    [
        (chat(300, 40), chat(300, 40), 1),
        (chat(300, 40), chat(300, 41), 2),
        (chat(300, 40), {**chat(300, 40), "gen_ai.request.model": "o3", "gen_ai.response.model": "o3"}, 2),
        ({**chat(300, 40), "gen_ai.response.model": "gpt-4o-mini"}, chat(300, 40), 1),
        ({**chat(300, 40), "gen_ai.request.model": "openai/gpt-4o-mini"}, chat(300, 40), 1),
        (chat(300, 40, **{"gen_ai.response.id": "X"}), chat(310, 40, **{"gen_ai.response.id": "X"}), 1),
        (CHAT, chat(300, 40), 1),
        (chat(300, 40), CHAT, 1),
        (CHAT, CHAT, 1),
    ],
)
def test_what_is_one_call_and_what_is_two(outer: dict[str, Any], inner: dict[str, Any], calls: int) -> None:
    assert len(nested(outer, inner)) == calls


def test_the_outer_span_gives_the_usage_that_the_inner_one_lacks() -> None:
    (found,) = nested(chat(300, 40), CHAT)
    assert (found["span_id"], sums(found)) == (f"{2:016x}", (300, 40))


def test_also_when_it_comes_later() -> None:
    memory = fresh_memory()
    assert immediate(memory, S(2, CHAT, parent=1, at=1, until=9)) == []
    (found,) = immediate(memory, S(1, chat(300, 40)))
    assert (found["span_id"], sums(found)) == (f"{2:016x}", (300, 40))
    assert after_grace(memory) == []


def test_usage_is_never_lost_to_a_span_that_has_gone_out_without() -> None:
    memory = fresh_memory()
    found = immediate(memory, S(2, CHAT, parent=1, at=1, until=9))
    found += after_grace(memory)
    found += immediate(memory, S(1, chat(300, 40)))
    assert [counts(one) for one in found] == [{}, {"input_tokens": 300, "output_tokens": 40}]


def test_failed_attempts_inside_a_call_are_attempts_of_their_own() -> None:
    failed = S(2, CHAT, parent=1, at=1, until=2, failed=True)
    good = S(3, chat(300, 40), parent=1, at=3, until=9)
    found = events(S(1, chat(300, 40)), failed, good)
    assert sorted((one["status"], one["span_id"][-1]) for one in found) == [("error", "2"), ("ok", "3")]
    without_inner = events(S(1, chat(300, 40)), failed)
    assert sorted((one["status"], counts(one) != {}) for one in without_inner) == [("error", False), ("ok", True)]


def test_equal_siblings_are_two_calls_whether_or_not_something_is_around_them() -> None:
    twins = (S(2, chat(300, 40), parent=1, at=1, until=3), S(3, chat(300, 40), parent=1, at=4, until=6))
    assert sums(*events(*twins)) == (600, 80)
    assert sums(*events(S(1, chat(300, 40)), *twins)) == (600, 80)
    memory = fresh_memory()
    apart = [record for span in (S(1, chat(300, 40)), *twins) for record in immediate(memory, span)]
    assert sums(*apart) == (600, 80)


def test_a_call_that_is_the_sum_of_those_below_is_none() -> None:
    found = events(
        S(1, chat(900, 120)), S(2, chat(400, 50), parent=1, at=1, until=3), S(3, chat(500, 70), parent=1, at=4, until=6)
    )
    assert sorted(sums(one) for one in found) == [(400, 50), (500, 70)]


def test_three_spans_of_one_call() -> None:
    onion = (S(1, chat(30, 4)), S(2, chat(30, 4), parent=1, at=1, until=9), S(3, chat(30, 4), parent=2, at=2, until=8))
    for order in itertools.permutations(onion):
        if order[2] is onion[1]:
            continue  # what connects the other two comes after both have counted
        memory = fresh_memory()
        found = [record for span in order for record in immediate(memory, span)]
        assert sums(*found, *after_grace(memory)) == (30, 4), [span.id for span in order]


# ── one call in two spans that do not know of each other ────────────────────────────────────────────────────────

SHOP = {"service.name": "shop"}
LONG_ID = "chatcmpl-0123456789abcdef"
LAZY = "openinference.instrumentation.llama_index"
CLIENT = "openinference.instrumentation.openai"


@pytest.mark.parametrize("knowing", [{1}, {2}, {3}, {1, 2}, {1, 3}, {2, 3}, {1, 2, 3}])
def test_three_spans_of_one_call_of_which_some_know_the_usage(knowing: set[int]) -> None:
    spans = [
        S(number, chat(30, 4) if number in knowing else CHAT, number - 1, at=number, until=10 - number, scope=scope)
        for number, scope in ((1, "a"), (2, "b"), (3, "c"))
    ]
    for order in itertools.permutations(spans):
        memory = fresh_memory()
        found = [record for span in order for record in immediate(memory, span)] + after_grace(memory)
        assert [sums(one) for one in found] == [(30, 4)], [span.id for span in order]


def apart(first: dict[str, Any], second: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """A call told by two instrumentations in traces of their own, the second within the time of the first."""
    outer = S(1, first, trace=1, scope="openinference.instrumentation.anthropic", resource=SHOP)
    inner = S(
        2, second, **{"trace": 2, "scope": "com.anthropic.sdk.python", "at": 1, "until": 9, "resource": SHOP, **more}
    )
    memory = fresh_memory()
    return [*immediate(memory, inner), *immediate(memory, outer), *after_grace(memory)]


@pytest.mark.parametrize(
    ("first", "second", "more", "calls"),
    [
        (chat(300, 40), chat(300, 40), {}, 1),
        (chat(300, 40), chat(300, 40), {"trace": 1}, 1),
        (chat(300, 40), chat(300, 41), {}, 2),
        (chat(300, 40), chat(300, 40), {"until": 11}, 2),
        (chat(300, 40), chat(300, 40), {"at": 20, "until": 30}, 2),
        (chat(300, 40), chat(300, 40), {"scope": "openinference.instrumentation.anthropic"}, 2),
        (chat(300, 40), chat(300, 40), {"resource": {"service.name": "other"}}, 2),
        (chat(300, 40), {**chat(300, 40), "gen_ai.request.model": "o3", "gen_ai.response.model": "o3"}, {}, 2),
        (chat(300, 40, **{"gen_ai.response.id": "a" * 20}), chat(300, 40, **{"gen_ai.response.id": LONG_ID}), {}, 2),
        (chat(300, 40, **{"gen_ai.response.id": LONG_ID}), chat(300, 40, **{"gen_ai.response.id": LONG_ID}),
         {"at": 20, "until": 30}, 1),
        (chat(300, 40, **{"gen_ai.response.id": "chatcmpl-7"}), chat(300, 40, **{"gen_ai.response.id": "chatcmpl-7"}),
         {"at": 20, "until": 30}, 2),
        (chat(300, 0), chat(300, 0), {}, 2),
        (CHAT, CHAT, {}, 1),
        (CHAT, CHAT, {"at": 20, "until": 30}, 2),
        (CHAT, CHAT, {"failed": True}, 2),
        (CHAT, {**CHAT, "gen_ai.request.model": "o3", "gen_ai.response.model": "o3"}, {}, 2),
        (CHAT, {"gen_ai.operation.name": "chat"}, {}, 2),
    ],
)  # fmt: skip
def test_instrumentations_side_by_side(
    first: dict[str, Any], second: dict[str, Any], more: dict[str, Any], calls: int
) -> None:
    assert len(apart(first, second, **more)) == calls


def test_what_is_around_a_twin_knows_that_it_has_counted() -> None:
    """A run's sum, or a framework's span without usage, above a span that was folded into one of another trace."""
    client = S(3, chat(300, 40), trace=2, scope=CLIENT, at=2, until=8, resource=SHOP)
    framework = S(2, chat(300, 40), parent=1, scope="a.framework", at=1, until=9, resource=SHOP)
    for around in (run(300, 40), CHAT):
        for order in itertools.permutations((client, framework, S(1, around, scope="a.framework", resource=SHOP))):
            memory = fresh_memory()
            found = [record for span in order for record in immediate(memory, span)]
            assert [sums(one) for one in found + after_grace(memory)] == [(300, 40)], [span.id for span in order]


def test_a_failure_that_two_instrumentations_tell_of_is_one() -> None:
    outer = S(1, CHAT, failed=True, scope="openinference.instrumentation.langchain", resource=SHOP)
    inner = S(2, CHAT, failed=True, scope="openinference.instrumentation.openai", trace=2, at=1, until=9, resource=SHOP)
    assert [one["status"] for one in events(outer, inner)] == ["error"]
    memory = fresh_memory()
    assert len(immediate(memory, inner) + immediate(memory, outer)) == 1


@pytest.mark.parametrize("told", [chat(2, 30), CHAT])
@pytest.mark.parametrize(("scope", "starts", "calls"), [(LAZY, 3.001, 1), (LAZY, 30, 2), ("other.framework", 3.001, 2)])
def test_a_stream_that_begins_after_the_span_of_its_framework_has_ended(
    told: dict[str, Any], scope: str, starts: float, calls: int
) -> None:
    """LlamaIndex's span ends when the generator is made, the client's begins when somebody asks it for a chunk."""
    outer = S(1, told, at=2, until=3, scope=scope, resource=SHOP)
    inner = S(2, told, at=starts, until=starts + 5, scope=CLIENT, trace=2, resource=SHOP)
    for order in ((outer, inner), (inner, outer)):
        memory = fresh_memory()
        found = [record for span in order for record in immediate(memory, span)]
        assert len(found + after_grace(memory)) == calls


def test_streams_one_after_the_other_with_equal_numbers_stay_as_many() -> None:
    sent = [
        S(number, chat(2, 1), at=number, until=number + 0.5, trace=number, scope=scope, resource=SHOP)
        for number, scope in enumerate((LAZY, CLIENT) * 3, start=1)
    ]
    for order in (sent, sent[::-1]):
        memory = fresh_memory()
        assert len([record for span in order for record in immediate(memory, span)]) == 3


def test_a_call_has_one_twin_of_a_scope() -> None:
    wide = [S(number, chat(30, 4), trace=number, scope="a", until=20, resource=SHOP) for number in (1, 2)]
    assert len(events(S(3, chat(30, 4), trace=3, scope="b", at=1, until=2, resource=SHOP), *wide)) == 2


WRAPPER = "a.framework"


@st.composite
def equal_calls(draw: st.DrawFn) -> tuple[list[S], int]:
    """Spans of calls with the same numbers at about the same time, and how many calls there are. Each is told by a
    framework and by a client's library, in a tree of their own or in one, with a step between them or without."""
    apart, step, one_trace = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    told_alone = draw(st.sampled_from(("", WRAPPER, CLIENT)))
    spans, calls = [], draw(st.integers(2, 6))
    for call in range(1, calls + 1):
        trace, number = (1 if one_trace else call), 10 * call
        at = draw(st.integers(0, 40)) / 10
        until = at + draw(st.integers(10, 30)) / 10
        only = told_alone if told_alone and draw(st.booleans()) else ""
        root = draw(st.booleans()) and only != CLIENT
        if root:
            spans.append(S(number, run(30, 4), trace=trace, at=at - 0.02, until=until + 0.02, resource=SHOP))
        if only != CLIENT:
            parent = number if root else 0
            spans.append(S(number + 1, chat(30, 4), parent, "chain", at, until, WRAPPER, trace=trace, resource=SHOP))
        if only == WRAPPER:
            continue
        parent = 0 if apart or only else number + 1
        if step:
            middle = S(number + 2, {}, parent, "step", at + 0.01, until - 0.01, trace=trace, resource=SHOP)
            spans.append(middle)
            parent = middle.id
        own = call + 1_000 if apart and not step else trace
        client = S(number + 3, chat(30, 4), parent, at=at + 0.02, until=until - 0.02, scope=CLIENT, trace=own)
        client.resource = SHOP
        spans.append(client)
    return spans, calls


@given(equal_calls(), st.randoms(use_true_random=False), st.integers(1, 8))
@settings(deadline=None)
def test_equal_calls_at_a_time_are_as_many_as_they_are_in_any_order(
    made: tuple[list[S], int], chance: Any, size: int
) -> None:
    spans, calls = made
    chance.shuffle(spans)
    memory = fresh_memory()
    found = [one for at in range(0, len(spans), size) for one in immediate(memory, *spans[at : at + size])]
    assert [sums(one) for one in found + after_grace(memory)] == [(30, 4)] * calls


def test_a_client_seen_before_its_own_framework_does_not_hide_another_call() -> None:
    """Of two equal calls at a time, the one that a framework alone tells of is taken for the other's at first."""
    client = S(3, chat(30, 4), parent=2, at=2, until=8, scope=CLIENT, resource=SHOP)
    around = S(2, chat(30, 4), at=1, until=9, scope=WRAPPER, resource=SHOP)
    other = S(1, chat(30, 4), trace=2, scope=WRAPPER, resource=SHOP)
    for order in itertools.permutations((client, around, other)):
        memory = fresh_memory()
        assert len([record for span in order for record in immediate(memory, span)]) == 2, [span.id for span in order]


@pytest.mark.parametrize("size", [20, 400])
@pytest.mark.parametrize("failed", [True, False])
def test_many_equal_calls_of_which_two_are_under_way_at_a_time_are_as_many_in_requests_of_any_size(
    failed: bool, size: int
) -> None:
    spans, said = [], CHAT if failed else chat(30, 4)
    more: dict[str, Any] = {"resource": SHOP, "failed": failed}
    for call in range(200):
        at = call // 2 * 2 + call % 2 * 0.3
        spans.append(S(1, said, 0, "chain", at, at + 1.5, WRAPPER, trace=2 * call + 1, **more))
        spans.append(S(1, said, 0, "chat", at + 0.5, at + 1.4, CLIENT, trace=2 * call + 2, **more))
    memory = fresh_memory()
    found = [one for at in range(0, len(spans), size) for one in immediate(memory, *spans[at : at + size])]
    assert len(found) == 200


@pytest.mark.parametrize("order", ["as they end", "clients first", "frameworks first"])
@pytest.mark.parametrize(("every", "before"), [(0.0002, 0.001), (0.01, 0.5)])
def test_hundreds_of_equal_calls_under_way_at_a_time_are_as_many(order: str, every: float, before: float) -> None:
    """A load test. `every`: seconds from call to call; `before`: what a framework does before it asks."""
    chance, calls = random.Random(5), 300
    spans = []
    for call in range(calls):
        at, asks = call * every, call * every + chance.random() * before
        until = asks + 1 + chance.random() * 2
        spans.append(S(1, chat(30, 4), 0, "chain", at, until + 0.001, WRAPPER, trace=2 * call + 1, resource=SHOP))
        spans.append(S(1, chat(30, 4), 0, "chat", asks, until, CLIENT, trace=2 * call + 2, resource=SHOP))
    spans.sort(key=lambda span: span.until)
    if order != "as they end":
        spans.sort(key=lambda span: (span.scope == WRAPPER) == (order == "clients first"))
    memory = fresh_memory()
    found = [one for at in range(0, len(spans), 50) for one in immediate(memory, *spans[at : at + 50])]
    assert len(found) == calls


KNOWN, UNKNOWN = chat(30, 4), CHAT


@pytest.mark.parametrize(
    ("around", "inside", "other"),
    [
        ((UNKNOWN, WRAPPER), (KNOWN, CLIENT), (UNKNOWN, CLIENT)),
        ((KNOWN, WRAPPER), (UNKNOWN, CLIENT), (UNKNOWN, WRAPPER)),
    ],
)
def test_what_waits_for_usage_stays_where_another_call_was_taken_for_it(
    around: tuple[dict[str, Any], str], inside: tuple[dict[str, Any], str], other: tuple[dict[str, Any], str]
) -> None:
    """One instrumentation tells of both calls, so they are two; which spans are one of them, the tree says at last."""
    outer = S(1, around[0], at=0, until=10, scope=around[1], resource=SHOP)
    inner = S(2, inside[0], parent=1, at=2, until=9, scope=inside[1], resource=SHOP)
    beside = S(3, other[0], trace=2, at=1, until=9.5, scope=other[1], resource=SHOP)
    for order in itertools.permutations((outer, inner, beside)):
        memory = fresh_memory()
        found = [record for span in order for record in immediate(memory, span)] + after_grace(memory)
        assert {one.get("output_tokens") for one in found} == {4, None}, [span.id for span in order]
        assert len(found) == 2


def test_a_framework_that_has_its_client_is_not_taken_for_another_call_of_that_framework() -> None:
    framework = S(1, CHAT, at=0, until=10, scope=WRAPPER, resource=SHOP)
    client = S(2, chat(30, 4), parent=1, at=2, until=9, scope=CLIENT, resource=SHOP)
    other = S(3, chat(30, 4), trace=2, at=1, until=9.5, scope=WRAPPER, resource=SHOP)
    memory = fresh_memory()
    assert len([record for span in (framework, other, client) for record in immediate(memory, span)]) == 2


def test_usage_is_kept_whoever_has_waited_for_it() -> None:
    """A third instrumentation, which knows of no usage, is taken for the framework's call before the client's comes."""
    framework = S(1, CHAT, at=0, until=10, scope=WRAPPER, resource=SHOP)
    client = S(2, chat(30, 4), parent=1, at=2, until=9, scope=CLIENT, resource=SHOP)
    third = S(3, CHAT, trace=2, at=1, until=9.5, scope="a.third", resource=SHOP)
    for order in itertools.permutations((framework, client, third)):
        memory = fresh_memory()
        found = [record for span in order for record in immediate(memory, span)] + after_grace(memory)
        assert [one["output_tokens"] for one in found if "output_tokens" in one] == [4], [span.id for span in order]


def test_names_come_from_the_nearest_of_equal_calls() -> None:
    told = []
    for number in (1, 2, 3):
        user = {"user.id": f"u{number}"}
        for layer, scope, said in ((0, CLIENT, dict[str, str]()), (1, WRAPPER, user)):
            own, at, until = 10 * number + layer, number - layer / 10, 20 - number + layer / 10
            told.append(S(own, chat(30, 4, **said), 0, "chat", at, until, scope, trace=own, resource=SHOP))
    assert {one["span_id"][-2:]: one["user_id"] for one in events(*told)} == {
        f"{10 * number:02x}": f"u{number}" for number in (1, 2, 3)
    }


def test_an_answer_without_usage_is_one_call_whichever_of_its_spans_comes_first() -> None:
    outer, inner = S(1, CHAT, scope="a"), S(2, CHAT, parent=1, at=1, until=9, scope="a")
    for order in ((outer, inner), (inner, outer)):
        memory = fresh_memory()
        found = [record for span in order for record in immediate(memory, span)]
        assert len(found + after_grace(memory)) == 1


def test_logfire_tells_of_a_stream_when_it_has_ended() -> None:
    opening = S(1, {**CHAT, "logfire.span_type": "span"}, scope="logfire.openai", until=1)
    ended = S(
        2, {**chat(30, 4), "logfire.span_type": "log", "duration": 2.5}, scope="logfire.openai", at=3, until=3, trace=2
    )
    (found,) = events(opening, ended)
    assert (sums(found), found["duration_ms"]) == ((30, 4), 2_500)
    assert len(events(S(1, {**CHAT, "logfire.span_type": "span"}, scope="logfire.openai", failed=True))) == 1


def test_a_refusal_inside_an_agent_that_logfire_watches_is_a_failed_call() -> None:
    said = {"logfire.span_type": "span", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o-mini"}
    found = events(
        S(1, {"logfire.span_type": "span", "gen_ai.system": "openai"}, scope="logfire.openai_agents", failed=True),
        S(2, said, parent=1, at=1, until=2, scope="logfire.openai_agents", failed=True),
    )
    assert [(one["status"], one["request_model"]) for one in found] == [("error", "gpt-4o-mini")]


# ── the same span again ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_span_again_is_the_same_event() -> None:
    memory = fresh_memory()
    first, second = immediate(memory, S(1, chat(3, 1))), immediate(memory, S(1, chat(3, 1)))
    assert first == second
    assert event(S(1, chat(3, 1)))["event_id"] == first[0]["event_id"]
    assert event(S(1, chat(3, 1), trace=2))["event_id"] != first[0]["event_id"]


def test_a_repeated_batch_leads_to_the_same_decisions() -> None:
    memory = fresh_memory()
    batch = (OUTER, INNER, S(5, run(900, 120)), S(6, chat(900, 120), parent=5, at=1, until=2))
    first, second = immediate(memory, *batch), immediate(memory, *batch)
    assert first == second
    assert len(first) == 2
    assert after_grace(memory) == []


def test_of_two_versions_of_a_span_the_one_with_usage_counts() -> None:
    memory = fresh_memory()
    assert immediate(memory, S(1, CHAT)) == []
    assert [sums(one) for one in immediate(memory, S(1, chat(3, 1)))] == [(3, 1)]
    assert after_grace(memory) == []
    assert sums(event(S(1, chat(3, 1)), S(1, CHAT))) == (3, 1)


@pytest.mark.parametrize("failed", [True, False])
def test_nothing_but_zeros_is_no_usage(failed: bool) -> None:
    """What frameworks say of a stream whose usage they were not told."""
    found = event(S(1, chat(0, 0, **{"gen_ai.usage.cache_read.input_tokens": 0}), failed=failed))
    assert counts(found) == {}
    assert counts(event(S(1, chat(0, 0)), S(2, chat(3, 1), parent=1, at=1, until=2))) == counts(event(S(1, chat(3, 1))))
    assert counts(event(S(1, chat(4, 0)))) == {"input_tokens": 4, "output_tokens": 0}


def test_a_call_that_names_no_usage_is_unknown_not_free() -> None:
    memory = fresh_memory()
    assert immediate(memory, S(1, CHAT)) == []
    (found,) = after_grace(memory)
    assert (found["status"], counts(found)) == ("ok", {})


# ── names from above ────────────────────────────────────────────────────────────────────────────────────────────


def test_spans_above_say_who_a_call_was_for() -> None:
    root = S(1, {"http.route": "/chat", "session.id": "s1"}, name="POST /chat", resource={"service.name": "front"})
    agent = S(2, {**AGENT, "user.id": "u1"}, parent=1, at=1)
    call = S(3, chat(3, 1), parent=2, at=2, resource={"service.name": "brain"})
    found = event(root, agent, call)
    said = {name: found.get(name) for name in ("endpoint", "session_id", "user_id", "feature", "service")}
    assert said == {"endpoint": "/chat", "session_id": "s1", "user_id": "u1", "feature": "planner", "service": "brain"}


def test_the_route_of_the_provider_is_not_the_applications() -> None:
    assert "endpoint" not in event(S(1, {**chat(3, 1), "http.route": "/v1/messages"}))


def test_the_root_names_the_feature_when_nobody_else_does() -> None:
    assert event(S(1, {}, name="summarise"), S(2, chat(3, 1), parent=1))["feature"] == "summarise"
    assert "feature" not in event(S(2, chat(3, 1)))
    own = S(2, {**chat(3, 1), "taximeter.feature": "mine"}, parent=1)
    assert event(S(1, {}, name="summarise"), own)["feature"] == "mine"


# ── bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_memory_is_bounded() -> None:
    memory = fresh_memory(most_spans=100)
    for number in range(1, 1_000):
        immediate(memory, S(number, chat(3, 1), parent=number + 5_000))
    assert len(memory._young) + len(memory._old) <= 110


def test_when_too_many_wait_the_oldest_wait_no_longer() -> None:
    memory = fresh_memory(most_held=5)
    immediate(memory, *(S(number, run(number, 1), trace=number) for number in range(1, 9)))
    assert [one.event.input_tokens for one in memory.ripe(NOW_US)] == [1, 2, 3]


def test_what_is_older_than_the_memory_is_asked_for_elsewhere() -> None:
    for known, expected in (({f"{1:032x}"}, 0), (set[str](), 1)):
        memory = fresh_memory()
        immediate(memory, S(1, run(900, 120), at=-100))
        assert memory.ripe(NOW_US + 10**9)[0].doubtful
        assert len(after_grace(memory, known)) == expected


def test_circles_and_spans_that_are_their_own_parents_end() -> None:
    circle = (
        S(1, chat(3, 1), parent=2),
        S(2, run(3, 1), parent=3),
        S(3, run(3, 1), parent=1),
        S(4, chat(5, 2), parent=4),
    )
    assert sums(*events(*circle)) == (8, 3)


# ── at random ───────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[S], tuple[int, int]]:
    """A run of calls with distinct numbers, some of them wrapped once or twice, and what they come to."""
    spans, total, number = [], (0, 0), 2
    for call in range(1, draw(st.integers(1, 5)) + 1):
        numbers = (call * 1_000 + draw(st.integers(0, 99)), call * 100)
        parent = 1
        for layer in range(draw(st.integers(1, 3))):
            spans.append(S(number, chat(*numbers), parent=parent, at=call * 10 + layer, until=call * 10 + 9 - layer))
            parent, number = number, number + 1
        total = (total[0] + numbers[0], total[1] + numbers[1])
    return [S(1, run(*total), until=99), *spans], total


@given(runs(), st.randoms(use_true_random=False), st.integers(1, 8))
@settings(deadline=None)
def test_exported_as_they_end_in_batches_of_any_size_every_token_counts_once(
    made: tuple[list[S], tuple[int, int]], chance: Any, size: int
) -> None:
    spans, total = made
    spans.sort(key=lambda span: span.until)
    memory = fresh_memory()
    found = []
    for start in range(0, len(spans), size):
        batch = spans[start : start + size]
        chance.shuffle(batch)
        found += immediate(memory, *batch)
    assert sums(*found, *after_grace(memory)) == total


@given(runs(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_together_in_any_order_every_token_counts_once(made: tuple[list[S], tuple[int, int]], chance: Any) -> None:
    spans, total = made
    chance.shuffle(spans)
    assert sums(*events(*spans)) == total


# ── what the one that is kept does not know ─────────────────────────────────────────────────────────────────────

CACHED = {"llm.token_count.prompt_details.cache_read": 2_000, "llm.token_count.completion_details.reasoning": 150}
FRAMEWORK = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o-mini",
    "llm.token_count.prompt": 3_000,
    "llm.token_count.completion": 500,
}


@pytest.mark.parametrize("parent", [1, 0])
def test_parts_that_only_the_framework_tells_of_are_kept(parent: int) -> None:
    """The old names of OpenTelemetry's instrumentations have none for them."""
    framework = S(1, {**FRAMEWORK, **CACHED}, scope="openinference.instrumentation.langchain")
    found = event(framework, S(2, chat(3_000, 500), parent=parent, at=1, until=9))
    assert counts(found) == {
        "input_tokens": 3_000,
        "cache_read_tokens": 2_000,
        "output_tokens": 500,
        "reasoning_tokens": 150,
    }
    assert found["tags"]["otlp_input_rule"] == "3 openinference.langchain/*"


def test_a_cache_that_lies_beside_what_the_client_tells_of_is_kept() -> None:
    called = {"gen_ai.request.model": "us.anthropic.claude-sonnet-4-5-v1:0", "gen_ai.provider.name": "aws.bedrock"}
    inner = {**chat(3_000, 500), **called}
    del inner["gen_ai.response.model"]
    outer = {**inner, "gen_ai.provider.name": "strands-agents", "gen_ai.usage.cache_read_input_tokens": 2_000}
    client = S(2, inner, parent=1, at=1, until=9, scope="opentelemetry.instrumentation.botocore.bedrock-runtime")
    found = event(S(1, outer, scope="strands.telemetry.tracer"), client)
    assert counts(found) == {"input_tokens": 5_000, "cache_read_tokens": 2_000, "output_tokens": 500}


def test_what_the_client_tells_of_is_not_replaced() -> None:
    client = chat(3_000, 500, **{"gen_ai.usage.cache_read.input_tokens": 1_900, "gen_ai.response.id": "r-1"})
    other = {**FRAMEWORK, **CACHED, "gen_ai.response.id": "r-1"}
    framework = S(1, other, scope="openinference.instrumentation.langchain")
    kept = {"input_tokens": 3_000, "cache_read_tokens": 1_900, "output_tokens": 500, "reasoning_tokens": 150}
    assert counts(event(framework, S(2, client, parent=1, at=1, until=9))) == kept
    elsewhere = S(1, {**other, "llm.token_count.prompt": 9}, scope="openinference.instrumentation.langchain")
    assert "reasoning_tokens" not in event(elsewhere, S(2, client, parent=1, at=1, until=9))
