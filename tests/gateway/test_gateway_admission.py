"""The step before a call leaves: it may be refused, changed, cut while it runs; and it always hears how it ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from gateway_rig import Stage, running, stream, whole

from taximeter.core.event import UsageEvent
from taximeter.extract import Reading
from taximeter.gateway import Asking, GatewaySettings, Refusal

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4000}
ANSWER = (
    b'{"id":"c","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":{"content":"Hi"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
)
CHUNK = b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
LIMIT = Refusal(429, "limit_exceeded", "taximeter: the limit 'daily' is used up", [(b"x-should-retry", b"false")])


@dataclass
class Held:
    body: bytes | None = None
    cut: Refusal | None = None
    settled: list[UsageEvent] = field(default_factory=list)
    extended: list[int] = field(default_factory=list)
    leased: bool = True

    @property
    def held(self) -> Mapping[str, int]:
        return {"output_tokens": 8 + len(self.extended)}

    async def flows(self, chunk: bytes, reading: Reading) -> Refusal | None:
        self.extended.append(reading.output_characters)
        return self.cut

    def settle(self, event: UsageEvent) -> None:
        self.settled.append(event)


class Rule:
    """Admission by one function."""

    def __init__(self, decide: Callable[[Asking], Held | None]) -> None:
        self.asked: list[Asking] = []
        self._decide = decide

    async def admit(self, asking: Asking) -> Held | None:
        self.asked.append(asking)
        return self._decide(asking)


def refuse(_: Asking) -> Held | None:
    raise LIMIT


def test_what_is_admitted_leaves_as_it_came_and_is_settled_with_its_event() -> None:
    held = Held()
    rule = Rule(lambda _: held)
    with running(admission=rule) as rig:
        rig.plays(whole(ANSWER))
        assert rig.ask("/openai/v1/chat/completions", ASKED).status == 200
        (event,) = rig.log.wait_for(1)
        assert rig.provider.seen[0].json == ASKED
    (asking,) = rule.asked
    assert (asking.call.facts.model, asking.call.facts.max_output_tokens) == ("gpt-4o-mini", 4000)
    assert [one.event_id for one in held.settled] == [event["event_id"]]
    assert held.settled[0].usage.output_tokens == 2


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/openai/v1/chat/completions", {"type": "rate_limit_error", "code": "limit_exceeded", "param": None}),
        ("/anthropic/v1/messages", {"type": "rate_limit_error"}),
    ],
)
def test_a_refusal_has_the_providers_shape_and_nothing_leaves(path: str, error: dict[str, object]) -> None:
    with running(admission=Rule(refuse)) as rig:
        reply = rig.ask(path, ASKED)
        assert (reply.status, reply.headers["x-should-retry"]) == (429, "false")
        assert reply.json["error"] == {**error, "message": LIMIT.message}
        assert rig.gateway.refused == {"limit_exceeded": 1}
        assert rig.provider.seen == []
        (event,) = rig.log.lines
        assert (event["status"], event["error_type"]) == ("refused", "limit_exceeded")


def test_the_body_may_be_changed_before_the_call_begins() -> None:
    def clamp(asking: Asking) -> Held:
        return Held(json.dumps({**asking.payload, "max_tokens": 50, "model": "gpt-4o-nano"}).encode())

    with running(admission=Rule(clamp)) as rig:
        rig.plays(whole(ANSWER))
        rig.ask("/openai/v1/chat/completions", ASKED)
        (begin,) = rig.log.wait_for(1, "begin")
        assert rig.provider.seen[0].json == {**ASKED, "max_tokens": 50, "model": "gpt-4o-nano"}
        assert begin["request_model"] == "gpt-4o-nano"
        assert begin["expected_output_tokens"] <= 50


def test_a_stream_that_is_not_extended_is_cut_with_the_providers_error() -> None:
    held = Held(cut=LIMIT)
    settings = GatewaySettings(progress_seconds=0.0)

    async def endless(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        await stage.chunk(CHUNK)
        await stage.until_gone()

    with running(settings, admission=Rule(lambda _: held)) as rig:
        rig.plays(endless)
        reply = rig.ask("/openai/v1/chat/completions", {**ASKED, "stream": True})
        (event,) = rig.log.wait_for(1)
    last = reply.body.rstrip().rpartition(b"data: ")[2]
    assert reply.complete
    assert json.loads(last)["error"]["code"] == "limit_exceeded"
    assert (event["status"], event["error_type"]) == ("interrupted", "limit_exceeded")
    assert event["usage_estimated"]
    assert held.extended == [4]
    assert [one.event_id for one in held.settled] == [event["event_id"]]


def test_a_stream_that_is_extended_flows_to_its_end() -> None:
    held = Held()
    with running(admission=Rule(lambda _: held)) as rig:
        rig.plays(stream([CHUNK, CHUNK, b"data: [DONE]\n\n"]))
        assert rig.ask("/openai/v1/chat/completions", {**ASKED, "stream": True}).body.endswith(b"data: [DONE]\n\n")
        assert [one["held"]["output_tokens"] for one in rig.log.of("begin") + rig.log.of("progress")] == [8, 9, 10]
    assert held.extended == [4, 8]
    assert [one.status for one in held.settled] == ["ok"]


def test_a_call_that_fails_settles_too() -> None:
    held = Held()
    with running(admission=Rule(lambda _: held)) as rig:

        async def gone(stage: Stage) -> None:
            stage.break_off()

        rig.plays(gone)
        assert rig.ask("/openai/v1/chat/completions", ASKED).status == 502
    assert [(one.status, one.error_type) for one in held.settled] == [("error", "closed_early")]


def test_an_admission_that_breaks_does_not_touch_the_call() -> None:
    def broken(_: Asking) -> Held:
        raise RuntimeError("a bug of ours")

    with running(admission=Rule(broken)) as rig:
        rig.plays(whole(ANSWER))
        assert rig.ask("/openai/v1/chat/completions", ASKED).status == 200
        assert rig.gateway.failures == {"not_admitted": 1}


def test_a_hold_whose_settling_breaks_does_not_touch_the_call() -> None:
    class Breaking(Held):
        def settle(self, event: UsageEvent) -> None:
            raise RuntimeError("a bug of ours")

    with running(admission=Rule(lambda _: Breaking())) as rig:
        rig.plays(whole(ANSWER))
        assert rig.ask("/openai/v1/chat/completions", ASKED).status == 200
        assert len(rig.log.wait_for(1)) == 1
        assert rig.gateway.failures == {"unsettled": 1}


def test_what_is_held_is_let_go_when_the_call_cannot_be_recorded() -> None:
    held = Held()
    settings = replace(GatewaySettings(), when_unrecordable="refuse")
    with running(settings, admission=Rule(lambda _: held)) as rig:
        rig.log.in_memory = True
        assert rig.ask("/openai/v1/chat/completions", ASKED).status == 503
        assert rig.log.lines == []
    assert [(one.status, one.not_billed) for one in held.settled] == [("refused", True)]
