"""What goes wrong goes wrong as it does at the provider, and only generated tokens are billed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import anthropic
import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.simulator.faults import AFTER_WORK, BEFORE_WORK, KINDS, check_rates, drawn_fault
from taximeter.simulator.rate_limits import RequestRate
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings, wish_of

HELLO: list[Any] = [{"role": "user", "content": "hello big world"}]
SONNET = "claude-sonnet-5"


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    """One for each test: what its chance draws and what its ledger holds hang on no other test."""
    settings = Settings(seed=5, output_tokens_median=20, retry_after_seconds=0.01, slow_ms=20)
    with RunningSimulator(settings) as running:
        yield running


def ask(
    simulator: RunningSimulator, provider: str, fault: str, *, stream: bool = False, wish: dict[str, str] | None = None
) -> Any:
    """One try of the provider's real client under a fault, read to its end."""
    headers = {"X-Simulator-Fault": fault, "X-Ledger-Tag": f"{provider} {fault} {stream}", **(wish or {})}
    if provider == "openai":
        with openai.OpenAI(base_url=simulator.openai_url, api_key="k", max_retries=0) as gpt:
            answer: Any = gpt.chat.completions.create(
                model="gpt-4o", messages=HELLO, stream=stream, extra_headers=headers
            )
            return list(answer) if stream else answer
    with anthropic.Anthropic(base_url=simulator.anthropic_url, api_key="k", max_retries=0) as claude:
        answer = claude.messages.create(
            model=SONNET, max_tokens=99, messages=HELLO, stream=stream, extra_headers=headers
        )
        return list(answer) if stream else answer


def rows_tagged(simulator: RunningSimulator, tag: str) -> list[dict[str, Any]]:
    rows: Any = simulator.ledger["rows"]
    return [row for row in rows if row["tag"] == tag]


STATUSES = [
    ("openai", "rate_limit", 429),
    ("openai", "server_error", 500),
    ("openai", "overloaded", 503),
    ("openai", "bad_request", 400),
    ("openai", "unauthorized", 401),
    ("openai", "not_found", 404),
    ("anthropic", "rate_limit", 429),
    ("anthropic", "server_error", 500),
    ("anthropic", "overloaded", 529),
    ("anthropic", "bad_request", 400),
    ("anthropic", "unauthorized", 401),
    ("anthropic", "not_found", 404),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("provider", "fault", "status"), STATUSES)
def test_a_refusal_has_the_providers_status_and_bills_nothing(
    simulator: RunningSimulator, provider: str, fault: str, status: int, stream: bool
) -> None:
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        ask(simulator, provider, fault, stream=stream)
    refusal: Any = caught.value
    assert refusal.status_code == status
    assert rows_tagged(simulator, f"{provider} {fault} {stream}") == []


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_refusals_have_the_shape_that_the_clients_read(simulator: RunningSimulator, provider: str) -> None:
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
        ask(simulator, provider, "rate_limit")
    refusal: Any = caught.value
    body = refusal.response.json()
    assert refusal.response.headers["retry-after"] == "1"
    if provider == "openai":
        assert body["error"].keys() == {"message", "type", "param", "code"}
    else:
        assert (body["type"], body["error"]["type"], body["request_id"][:4]) == ("error", "rate_limit_error", "req_")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_reset_is_a_connection_error_and_bills_nothing(simulator: RunningSimulator, provider: str) -> None:
    with pytest.raises((openai.APIConnectionError, anthropic.APIConnectionError)):
        ask(simulator, provider, "reset")
    assert rows_tagged(simulator, f"{provider} reset False") == []


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_stream_cut_in_the_middle_bills_what_was_generated(simulator: RunningSimulator, provider: str) -> None:
    with pytest.raises(Exception, match=r"peer closed|Connection error|incomplete"):
        ask(simulator, provider, "cut", stream=True, wish={"X-Simulator-Cut-After-Tokens": "4"})
    (row,) = rows_tagged(simulator, f"{provider} cut True")
    assert (row["outcome"], row["output_tokens"]) == ("cut", 4)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_stream_can_end_with_an_error_event(simulator: RunningSimulator, provider: str) -> None:
    with pytest.raises((openai.APIError, anthropic.APIError)):
        ask(simulator, provider, "stream_error", stream=True)
    (row,) = rows_tagged(simulator, f"{provider} stream_error True")
    assert row["outcome"] == "cut"


@pytest.mark.parametrize("fault", ["broken_json", "empty"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_unreadable_answer_is_billed_all_the_same(simulator: RunningSimulator, provider: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        ask(simulator, provider, fault)
    (row,) = rows_tagged(simulator, f"{provider} {fault} False")
    assert row["outcome"] == "spoiled"
    assert row["output_tokens"] > 0


def test_a_whole_answer_can_be_cut_too(simulator: RunningSimulator) -> None:
    with pytest.raises(openai.APIConnectionError):
        ask(simulator, "openai", "cut")
    (row,) = rows_tagged(simulator, "openai cut False")
    assert row["outcome"] == "spoiled"


def test_a_fault_limited_to_the_first_try_lets_the_retry_through(simulator: RunningSimulator) -> None:
    with openai.OpenAI(base_url=simulator.openai_url, api_key="k", max_retries=2) as gpt:
        answer = gpt.chat.completions.create(
            model="gpt-4o",
            messages=HELLO,
            extra_headers={
                "X-Simulator-Fault": "overloaded",
                "X-Simulator-Fault-Attempts": "1",
                "X-Ledger-Tag": "retried",
            },
        )
    (row,) = rows_tagged(simulator, "retried")
    assert row["call_id"] == answer.id


def test_a_caller_who_leaves_is_billed_the_whole_answer(simulator: RunningSimulator) -> None:
    wish = {
        "Authorization": "Bearer k",
        "X-Simulator-Output-Tokens": "40",
        "X-Simulator-Tokens-Per-Second": "200",
        "X-Ledger-Tag": "left",
    }
    body = {"model": "gpt-4o", "messages": HELLO, "stream": True}
    url = simulator.openai_url + "/chat/completions"
    with httpx.Client() as client, client.stream("POST", url, headers=wish, json=body) as answer:
        next(answer.iter_bytes())
    for _ in range(400):
        if rows_tagged(simulator, "left"):
            break
        time.sleep(0.01)
    (row,) = rows_tagged(simulator, "left")
    assert (row["outcome"], row["output_tokens"]) == ("hung_up", 40)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "You didn't provide an API key."),
        ({"Authorization": "Bearer an-invalid-key"}, "Incorrect API key provided."),
        ({"Authorization": "Basic abc"}, "You didn't provide an API key."),
        ({"x-api-key": "invalid"}, "invalid x-api-key"),
        ({"anthropic-version": "2023-06-01"}, "x-api-key header is required"),
    ],
)
def test_a_wrong_or_missing_key_is_refused_in_the_providers_words(
    simulator: RunningSimulator, headers: dict[str, str], expected: str
) -> None:
    path = "/v1/chat/completions" if "Authorization" in headers or not headers else "/v1/messages"
    answer = httpx.post(simulator.url + path, headers=headers, json={})
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, expected)


BAD_REQUESTS = [
    ("POST", "/v1/chat/completions", b"{", 400),
    ("POST", "/v1/chat/completions", b"[]", 400),
    ("POST", "/v1/chat/completions", b'{"messages": []}', 400),
    ("POST", "/v1/chat/completions", b'{"model": "m", "messages": []}', 400),
    ("POST", "/v1/chat/completions", b'{"model": "m", "messages": [3]}', 400),
    ("POST", "/v1/chat/completions", b'{"model": "m", "messages": [{"role": "user"}], "max_tokens": 0}', 400),
    ("POST", "/v1/responses", b'{"model": "m"}', 400),
    ("POST", "/v1/embeddings", b'{"model": "m", "input": 4}', 400),
    ("POST", "/v1/messages", b'{"model": "m", "messages": [{"content": "x"}]}', 400),
    ("POST", "/v1/messages", b'{"model": "m", "max_tokens": 3, "messages": ["x"]}', 400),
    ("POST", "/v1/nothing", b"{}", 404),
    ("GET", "/v1/chat/completions", b"", 405),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD_REQUESTS)
def test_a_bad_request_is_refused(
    simulator: RunningSimulator, method: str, path: str, body: bytes, status: int
) -> None:
    answer = httpx.request(method, simulator.url + path, content=body, headers={"Authorization": "Bearer k"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("header", [{"X-Simulator-Mood": "bad"}, {"X-Simulator-Fault": "fire"}])
def test_an_unknown_wish_is_refused_rather_than_ignored(simulator: RunningSimulator, header: dict[str, str]) -> None:
    with pytest.raises(openai.BadRequestError, match="simulator"):
        ask(simulator, "openai", "slow", wish=header)


def test_a_body_over_the_limit_is_refused() -> None:
    with RunningSimulator(Settings(body_limit_bytes=10_000)) as small:
        headers = {"x-api-key": "k"}
        answer = httpx.post(small.url + "/v1/messages", headers=headers, content=os.urandom(20_000))
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


def test_a_rate_limit_refuses_with_headers_that_say_when_to_return() -> None:
    with (
        RunningSimulator(Settings(requests_per_minute=2)) as limited,
        openai.OpenAI(base_url=limited.openai_url, api_key="k", max_retries=0) as gpt,
    ):
        for remaining in ("1", "0"):
            headers = gpt.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO).headers
            assert headers["x-ratelimit-remaining-requests"] == remaining
        with pytest.raises(openai.RateLimitError) as caught:
            gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
        anthropic_headers = httpx.post(limited.url + "/v1/messages", headers={"x-api-key": "other"}, json={}).headers
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 30
    assert anthropic_headers["anthropic-ratelimit-requests-remaining"] == "1"


def test_only_listed_keys_are_accepted_when_there_is_a_list() -> None:
    with RunningSimulator(Settings(api_keys=frozenset({"right"}))) as strict:
        statuses = [
            httpx.get(strict.url + "/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code
            for key in ("right", "wrong")
        ]
    assert statuses == [200, 401]


@given(st.integers(0, 2**32), st.floats(0.05, 0.9))
def test_faults_come_about_as_often_as_asked(seed: int, share: float) -> None:
    chance = Random(seed)
    drawn = [drawn_fault({"cut": share / 2, "reset": share / 2}, chance) for _ in range(2000)]
    assert abs(sum(kind is not None for kind in drawn) / 2000 - share) < 0.08


def test_no_rates_no_faults() -> None:
    assert drawn_fault({}, Random(1)) is None


@pytest.mark.parametrize("rates", [{"fire": 0.1}, {"cut": -0.1}, {"cut": 0.6, "reset": 0.6}])
def test_wrong_rates_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"unknown fault|shares"):
        check_rates(rates)


def test_every_fault_either_bills_or_does_not() -> None:
    assert not BEFORE_WORK.keys() & AFTER_WORK.keys()
    assert {*BEFORE_WORK, *AFTER_WORK} == {*KINDS}


@given(st.integers(1, 600), st.lists(st.floats(0, 5), max_size=200))
def test_a_request_rate_never_grants_more_than_a_minute_and_what_flowed_in(per_minute: int, waits: list[float]) -> None:
    rate, now, granted = RequestRate(per_minute), 0.0, 0
    for wait in waits:
        now += wait
        granted += rate.take("k", now).granted
    assert granted <= per_minute + now * per_minute / 60 + 1e-6


def test_headers_win_over_the_body_in_what_is_wished() -> None:
    wish = wish_of({b"x-simulator-output-tokens": b"5"}, {"output_tokens": 9, "fault": "cut"})
    assert (wish.output_tokens, wish.fault) == (5, "cut")
