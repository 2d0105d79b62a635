"""What a call leaves behind, and what it does not change."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from replay import Answer, Provider, Written, case

import taximeter
from conftest import ClientFor
from taximeter.core.event import FIELD_NAMES
from taximeter.core.expected import UNKNOWN_OUTPUT_TOKENS
from taximeter.core.ids import attempt_id, unix_ms_of
from taximeter.errors import UsageError
from taximeter.sdk import hosts
from taximeter.sdk.call import Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments import stainless, uninstrument_all

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
CHAT = case("openai-chat-cached-4omini")
RATE_LIMITED = case("openai-error-429-rate")


def chat(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **options)


@pytest.mark.usefixtures("lasting")
def test_a_call_is_begun_and_ended_with_what_is_known(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(CHAT)
    taximeter.init(data=written.data, service="checkout", service_version="3", environment="prod")
    with (
        taximeter.instrument(client_for("openai", provider.url)) as client,
        taximeter.attribute(user="user_123", feature="smart-reply", tags={"tier": "gold"}),
    ):
        chat(client)
    event, (begun,) = written.event, written.begun
    who = {"user_id": "user_123", "feature": "smart-reply", "service": "checkout", "environment": "prod"}
    assert who.items() <= event.items()
    assert who.items() <= begun.items()
    assert event["tags"] == {"tier": "gold"}
    assert (event["status"], event["http_status"], event["attempt"], event["source"]) == ("ok", 200, 1, "sdk")
    assert (event["request_model"], event["operation"]) == ("gpt-4o-mini", "chat")
    assert begun["input_tokens"] > 0
    assert set(event) <= set(FIELD_NAMES)
    assert unix_ms_of(event["event_id"]) is not None


@pytest.mark.usefixtures("lasting")
def test_a_begin_says_how_much_such_calls_usually_write(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(CHAT)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        chat(client)
        chat(client)
        chat(client, max_tokens=1)
    told = CHAT["expected"]["output_tokens_total"]
    assert [begun["expected_output_tokens"] for begun in written.begun] == [UNKNOWN_OUTPUT_TOKENS, told, 1]


def test_names_with_every_kind_of_character_stay_one_line(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    strange = 'a"b\\c\n\u2028é\ud800'
    with (
        taximeter.instrument(client_for("openai", provider.url)) as client,
        taximeter.attribute(user=strange, tags={'t"': strange}),
    ):
        client.chat.completions.create(model='m"\n', messages=MESSAGES)
    assert written.event["user_id"] == strange.replace("\ud800", "?")
    assert written.event["request_model"] == 'm"\n'


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_is_raised_unchanged_and_recorded(
    asynchronous: bool, provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(RATE_LIMITED)

    async def run(client: Any) -> None:
        async with client:
            await chat(client)

    client = taximeter.instrument(client_for("openai", provider.url, asynchronous))
    with pytest.raises(openai.RateLimitError) as raised:
        asyncio.run(run(client)) if asynchronous else chat(client)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or not isinstance(raised.value.__context__, taximeter.TaximeterError)
    event = written.event
    assert (event["status"], event["http_status"], event["not_billed"]) == ("error", 429, True)
    assert event["error_type"] == RATE_LIMITED["expected"]["error"]["type"]
    assert "input_tokens" not in event
    if not asynchronous:
        client.close()


def test_nobody_answers(written: Written, client_for: ClientFor) -> None:
    with (
        taximeter.instrument(client_for("openai", "http://127.0.0.1:9")) as client,
        pytest.raises(openai.APIConnectionError) as raised,
    ):
        chat(client)
    assert type(raised.value.__cause__).__name__ == "ConnectError"
    assert (written.event["status"], written.event["error_type"]) == ("error", "connection_error")


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries wait before they try again."""
    for library in (openai, anthropic):
        base = library._base_client.BaseClient
        monkeypatch.setattr(base, "_calculate_retry_timeout", lambda *_, **__: 0.001)


def call_once(library: str, url: str, asynchronous: bool, client_for: ClientFor, stream: bool = False) -> None:
    client = taximeter.instrument(client_for(library, url, asynchronous)).with_options(max_retries=2)
    made: Any = {"model": "m", "messages": MESSAGES, "stream": stream}
    create = client.messages.create if library == "anthropic" else client.chat.completions.create
    made |= {"max_tokens": 5} if library == "anthropic" else {}

    async def run() -> None:
        async with client:
            answer = await create(**made)
            if stream:
                [_ async for _ in answer]

    if asynchronous:
        asyncio.run(run())
        return
    with client:
        answer = create(**made)
        list(answer) if stream else None


def ids_of_attempts(first: str, attempts: int) -> list[str]:
    return [attempt_id(first, attempt) for attempt in range(1, attempts + 1)]


RETRIED = [
    ("openai", False, CHAT),
    ("openai", True, CHAT),
    ("openai", False, case("openai-chat-stream-usage")),
    ("openai", True, case("openai-chat-stream-usage")),
    ("anthropic", False, case("anthropic-cache-read-opus48")),
    ("anthropic", True, case("anthropic-cache-read-opus48")),
]


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize(("library", "asynchronous", "recorded"), RETRIED)
@pytest.mark.usefixtures("lasting", "_no_pause")
def test_every_attempt_of_the_library_is_an_event(
    library: str,
    asynchronous: bool,
    recorded: dict[str, Any],
    everywhere: bool,
    provider: Provider,
    written: Written,
    client_for: ClientFor,
) -> None:
    provider.says(recorded)
    provider.answers[:0] = [Answer(500, b'{"error": {"message": "later"}}'), Answer(429, b"{}")]
    if everywhere:
        taximeter.instrument_all()
    try:
        call_once(library, provider.url, asynchronous, client_for, stream=recorded.get("stream", False))
    finally:
        uninstrument_all()
    events = written.events
    told = [(event["status"], event["http_status"], event["attempt"]) for event in events]
    assert told == [("error", 500, 1), ("error", 429, 2), ("ok", 200, 3)]
    assert [event["event_id"] for event in events] == ids_of_attempts(events[0]["event_id"], 3)
    assert {event["request_id"] for event in events} == {events[0]["event_id"]}
    assert [begun["event_id"] for begun in written.begun] == [event["event_id"] for event in events]
    assert [begun.get("attempt", 1) for begun in written.begun] == [1, 2, 3]
    assert events[0]["started_at"] < events[1]["started_at"] < events[2]["started_at"]
    assert all(event["error_type"] for event in events[:2])


@pytest.mark.parametrize("library", ["openai", "anthropic"])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.usefixtures("_no_pause")
def test_every_attempt_that_nobody_answers_is_an_event(
    library: str, asynchronous: bool, written: Written, client_for: ClientFor
) -> None:
    with pytest.raises((openai.APIConnectionError, anthropic.APIConnectionError)):
        call_once(library, "http://127.0.0.1:9", asynchronous, client_for)
    told = [(event["status"], event["error_type"], event["attempt"]) for event in written.events]
    assert told == [("error", "connection_error", attempt) for attempt in (1, 2, 3)]


@pytest.mark.usefixtures("_no_pause")
def test_a_call_that_fails_at_every_attempt(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.answers = [Answer(503, b"{}")]
    with pytest.raises(openai.InternalServerError):
        call_once("openai", provider.url, False, client_for)
    assert [(event["http_status"], event["attempt"]) for event in written.events] == [(503, 1), (503, 2), (503, 3)]


@pytest.mark.usefixtures("_no_pause")
def test_a_version_without_the_place_where_attempts_are_seen(
    provider: Provider, written: Written, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.says(CHAT)
    provider.answers.insert(0, Answer(500, b"{}"))
    monkeypatch.setattr(stainless, "_RETRY", "_renamed")
    call_once("openai", provider.url, False, client_for)
    assert (written.event["status"], written.event["attempt"]) == ("ok", 2)


@pytest.mark.parametrize("name", ["tried", "again"])
@pytest.mark.usefixtures("_no_pause")
def test_a_bug_between_two_attempts_does_not_hurt(
    name: str, provider: Provider, tmp_path: Path, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.says(CHAT)
    provider.answers.insert(0, Answer(500, b"{}"))
    taximeter.init(data=tmp_path)
    monkeypatch.setattr(Call, name, lambda *_: 1 / 0)
    call_once("openai", provider.url, False, client_for)
    taximeter.shutdown()
    assert GUARD.failures == {"retry": 1}


def test_what_is_not_a_model_call_is_left_alone(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.answers = [Answer(200, b'{"object": "list", "data": []}')]
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        assert list(client.models.list()) == []
    assert written.lines == []


# ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_this_client_is_metered_once(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(CHAT)
    with client_for("openai", provider.url) as other, client_for("openai", provider.url) as client:
        assert taximeter.instrument(taximeter.instrument(client)) is client
        assert type(client) is openai.OpenAI
        chat(other)
        chat(client)
    assert len(written.events) == 1


@pytest.mark.parametrize("make", ["copy", "with_options"])
def test_a_client_made_from_it_is_metered_too(
    make: str, provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(CHAT)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        chat(getattr(getattr(client, make)(timeout=5), make)(timeout=6))
        chat(client)
    assert len(written.events) == 2


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_a_client_that_python_copied_calls_for_itself_and_is_metered_too(
    library: str, provider: Provider, written: Written, client_for: ClientFor
) -> None:
    with taximeter.instrument(client_for(library, "http://127.0.0.1:9")) as client:
        twin = copy.copy(client)
        twin.api_key, twin.base_url = "another", provider.url
        twin.post("chat/completions", cast_to=object, body={"model": "gpt-4o-mini"})
        copy.copy(twin).post("chat/completions", cast_to=object, body={"model": "gpt-4o-mini"})
        assert client.api_key == "k"
    assert ["another" in str(headers) for _, headers, _ in provider.requests] == [True, True]
    assert [event["status"] for event in written.events] == ["ok", "ok"]


def test_what_else_a_client_holds_is_copied_with_it(client_for: ClientFor) -> None:
    class Named(openai.OpenAI):
        __slots__ = ("name",)

    client = Named(api_key="k", base_url="http://127.0.0.1:9", http_client=openai.DefaultHttpxClient(verify=False))
    client.name, client.tag = "n", "t"  # type: ignore[attr-defined]
    twin: Any = copy.copy(taximeter.instrument(client))
    assert (twin.name, twin.tag, twin.base_url) == ("n", "t", client.base_url)
    client.close()


def test_instrument_all_meters_every_client_and_can_be_undone(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(CHAT)
    with client_for("openai", provider.url) as earlier:
        try:
            found = taximeter.instrument_all()
            assert {"openai", "anthropic"} <= set(found)
            assert taximeter.instrument_all() == found
            with taximeter.instrument(client_for("openai", provider.url)) as client:
                chat(client)
                chat(client.copy())
            chat(earlier)
            assert len(written.events) == 3
        finally:
            uninstrument_all()
        chat(earlier)
    assert len(written.events) == 3


def test_instrumented_before_and_by_instrument_all_counts_once(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(CHAT)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        taximeter.instrument_all()
        try:
            chat(client)
        finally:
            uninstrument_all()
    assert len(written.events) == 1


def test_an_unknown_client_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"cannot instrument builtins\.dict .*openai, anthropic"):
        taximeter.instrument({})


def test_azure(provider: Provider, written: Written) -> None:
    provider.says(case("azure-chat-4o"))
    client = openai.AzureOpenAI(
        azure_endpoint=provider.url,
        api_key="k",
        api_version="2024-10-21",
        http_client=openai.DefaultHttpxClient(verify=False),
    )
    with taximeter.instrument(client):
        client.chat.completions.create(model="my-deployment", messages=MESSAGES)
    assert provider.requests[0][0].startswith("/openai/deployments/my-deployment/chat/completions")
    assert (written.event["provider"], written.event["request_model"]) == ("azure", "my-deployment")


@pytest.mark.parametrize(
    ("base_url", "provider_name"),
    [
        ("https://api.openai.com/v1/", "openai"),
        ("https://acme.openai.azure.com/openai/", "azure"),
        ("https://api.groq.com/openai/v1/", "groq"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://llm.example.com:8443/v1/", "llm.example.com"),
        ("https://notopenrouter.ai/v1/", "notopenrouter.ai"),
        ("http://127.0.0.1:8787/openai/v1/", "openai"),
        ("http://127.0.0.1:8787/local/v1/", "local"),
    ],
)
def test_the_provider_is_named_for_its_host(base_url: str, provider_name: str) -> None:
    assert hosts.host_of(base_url, "http://127.0.0.1:8787").provider == provider_name


# ── through our own gateway ─────────────────────────────────────────────────────────────────────────────────


def test_our_gateway_is_told_the_event_and_who_it_is_for(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    """The configured URL is how the SDK knows that it is ours."""
    provider.says(CHAT)
    taximeter.init(data=written.data, url=provider.url)
    with (
        taximeter.instrument(client_for("openai", provider.url + "/openai/v1")) as client,
        taximeter.attribute(user="jörg", feature="chat", tags={"a": "1,2", "b=c": "x"}),
    ):
        chat(client, extra_headers={"X-Own": "1"})
        chat(client)
    sent = next(headers for path, headers, _ in provider.requests if path == "/openai/v1/chat/completions")
    first, second = written.events
    assert sent["x-taximeter-event-id"] == first["event_id"] != second["event_id"]
    assert (sent["x-taximeter-user"], sent["x-taximeter-feature"]) == ("j%C3%B6rg", "chat")
    assert (sent["x-taximeter-tags"], sent["x-own"]) == ("a=1%2C2,b%3Dc=x", "1")
    assert first["provider"] == "openai"
    assert written.begun == []  # the gateway writes that


def test_our_gateway_is_told_which_process_it_is(provider: Provider, written: Written, client_for: ClientFor) -> None:
    """The gateway's event is the one that counts, so what `init` says has to be in there."""
    provider.says(CHAT)
    taximeter.init(data=written.data, url=provider.url, service="check out", service_version="1.2", environment="prod")
    with (
        taximeter.instrument(client_for("openai", provider.url + "/openai/v1")) as client,
        taximeter.attribute(environment="staging"),
    ):
        chat(client)
    sent = next(headers for path, headers, _ in provider.requests if path == "/openai/v1/chat/completions")
    told = [sent[f"x-taximeter-{name}"] for name in ("service", "service-version", "environment")]
    assert told == ["check out", "1.2", "staging"]


def test_a_retried_call_through_our_gateway_has_the_id_of_its_last_attempt(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    """The gateway gives every attempt its own event by the same rule."""
    provider.says(CHAT)
    provider.answers.insert(0, Answer(500, b"{}"))
    taximeter.init(data=written.data, url=provider.url)
    with taximeter.instrument(client_for("openai", provider.url + "/openai/v1")) as client:
        chat(client.with_options(max_retries=1))
    calls = [headers for path, headers, _ in provider.requests if path.endswith("/completions")]
    (event,) = written.events
    assert event["event_id"] == attempt_id(calls[0]["x-taximeter-event-id"], 2)
    assert {headers["x-taximeter-event-id"] for headers in calls} == {calls[0]["x-taximeter-event-id"]}


def test_of_our_gateway_only_what_the_call_knows_better_is_told(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    """A call that was given up goes on in the gateway, which learns what it cost; one that found nobody does not."""
    provider.says(CHAT)
    provider.answers.insert(0, Answer(500, b"{}"))
    provider.answers.insert(0, Answer(200, b'{"id":', cut_after=3))
    taximeter.init(data=written.data, url=provider.url)
    with taximeter.instrument(client_for("openai", provider.url + "/openai/v1")) as client:
        with pytest.raises(openai.APIConnectionError):
            chat(client)
        assert written.events == []
        with pytest.raises(openai.InternalServerError):
            chat(client)
        assert [event["http_status"] for event in written.events] == [500]
    taximeter.init(data=written.data, url="http://127.0.0.1:1")
    with (
        taximeter.instrument(client_for("openai", "http://127.0.0.1:1/openai/v1")) as nobody,
        pytest.raises(openai.APIConnectionError),
    ):
        chat(nobody)
    assert {event.get("error_type") for event in written.events} == {"http_500", "connection_error"}


def test_a_call_made_in_a_span_of_opentelemetry_names_it(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    provider.says(CHAT)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        with TracerProvider().get_tracer("app").start_as_current_span("answer") as span:
            chat(client)
        chat(client)
    within, without = written.events
    context = span.get_span_context()
    assert (int(within["trace_id"], 16), int(within["span_id"], 16)) == (context.trace_id, context.span_id)
    assert {"trace_id", "span_id"}.isdisjoint(without)


def test_nothing_of_ours_is_sent_to_a_provider(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(CHAT)
    with taximeter.instrument(client_for("openai", provider.url)) as client, taximeter.attribute(user="ann"):
        chat(client)
    assert not [name for name in provider.requests[0][1] if "taximeter" in name]
    assert "ann" not in json.dumps(provider.requests[0][2])


def test_anthropic_clients_share_all_of_this(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(case("anthropic-error-529"))
    with (
        taximeter.instrument(client_for("anthropic", provider.url)) as client,
        pytest.raises(anthropic.APIStatusError),
    ):
        client.with_options(timeout=5).messages.create(model="claude", max_tokens=5, messages=MESSAGES)
    assert (written.event["status"], written.event["http_status"]) == ("error", 529)


def test_every_answer_that_a_middleware_causes_is_an_event(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    """Both were made by the provider, and both are billed."""

    def twice(request: Any, call_next: Any) -> Any:
        call_next(request).parse()
        return call_next(request)

    recorded = case("anthropic-cache-read-opus48")
    provider.says(recorded)
    with taximeter.instrument(client_for("anthropic", provider.url, middleware=[twice])) as client:
        client.messages.create(model="claude", max_tokens=5, messages=MESSAGES)
    first, second = written.events
    assert (first["status"], first["attempt"], second["attempt"]) == ("ok", 1, 2)
    assert second["event_id"] == attempt_id(first["event_id"], 2)
    assert first["input_tokens"] == second["input_tokens"] == recorded["expected"]["input_tokens_total"]
