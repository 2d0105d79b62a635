"""Tries of the gateway's own: again at the same provider, then at others; each attempt a row of one request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from gateway_rig import KEY, Play, Reply, SeenRequest, Stage, running, stream, whole

from taximeter.config.known import KNOWN, protocol_of
from taximeter.gateway import GatewaySettings, Policy, Provider
from taximeter.gateway.attempts import retry_after
from taximeter.gateway.kinds import KINDS

CHAT = "/first/v1/chat/completions"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = (
    b'{"id":"c","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":{"content":"Hi"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
)
SLOW_DOWN = b'{"error":{"message":"slow down","type":"tokens","code":"rate_limit_exceeded"}}'
AGAIN = Policy(attempts=3, backoff_seconds=0.0)


async def hang_up(stage: Stage) -> None:
    stage.break_off()


def behind(policy: Policy, *others: Provider, port: int) -> list[Provider]:
    return [Provider("first", "openai", f"http://127.0.0.1:{port}/v1", "key-1", policy=policy), *others]


@dataclass(frozen=True)
class Told:
    """What became of one request."""

    reply: Reply
    events: list[dict[str, Any]]
    begun: list[str]
    seen: list[SeenRequest]

    @property
    def rows(self) -> list[tuple[str, int, str, int | None]]:
        return [(one["provider"], one["attempt"], one["status"], one.get("http_status")) for one in self.events]


def tried(policy: Policy, plays: Sequence[Play], path: str = CHAT, **headers: str) -> Told:
    """A gateway that was asked once; `first`, and `second` at other paths of the same scripted provider."""

    def providers(port: int) -> list[Provider]:
        base = f"http://127.0.0.1:{port}"
        second = Provider("second", "openai", f"{base}/second/v1", "key-2")
        azure = Provider("azure", "azure", base, "key-3")
        anthropic = Provider("claude", "anthropic", base, "key-4")
        keyless = Provider("keyless", "openai", f"{base}/keyless/v1")
        return behind(policy, second, azure, anthropic, keyless, port=port)

    with running(GatewaySettings(connect_timeout_seconds=2.0), more_providers=providers) as rig:
        rig.plays(*plays)
        reply = rig.ask(path, ASKED, given={name.replace("_", "-"): value for name, value in headers.items()})
        begun = [begin["event_id"] for begin in rig.log.of("begin")]
        return Told(reply, rig.log.of(None), begun, rig.provider.seen)


def test_off_by_default_a_failure_is_handed_on_as_it_is() -> None:
    told = tried(Policy(), [whole(SLOW_DOWN, 429, retry_after="1"), whole(ANSWER)])
    reply = told.reply
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (429, SLOW_DOWN, "1")
    assert "x-taximeter-attempt" not in reply.headers
    assert told.rows == [("first", 1, "error", 429)]


@pytest.mark.parametrize("failing", [whole(SLOW_DOWN, 429), whole(b"oops", 503, "text/plain"), whole(b"", 500)])
def test_a_failure_is_tried_again_and_each_attempt_is_a_row_of_one_request(failing: Play) -> None:
    told = tried(AGAIN, [failing, failing, whole(ANSWER)])
    reply = told.reply
    assert (reply.status, reply.body) == (200, ANSWER)
    assert (reply.headers["x-taximeter-provider"], reply.headers["x-taximeter-attempt"]) == ("first", "3")
    events = told.events
    assert [(one["attempt"], one["status"]) for one in events] == [(1, "error"), (2, "error"), (3, "ok")]
    assert len({one["request_id"] for one in events}) == 1
    assert len({one["event_id"] for one in events}) == 3
    assert reply.headers["x-taximeter-event-id"] == events[2]["event_id"]
    assert told.begun == [one["event_id"] for one in events]
    assert events[0].get("not_billed") is True
    assert [seen.json for seen in told.seen] == [ASKED] * 3


def test_the_error_of_each_attempt_is_kept() -> None:
    told = tried(AGAIN, [whole(SLOW_DOWN, 429), whole(ANSWER)])
    assert told.events[0]["error_type"] == "tokens"


def test_when_all_attempts_fail_the_client_gets_the_last_answer() -> None:
    told = tried(AGAIN, [whole(b"{}", 503), whole(b"{}", 503), whole(SLOW_DOWN, 429)])
    reply = told.reply
    assert (reply.status, reply.body) == (429, SLOW_DOWN)
    assert [row[1] for row in told.rows] == [1, 2, 3]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_would_fail_again_is_not_tried_again(status: int) -> None:
    told = tried(AGAIN, [whole(SLOW_DOWN, status), whole(ANSWER)])
    assert told.rows == [("first", 1, "error", status)]


def test_which_failures_are_tried_again_can_be_said() -> None:
    policy = Policy(attempts=2, on=frozenset({"404"}), backoff_seconds=0.0)
    assert len(tried(policy, [whole(SLOW_DOWN, 404), whole(ANSWER)]).rows) == 2
    assert len(tried(policy, [whole(SLOW_DOWN, 429), whole(ANSWER)]).rows) == 1


def test_an_answer_that_broke_off_is_not_asked_for_again() -> None:
    """The provider may have done it, and has it billed."""
    told = tried(AGAIN, [hang_up, whole(ANSWER)])
    assert told.reply.status == 502
    assert told.rows == [("first", 1, "error", None)]


def test_a_stream_is_never_tried_again_once_it_has_begun() -> None:
    told = tried(AGAIN, [stream([b'data: {"error":{"type":"server_error"}}\n\n'], cut=True), whole(ANSWER)])
    assert told.reply.status == 200
    assert len(told.rows) == 1


def test_a_provider_that_asks_for_a_long_pause_is_not_tried_again() -> None:
    told = tried(AGAIN, [whole(SLOW_DOWN, 429, retry_after="3600"), whole(ANSWER)])
    assert told.rows == [("first", 1, "error", 429)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([(b"retry-after", b"2")], 2.0),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"9")], 0.25),
        ([(b"retry-after", b"-4")], 0.0),
        ([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT")], None),
        ([(b"retry-after", b"nan")], None),
    ],
)
def test_the_pause_that_a_provider_asks_for(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_clients_name_for_its_call_goes_on_through_the_attempts() -> None:
    told = tried(AGAIN, [whole(SLOW_DOWN, 429), whole(ANSWER)], X_Taximeter_Event_Id="order-17")
    events = told.events
    assert [(one["attempt"], one["request_id"]) for one in events] == [(1, "order-17"), (2, "order-17")]
    assert events[0]["event_id"] != events[1]["event_id"]


def test_the_next_attempt_is_counted_on_from_what_the_client_says() -> None:
    told = tried(AGAIN, [whole(SLOW_DOWN, 429), whole(ANSWER)], x_stainless_retry_count="2")
    assert [row[1] for row in told.rows] == [3, 4]


# ── elsewhere ────────────────────────────────────────────────────────────────────────────────────────────────


def elsewhere(*fallback: tuple[str, str | None], attempts: int = 1) -> Policy:
    return Policy(attempts=attempts, backoff_seconds=0.0, fallback=fallback)


def test_the_next_provider_is_asked_with_its_own_key_path_and_model() -> None:
    told = tried(elsewhere(("second", "llama-3.3"), attempts=2), [whole(b"{}", 500), whole(b"{}", 500), whole(ANSWER)])
    reply = told.reply
    assert reply.status == 200
    assert (reply.headers["x-taximeter-provider"], reply.headers["x-taximeter-attempt"]) == ("second", "3")
    assert told.rows == [("first", 1, "error", 500), ("first", 2, "error", 500), ("second", 3, "ok", 200)]
    last = told.seen[-1]
    assert (last.target, last.header("authorization")) == ("/second/v1/chat/completions", "Bearer key-2")
    assert last.json == {**ASKED, "model": "llama-3.3"}
    assert last.body.partition(b",")[2] == json.dumps(ASKED).encode().partition(b",")[2], "the rest is as it came"
    assert told.events[-1]["request_model"] == "llama-3.3"


def test_without_a_model_the_same_one_is_asked_for() -> None:
    told = tried(elsewhere(("second", None)), [whole(b"{}", 503), whole(ANSWER)])
    assert [seen.json for seen in told.seen] == [ASKED, ASKED]


def test_the_clients_own_key_goes_to_nobody_else() -> None:
    given = {"x_taximeter_key": KEY, "authorization": "Bearer sk-own"}
    told = tried(elsewhere(("second", None)), [whole(b"{}", 503), whole(ANSWER)], **given)
    assert [seen.header("authorization") for seen in told.seen] == ["Bearer sk-own", "Bearer key-2"]


def test_a_provider_that_does_not_answer_is_passed_over() -> None:
    def providers(port: int) -> list[Provider]:
        gone = Provider("gone", "openai", "http://127.0.0.1:9/v1", "k", policy=elsewhere(("second", None)))
        return [gone, Provider("second", "openai", f"http://127.0.0.1:{port}/v1", "key-2")]

    with running(more_providers=providers) as rig:
        rig.plays(whole(ANSWER))
        reply = rig.ask("/gone/v1/chat/completions", ASKED)
        assert (reply.status, reply.headers["x-taximeter-provider"]) == (200, "second")
        events = rig.log.wait_for(2)
    assert (events[0]["error_type"], events[0]["not_billed"]) == ("connect_failed", True)


def test_a_deployment_in_the_path_is_the_model_there() -> None:
    policy = elsewhere(("azure", "my deployment"))
    path = "/first/deployments/d-1/chat/completions"
    told = tried(policy, [whole(b"{}", 503), whole(ANSWER)], path)
    assert [seen.target for seen in told.seen] == [
        "/v1/deployments/d-1/chat/completions",
        "/deployments/my%20deployment/chat/completions",
    ]


def test_who_speaks_another_protocol_or_is_unknown_is_never_asked() -> None:
    told = tried(elsewhere(("claude", None), ("nobody", None)), [whole(b"{}", 503), whole(ANSWER)])
    assert told.rows == [("first", 1, "error", 503)]


def test_a_fallback_without_a_key_is_refused_as_such() -> None:
    told = tried(elsewhere(("keyless", None)), [whole(b"{}", 503), whole(ANSWER)])
    reply = told.reply
    assert reply.status == 401
    assert "'keyless'" in reply.json["error"]["message"]


def test_a_client_that_left_is_not_tried_for() -> None:
    policy = Policy(attempts=5, backoff_seconds=30.0)
    with running(more_providers=lambda port: behind(policy, port=port)) as rig:
        rig.plays(whole(SLOW_DOWN, 429))
        with rig.open(CHAT, ASKED):
            rig.log.wait_for(1)
        assert [one["attempt"] for one in rig.log.of(None)] == [1]


def test_protocols_are_the_same_for_the_settings_and_the_gateway() -> None:
    assert {name: protocol_of(known.kind) for name, known in KNOWN.items()} == {
        name: KINDS[known.kind].protocol for name, known in KNOWN.items()
    }
