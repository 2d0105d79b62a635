"""Whatever is wrong with us, the caller's result, exception and traceback are what they would be without us."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from replay import Answer, Provider, Written, case

import taximeter
from conftest import ClientFor
from taximeter.core import ids
from taximeter.extract.stream import StreamReader
from taximeter.sdk import call, meter, tap
from taximeter.sdk.guard import GUARD, QUIET_SECONDS, Guard
from taximeter.sdk.instruments import langchain, stainless, stainless_call, uninstrument_all
from taximeter.spool import Spool

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
CHAT = case("openai-chat-cached-4omini")
STREAM = case("openai-chat-stream-usage")
RATE_LIMITED = case("openai-error-429-rate")


class BugError(Exception):
    """One of ours."""


def bug(*args: Any, **kwargs: Any) -> Any:
    raise BugError


BUGS: list[tuple[Any, str]] = [
    (Spool, "append"),
    (meter, "_open"),
    (meter.Meter, "append"),
    (ids.EventIds, "new"),
    (meter.Meter, "about"),
    (call.Call, "__init__"),
    (call.Call, "leave"),
    (call.Call, "headed"),
    (call.Call, "answered"),
    (call.Call, "follow"),
    (call.Call, "took"),
    (call.Call, "exhausted"),
    (call.Call, "let_go"),
    (call.Call, "failed"),
    (call.Call, "finish"),
    (call.Call, "_outcome"),
    (stainless_call, "flavour_for"),
    (stainless_call, "_find_out"),
    (stainless, "answered"),
    (stainless_call, "_ask_for_usage"),
    (stainless, "take_back"),
    (stainless_call, "hide_usage_chunk"),
    (stainless_call, "install"),
    (tap, "_tapped"),
]


def observed(client: Any, stream: bool) -> Any:
    """All that a caller can see of a call: what it gives, or what it raises and from where."""
    try:
        answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=stream)
        return [type(answer), list(answer) if stream else answer]
    except openai.APIError as error:
        ours = str(Path(taximeter.__file__).parent)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
        path = [(frame.filename, frame.name, frame.lineno) for frame in frames]
        chain = (type(error.__cause__), type(error.__context__), error.__suppress_context__)
        return [type(error), str(error), chain, path]


@pytest.fixture
def situations(provider: Provider, client_for: ClientFor, tmp_path: Path) -> Any:
    """The situations of a caller, played with a client: a result, a stream, a refusal, a broken stream."""

    def play(metered: bool) -> list[Any]:
        seen = []
        for recorded, changes in (
            (CHAT, {}),
            (STREAM, {}),
            (RATE_LIMITED, {}),
            (STREAM, {"cut_after": 400}),
        ):
            provider.says(recorded, **changes)
            with client_for("openai", provider.url) as client:
                if metered:
                    taximeter.instrument(client)
                seen.append(observed(client, recorded["stream"]))
        return seen

    provider.tells_usage_always = False
    taximeter.shutdown()
    taximeter.init(data=tmp_path)
    yield play
    gc.collect()
    taximeter.shutdown()


def test_without_a_bug(situations: Any) -> None:
    assert situations(metered=True) == situations(metered=False)
    assert not GUARD.failures


@pytest.mark.parametrize(("owner", "name"), BUGS, ids=[f"{getattr(o, '__name__', o)}.{n}" for o, n in BUGS])
@pytest.mark.usefixtures("known_host")
def test_with_a_bug(owner: Any, name: str, situations: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(owner, name, bug)
    if name == "_open":
        taximeter.shutdown()
    metered = situations(metered=True)
    monkeypatch.undo()
    if name == "hide_usage_chunk":
        assert metered[1][1].pop().choices == []  # the one bug that shows: a chunk too many
    assert metered == situations(metered=False)


def test_every_bug_is_counted(situations: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call.Call, "answered", bug)
    situations(metered=True)
    assert GUARD.failures["answer"] == 1


def test_an_asynchronous_call_with_a_bug(
    provider: Provider, client_for: ClientFor, situations: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.says(CHAT)

    async def run() -> Any:
        async with taximeter.instrument(client_for("openai", provider.url, True)) as client:
            return await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    expected = asyncio.run(run())
    monkeypatch.setattr(stainless, "begin", bug)
    assert asyncio.run(run()) == expected


def test_the_log_is_quiet_for_a_minute_and_then_gives_the_totals(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    guard = Guard(clock)
    for _ in range(3):
        assert guard.run("answer", bug) is None
    clock.seconds += QUIET_SECONDS
    guard.lost("event_lost", "disk full")
    first, second = [record.getMessage() for record in caplog.records if record.name == "taximeter"]
    assert "so far answer: 1" in first
    assert "so far answer: 3, event_lost: 1" in second


def test_a_logging_handler_that_fails_does_not_hurt() -> None:
    handler = logging.Handler()
    handler.emit = bug  # type: ignore[method-assign]
    logger = logging.getLogger("taximeter")
    logger.addHandler(handler)
    try:
        assert Guard(ManualClock()).run("answer", bug) is None
    finally:
        logger.removeHandler(handler)


def test_what_is_no_error_passes() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Guard(ManualClock()).run("answer", interrupt)


class ManualClock:
    seconds = 0.0

    def now_us(self) -> int:
        return int(self.seconds * 1e6)

    def monotonic(self) -> float:
        return self.seconds


def test_a_provider_that_answers_nonsense(provider: Provider, client_for: ClientFor, situations: Any) -> None:
    provider.answers = [Answer(200, b"<html>", "text/html")]
    with client_for("openai", provider.url) as bare, client_for("openai", provider.url) as metered:
        assert observed(taximeter.instrument(metered), False) == observed(bare, False)
    assert not GUARD.failures


# ── a failure of ours at an answer ──────────────────────────────────────────────────────────────────────────────


def failing_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    once, original = [bug], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args: (once.pop() if once else original)(*args))


AT_AN_ANSWER: list[tuple[Any, str, bool]] = [
    (stainless, "answered", False),
    (stainless_call, "payload_and_text", False),
    (call.Call, "answered", False),
    (call.Call, "_outcome", True),
    (call.Call, "follow", True),
    (tap, "_tapped", True),
    (StreamReader, "feed", True),
    (StreamReader, "reading", True),
]


@pytest.mark.parametrize("patched_class", [False, True], ids=["instrument", "instrument_all"])
@pytest.mark.parametrize(("owner", "name", "stream"), AT_AN_ANSWER, ids=[name for _, name, _ in AT_AN_ANSWER])
@pytest.mark.usefixtures("lasting")
def test_an_answer_that_we_fail_to_read_is_one_whose_usage_is_unknown(
    owner: Any,
    name: str,
    stream: bool,
    patched_class: bool,
    provider: Provider,
    client_for: ClientFor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    taximeter.init(data=tmp_path)
    provider.says(STREAM if stream else CHAT)
    with client_for("openai", provider.url) as client:
        if patched_class:
            taximeter.instrument_all()
        else:
            taximeter.instrument(client)
        failing_once(monkeypatch, owner, "answered_with" if patched_class and owner is stainless else name)
        try:
            observed(client, stream)
        finally:
            uninstrument_all()
    taximeter.flush()
    event = Written(tmp_path).event
    assert (event["status"], event["http_status"], event["usage_conflict"]) == ("ok", 200, True)
    if name != "feed":  # what the other pieces said is kept
        assert "input_tokens" not in event
    taximeter.shutdown()
    assert sum(GUARD.failures.values()) == 1


@pytest.mark.usefixtures("lasting")
def test_so_is_one_of_a_library_whose_calls_and_attempts_are_functions(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taximeter.init(data=tmp_path)
    failing_once(monkeypatch, call.Call, "answered")
    provider.answers = [Answer(200, b'{"model": "llama3.2", "message": {"role": "assistant"}, "eval_count": 3}')]
    taximeter.instrument(ollama.Client(provider.url)).chat("llama3.2", MESSAGES)
    event = Written(tmp_path).event
    assert (event["status"], event["http_status"], event["usage_conflict"]) == ("ok", 200, True)
    taximeter.shutdown()


def test_so_is_one_of_a_framework(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taximeter.init(data=tmp_path)
    failing_once(monkeypatch, langchain, "_payload")
    model = GenericFakeChatModel(messages=iter([AIMessage("x")]))
    assert taximeter.instrument(model).invoke("hello").content == "x"
    event = Written(tmp_path).event
    assert (event["status"], event["usage_conflict"]) == ("ok", True)
    taximeter.shutdown()
