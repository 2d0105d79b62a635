"""Limits in the SDK: an exception before the call, with all that a program needs to know of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import anthropic
import openai
import pytest

import taximeter
from taximeter.config.limits import read_limits
from taximeter.limits.bounds import CallBound
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind, Verdict
from taximeter.sdk.limiting import admit_async
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings
from taximeter.spool import SpoolReader

MONTHLY: dict[str, Any] = {
    "name": "monthly-tokens",
    "scope": "user",
    "each": True,
    "measure": "total_tokens",
    "limit": 400,
    "window": "month",
}
ASKED: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(output_tokens_median=10)) as running:
        yield running


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    taximeter.shutdown()


def gpt(provider: RunningSimulator, **more: Any) -> openai.OpenAI:
    return taximeter.instrument(openai.OpenAI(base_url=provider.url + "/v1", api_key="sk", **more))


def ask(client: openai.OpenAI, user: str, **more: Any) -> Any:
    with taximeter.attribute(user=user):
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, **{"max_tokens": 50, **more})


def until_refused(client: openai.OpenAI, user: str) -> taximeter.LimitExceeded:
    for served in range(100):
        try:
            ask(client, user)
        except taximeter.LimitExceeded as error:
            assert served > 2
            return error
    raise AssertionError("never refused")


def events(data: Path) -> list[dict[str, Any]]:
    taximeter.shutdown()
    lines = SpoolReader(data / "spool").read({}).lines
    return [record for line in lines if "record" not in (record := json.loads(line))]


def test_a_user_above_the_limit_is_refused_before_the_call(provider: RunningSimulator, tmp_path: Path) -> None:
    taximeter.init(data=tmp_path, limits=[MONTHLY])
    client = gpt(provider)
    error = until_refused(client, "anna")
    assert (error.limit, error.scope, error.window) == ("monthly-tokens", {"user": "anna"}, "month")
    assert isinstance(error.spent, int)
    assert 0 < error.spent <= 400
    assert error.held == 0
    assert error.reset is not None
    assert ask(client, "ben").usage.total_tokens > 0
    told = events(tmp_path)
    assert [one["status"] for one in told].count("refused") == 1
    assert (
        sum(one.get("input_tokens", 0) + one.get("output_tokens", 0) for one in told if one["user_id"] == "anna") <= 400
    )


def test_asynchronous_calls_and_anthropic_are_limited_too(provider: RunningSimulator, tmp_path: Path) -> None:
    taximeter.init(data=tmp_path, limits=[{**MONTHLY, "scope": "global", "each": False, "limit": 1}])
    claude = taximeter.instrument(anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk"))

    async def call() -> None:
        await claude.messages.create(model="claude-opus-4-8", max_tokens=10, messages=ASKED)

    with pytest.raises(taximeter.LimitExceeded, match="monthly-tokens"):
        asyncio.run(call())


def test_streams_and_failed_calls_give_back_what_they_do_not_need(provider: RunningSimulator, tmp_path: Path) -> None:
    limit = {**MONTHLY, "scope": "global", "each": False, "limit": 2000}
    taximeter.init(data=tmp_path, limits=[limit])
    client = gpt(provider, max_retries=0)
    for _ in range(3):
        with pytest.raises(openai.InternalServerError):
            ask(client, "anna", max_tokens=1000, extra_headers={"X-Simulator-Fault": "server_error"})
        assert list(ask(client, "anna", max_tokens=1000, stream=True))


def test_an_allowance_that_does_not_fit_is_made_smaller(provider: RunningSimulator, tmp_path: Path) -> None:
    limit = {**MONTHLY, "scope": "global", "each": False, "limit": 5000}
    taximeter.init(data=tmp_path, limits=[limit])
    assert ask(gpt(provider), "anna", max_tokens=32_000).usage.completion_tokens > 0


def test_limits_that_are_wrong_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(taximeter.TaximeterError, match="window: is needed"):
        taximeter.init(data=tmp_path, limits=[{"name": "x", "scope": "global", "measure": "requests", "limit": 1}])


class Desk(BaseHTTPRequestHandler):
    """A server that admits one call, makes one smaller, and refuses the next."""

    answers: ClassVar[list[dict[str, Any]]]
    asked: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/api/v1/limits/admit":
            type(self).asked.append(body)
        content = json.dumps(type(self).answers.pop(0) if "limits" in self.path else {"accepted": 1}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def desk() -> Iterator[tuple[str, type[Desk]]]:
    class Fresh(Desk):
        answers: ClassVar[list[dict[str, Any]]] = []
        asked: ClassVar[list[dict[str, Any]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Fresh
        server.shutdown()


def test_the_server_decides_when_it_is_asked(
    provider: RunningSimulator, tmp_path: Path, desk: tuple[str, type[Desk]]
) -> None:
    url, served = desk
    refused = {"reason": "limit", "message": "the limit 'all' is used up", "limit": "all", "spent": "50", "held": "0"}
    served.answers += [{"verdict": "admitted", "allowance": 7}, {"verdict": "refused", "refused": refused}]
    taximeter.init(data=tmp_path, url=url, admission="deny")
    client = gpt(provider)
    assert ask(client, "anna").usage.completion_tokens <= 7
    with pytest.raises(taximeter.LimitExceeded) as error:
        ask(client, "anna")
    assert (error.value.limit, error.value.spent) == ("all", "50")
    assert served.asked[0]["subject"]["user_id"] == "anna"
    assert served.asked[0]["bound"]["output_tokens"] == 50


@pytest.mark.parametrize(("policy", "served"), [("deny", 0), ("allow", 2), ("cached", 0)])
def test_a_server_that_is_away_is_met_with_the_policy(
    provider: RunningSimulator, tmp_path: Path, policy: str, served: int
) -> None:
    taximeter.init(data=tmp_path, url="http://127.0.0.1:9", admission=policy)
    client, done = gpt(provider), 0
    for _ in range(2):
        try:
            ask(client, "anna")
            done += 1
        except taximeter.LimitExceeded:
            pass
    assert done == served


def test_cached_lets_through_whom_the_server_admitted_a_moment_ago(
    provider: RunningSimulator, tmp_path: Path, desk: tuple[str, type[Desk]]
) -> None:
    url, served = desk
    served.answers += [{"verdict": "admitted"}, {"not": "an answer"}]
    taximeter.init(data=tmp_path, url=url, admission="cached")
    client = gpt(provider)
    ask(client, "anna")
    served.answers.clear()
    assert ask(client, "anna").usage.total_tokens > 0
    with pytest.raises(taximeter.LimitExceeded):
        ask(client, "somebody else")


class Slow:
    """Decides while nobody waits any more."""

    blocks = True

    def __init__(self) -> None:
        self.asked, self.may_decide, self.let_go = threading.Event(), threading.Event(), threading.Event()

    def decide(self, ask: Ask) -> Verdict:
        self.asked.set()
        assert self.may_decide.wait(60)
        limits = read_limits([{"name": "x", "scope": "global", "measure": "requests", "limit": 9, "window": "day"}])
        return Admitted(ask, ruled=Rules(limits).about(ask.subject))

    def settle(self, *_: Any) -> None:
        raise AssertionError("there was no call")

    def void(self, admitted: Admitted) -> None:
        self.let_go.set()


def test_what_is_admitted_after_its_call_was_given_up_is_let_go() -> None:
    limiter = Slow()
    kind = CallKind("openai", "gpt-4o", None, None, None, False, False)
    ask = Ask("an-id", 0, {}, kind, CallBound(0, 0))

    async def give_up() -> None:
        call = asyncio.create_task(admit_async(limiter, ask))
        await asyncio.to_thread(limiter.asked.wait, 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        limiter.may_decide.set()
        assert await asyncio.to_thread(limiter.let_go.wait, 60)

    asyncio.run(give_up())
