"""Websockets: message by message unchanged, each response in them an event."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from gateway_rig import KEY, PROVIDER_KEY, Rig, running
from test_gateway_recorded import RECORDED, case_id, differences
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from taximeter.core.event import UsageEvent
from taximeter.extract import Reading
from taximeter.gateway import Asking, Provider, Refusal

REALTIME = "/openai/v1/realtime?model=gpt-realtime"
LIVE = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"

Scene = Callable[[ServerConnection], None]


class SocketProvider:
    """A provider that plays one scene on every websocket."""

    def __init__(self) -> None:
        self.scene: Scene = lambda _: None
        self.refusal: tuple[int, bytes] | None = None
        self.seen: list[Request] = []
        self.heard: list[str | bytes] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self.left = threading.Event()
        self._server: Server | None = None

    def __call__(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            self.scene(connection)
            connection.close()
        self.closed.append((connection.close_code, connection.close_reason))
        self.left.set()

    def ask(self, connection: ServerConnection, request: Request) -> Response | None:
        self.seen.append(request)
        if self.refusal is None:
            return None
        status, body = self.refusal
        return connection.respond(status, body.decode())

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        spoken = [Subprotocol("realtime")]

        def select(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            return next((name for name in offered if name in spoken), None)

        with serve(
            self, "127.0.0.1", 0, process_request=self.ask, select_subprotocol=select, compression=None
        ) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield server.socket.getsockname()[1]
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def behind_a_gateway(**more: Any) -> Iterator[tuple[Rig, SocketProvider]]:
    provider = SocketProvider()
    with provider.serving() as port:
        base = f"http://127.0.0.1:{port}"

        def providers(_: int) -> list[Provider]:
            return [
                Provider("openai", "openai", f"{base}/v1", PROVIDER_KEY),
                Provider("azure", "azure", base, PROVIDER_KEY),
                Provider("xai", "xai", f"{base}/v1", PROVIDER_KEY),
                Provider("gemini", "gemini", base, PROVIDER_KEY),
            ]

        with running(more_providers=providers, **more) as rig:
            yield rig, provider


def open_socket(rig: Rig, path: str, *, key: str | None = KEY, **more: Any) -> ClientConnection:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    given = {**headers, **more.pop("headers", {})}
    url = f"ws://127.0.0.1:{rig.port}{path}"
    connection: ClientConnection = connect(url, additional_headers=given, compression=None, proxy=None, **more)
    return connection


def received(connection: ClientConnection) -> list[str | bytes]:
    """All that comes until the other side closes."""
    found: list[str | bytes] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(connection.recv(timeout=120))
    return found


def telling(messages: Sequence[str | bytes]) -> Scene:
    """Waits for a first message, then tells all of these."""

    def scene(connection: ServerConnection) -> None:
        connection.recv(timeout=120)
        for message in messages:
            connection.send(message)

    return scene


def done(response_id: str, read: int, written: int) -> str:
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    return json.dumps({"type": "response.done", "response": {"id": response_id, "usage": usage}})


CREATED = json.dumps({"type": "response.created", "response": {"id": "r"}})
DELTA = json.dumps({"type": "response.output_text.delta", "delta": "word " * 8})


# ── recordings ───────────────────────────────────────────────────────────────────────────────────────────────

SESSIONS = [case for case in RECORDED if case["response"]["status"] == 101]


@pytest.mark.parametrize("case", SESSIONS, ids=case_id)
def test_a_recorded_session_gives_the_expected_usage(case: dict[str, Any]) -> None:
    lines = [line for line in case["response"]["body"].split("\n") if line.strip()]
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling(lines)
        with open_socket(rig, f"/{case['name']}{case['request']['path']}") as connection:
            connection.send("{}")
            assert received(connection) == lines
        events = rig.log.of(None)
        begun = [begin["event_id"] for begin in rig.log.of("begin")]
    # What another model transcribed is a call of its own, outside the session's sum.
    responses = [event for event in events if event["response_model"] == case["expected"]["model"]]
    assert differences(responses, case) == []
    assert sorted(begun) == sorted(event["event_id"] for event in events)
    assert {event["operation"] for event in events} == {"realtime"}


# ── there and back ───────────────────────────────────────────────────────────────────────────────────────────


def test_messages_of_both_kinds_pass_unchanged_both_ways() -> None:
    sent: list[str | bytes] = ["text", b"\x00\xff bytes", "ünïcode", "", b"", "x" * 300_000]

    def echo(connection: ServerConnection) -> None:
        for _ in sent:
            connection.send(connection.recv(timeout=120))

    with behind_a_gateway() as (rig, provider):
        provider.scene = echo
        with open_socket(rig, REALTIME) as connection:
            for message in sent:
                connection.send(message)
            assert received(connection) == sent
            assert connection.close_code == 1000


def test_how_one_side_closes_is_told_to_the_other() -> None:
    def quota(connection: ServerConnection) -> None:
        connection.close(4003, "insufficient_quota")

    with behind_a_gateway() as (rig, provider):
        provider.scene = quota
        with open_socket(rig, REALTIME) as connection:
            received(connection)
            assert (connection.close_code, connection.close_reason) == (4003, "insufficient_quota")
        assert provider.left.wait(100)
        provider.left.clear()
        provider.scene = received_by_the_provider
        with open_socket(rig, REALTIME) as connection:
            connection.close(4001, "bye")
        assert provider.left.wait(100)
        assert provider.closed[-1] == (4001, "bye")


def received_by_the_provider(connection: ServerConnection) -> None:
    while True:
        connection.recv(timeout=120)


def test_each_response_is_an_event_of_its_own_under_one_request_id() -> None:
    messages = [CREATED, DELTA, done("r1", 10, 4), CREATED, done("r2", 30, 6)]
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling(messages)
        headers = {"X-Taximeter-Feature": "voice", "X-Taximeter-User": "ada", "X-Request-Id": "mine"}
        with open_socket(rig, REALTIME, headers=headers) as connection:
            connection.send("{}")
            assert received(connection) == messages
            assert connection.response is not None
            told = connection.response.headers["x-taximeter-event-id"]
        first, second = rig.log.wait_for(2)
    assert first["event_id"] == told != second["event_id"]
    assert [(event["input_tokens"], event["output_tokens"]) for event in (first, second)] == [(10, 4), (30, 6)]
    assert {event["request_id"] for event in (first, second)} == {"mine"}
    assert {(event["feature"], event["user_id"], event["status"]) for event in (first, second)} == {
        ("voice", "ada", "ok")
    }
    assert {event["request_model"] for event in (first, second)} == {"gpt-realtime"}
    assert first["time_to_first_token_ms"] >= 0
    assert second.get("time_to_first_token_ms") is None


def test_a_transcript_that_comes_while_a_response_is_under_way_is_another_call() -> None:
    usage = {"type": "tokens", "input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    kind = "conversation.item.input_audio_transcription.completed"
    transcript = json.dumps({"type": kind, "item_id": "item_1", "usage": usage})
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling([CREATED, DELTA, transcript, DELTA, done("r1", 10, 4)])
        with open_socket(rig, REALTIME) as connection:
            connection.send("{}")
            received(connection)
        heard, answered = rig.log.wait_for(2)
        first, _ = rig.log.of("begin")
    assert (heard["input_tokens"], answered["input_tokens"]) == (5, 10)
    assert answered["event_id"] == first["event_id"], "the response goes on under the id it began with"


def test_a_response_that_is_cut_off_is_interrupted_with_an_estimate() -> None:
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling([done("r1", 10, 4), CREATED, DELTA])
        with open_socket(rig, REALTIME) as connection:
            connection.send("{}")
            received(connection)
        _, cut = rig.log.wait_for(2)
    assert (cut["status"], cut["error_type"], cut["usage_estimated"]) == ("interrupted", "closed_early", True)
    assert cut["output_tokens"] == 10


def test_a_response_that_is_cut_off_because_the_gateway_stops_was_not_cancelled_by_its_client() -> None:
    def scene(connection: ServerConnection) -> None:
        telling([CREATED, DELTA])(connection)
        received_by_the_provider(connection)

    with contextlib.ExitStack() as open_still:
        with behind_a_gateway() as (rig, provider):
            provider.scene = scene
            connection = open_still.enter_context(open_socket(rig, REALTIME))
            connection.send("{}")
            assert [connection.recv(timeout=120) for _ in range(2)] == [CREATED, DELTA]
        (cut,) = rig.log.of(None)
    assert (cut["status"], cut["error_type"], cut["usage_estimated"]) == ("interrupted", "gateway_stopped", True)


def test_a_client_that_leaves_in_a_response_is_cancelled() -> None:
    def unending(connection: ServerConnection) -> None:
        connection.recv(timeout=120)
        connection.send(CREATED)
        connection.send(DELTA)
        received_by_the_provider(connection)

    with behind_a_gateway() as (rig, provider):
        provider.scene = unending
        with open_socket(rig, REALTIME) as connection:
            connection.send("{}")
            assert [connection.recv(timeout=120) for _ in range(2)] == [CREATED, DELTA]
        assert provider.left.wait(100), "the provider is told that nobody listens any more"
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["output_tokens"]) == ("cancelled", 10)


def test_gemini_live_names_its_model_in_the_first_message_and_tells_usage_by_turns() -> None:
    setup = json.dumps({"setup": {"model": "models/gemini-live-2.5-flash"}})
    spoken = b'{\n "serverContent": {"modelTurn": {"parts": [{"text": "Hi"}]}}\n}\n'
    turn = b'{"usageMetadata":{"promptTokenCount":7,"responseTokenCount":3,"totalTokenCount":10}}'
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling([b'{"setupComplete":{}}', spoken, turn, spoken, turn])
        with open_socket(rig, f"{LIVE}?key={KEY}", key=None) as connection:
            connection.send(setup)
            assert len(received(connection)) == 5
        events = rig.log.wait_for(2)
        request = provider.seen[0]
        assert request.headers["x-goog-api-key"] == PROVIDER_KEY
        assert KEY not in request.path
    assert [(event["request_model"], event["input_tokens"]) for event in events] == [("gemini-live-2.5-flash", 7)] * 2


def test_responses_over_a_websocket_are_read_as_they_are_over_http() -> None:
    usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    completed = {"id": "resp_1", "model": "gpt-5.2", "status": "completed", "usage": usage, "output": []}
    messages = [
        json.dumps({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.2"}}),
        json.dumps({"type": "response.output_text.delta", "delta": "Hi"}),
        json.dumps({"type": "response.completed", "response": completed}),
    ]
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling([*messages, *messages])
        with open_socket(rig, "/openai/v1/responses") as connection:
            connection.send(json.dumps({"type": "response.create", "model": "gpt-5.2", "input": "Hello"}))
            received(connection)
        events = rig.log.wait_for(2)
    assert [(event["request_model"], event["input_tokens"], event["status"]) for event in events] == [
        ("gpt-5.2", 9, "ok")
    ] * 2


def test_errors_and_news_between_responses_are_not_taken_for_parts_of_the_next_one() -> None:
    usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    news = json.dumps({"type": "codex.rate_limits", "plan_type": "plus"})
    refused = {"type": "invalid_request_error", "code": "previous_response_not_found", "message": "no"}
    created = json.dumps({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.2"}})
    completed = {"id": "resp_1", "model": "gpt-5.2", "status": "completed", "usage": usage, "output": []}
    messages = [
        news,
        json.dumps({"type": "error", "status": 400, "error": refused}),
        created,
        news,
        json.dumps({"type": "response.completed", "response": completed}),
        news,
        created,
        DELTA,
        json.dumps({"type": "error", "status": 500, "error": {"type": "server_error"}}),
        news,
    ]
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling(messages)
        with open_socket(rig, "/openai/v1/responses") as connection:
            connection.send(json.dumps({"type": "response.create", "model": "gpt-5.2", "input": "Hello"}))
            assert received(connection) == messages
        events, begun = rig.log.of(None), rig.log.of("begin")
    assert [(event["status"], event.get("error_type"), event.get("output_tokens")) for event in events] == [
        ("error", "invalid_request_error", None),
        ("ok", None, 2),
        ("error", "server_error", 10),
    ]
    assert [event.get("not_billed", False) for event in events] == [True, False, False]
    assert [one["event_id"] for one in begun] == [event["event_id"] for event in events]


def live(kind: str, **more: Any) -> str:
    return json.dumps({"type": f"session.{kind}", **more})


LIVE_START = live("start", session={"model": "gpt-live-1"})
LIVE_STARTED = live("started", session={"id": "live_1", "model": "gpt-live-1"})
LIVE_SO_FAR = live("usage.updated", usage={"seconds": 12.5})
LIVE_SPOKEN = live("output_audio.delta", delta="AAAA")


def test_a_session_of_gpt_live_is_one_event_with_its_seconds() -> None:
    messages = [LIVE_STARTED, LIVE_SPOKEN, LIVE_SO_FAR, live("closed", usage={"seconds": 90})]
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling(messages)
        with open_socket(rig, "/openai/v1/live/sessions") as connection:
            connection.send(LIVE_START)
            assert received(connection) == messages
        (event,) = rig.log.wait_for(1)
    assert (event["request_model"], event["response_model"], event["status"]) == ("gpt-live-1", "gpt-live-1", "ok")
    assert (event["units"], event["operation"]) == ({"audio_seconds": 90}, "realtime")
    assert event["time_to_first_token_ms"] >= 0


def test_a_session_of_gpt_live_that_is_cut_off_costs_the_seconds_told_last() -> None:
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling([LIVE_STARTED, LIVE_SO_FAR, LIVE_SPOKEN])
        with open_socket(rig, "/openai/v1/live/sessions") as connection:
            connection.send(LIVE_START)
            received(connection)
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["units"]) == ("interrupted", {"audio_seconds": "12.5"})


def test_seconds_of_gpt_live_count_once_however_often_somebody_attaches_to_the_session() -> None:
    with behind_a_gateway() as (rig, provider):
        for seconds in (40, 40, 65):
            provider.scene = telling([live("usage.updated", usage={"seconds": seconds})])
            with open_socket(rig, "/openai/v1/live/sessions/live_1/attach") as connection:
                connection.send(live("update"))
                received(connection)
        events = rig.log.wait_for(3)
    assert [event.get("units") for event in events] == [{"audio_seconds": 40}, None, {"audio_seconds": 25}]
    assert [bool(event.get("not_billed")) for event in events] == [False, True, False]


def test_a_websocket_that_is_not_known_is_one_call_without_usage() -> None:
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling(["{}"])
        with open_socket(rig, "/openai/v1/something/new") as connection:
            connection.send("{}")
            received(connection)
        (event,) = rig.log.wait_for(1)
    assert event["status"] == "ok"
    assert "input_tokens" not in event


def test_a_session_without_a_response_costs_nothing_and_leaves_no_row() -> None:
    with behind_a_gateway() as (rig, provider):
        provider.scene = telling([json.dumps({"type": "session.created", "session": {"model": "gpt-realtime"}})])
        with open_socket(rig, REALTIME) as connection:
            connection.send("{}")
            received(connection)
        assert rig.log.lines == []


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_may_come_as_a_subprotocol_and_goes_no_further() -> None:
    with behind_a_gateway() as (rig, provider):
        offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
        with open_socket(rig, REALTIME, key=None, subprotocols=offered) as connection:
            assert connection.subprotocol == "realtime"
            received(connection)
        request = provider.seen[0]
    assert request.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert request.headers["sec-websocket-protocol"] == "realtime"
    assert KEY not in str(request.headers)


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("unknown", 401), ("tm-read-key", 403)])
def test_who_may_not_is_refused_before_it_is_open(key: str | None, status: int) -> None:
    with behind_a_gateway() as (rig, provider):
        with pytest.raises(InvalidStatus) as refused:
            open_socket(rig, REALTIME, key=key)
        assert refused.value.response.status_code == status
        assert "taximeter" in json.loads(refused.value.response.body or b"")["error"]["message"]
        assert (provider.seen, rig.log.lines) == ([], [])


def test_what_the_provider_refuses_is_handed_on() -> None:
    with behind_a_gateway() as (rig, provider):
        provider.refusal = (403, b'{"error":{"message":"no such model"}}')
        with pytest.raises(InvalidStatus) as refused:
            open_socket(rig, REALTIME)
        assert refused.value.response.status_code == 403
        assert refused.value.response.body == b'{"error":{"message":"no such model"}}'
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["error_type"], event["not_billed"]) == ("error", "http_403", True)


def test_a_provider_that_is_not_there_is_an_error_of_the_gateway() -> None:
    def gone(_: int) -> list[Provider]:
        return [Provider("gone", "openai", "http://127.0.0.1:9/v1", PROVIDER_KEY)]

    with running(more_providers=gone) as rig:
        with pytest.raises(InvalidStatus) as refused:
            open_socket(rig, "/gone/v1/realtime")
        assert refused.value.response.status_code == 502
        (event,) = rig.log.wait_for(1)
    assert (event["error_type"], event["not_billed"]) == ("connect_failed", True)


class OneCallOnly:
    """Admits the first call and refuses the next."""

    def __init__(self) -> None:
        self.asked = 0
        self.settled: list[UsageEvent] = []

    async def admit(self, _: Asking) -> OneCallOnly:
        self.asked += 1
        if self.asked > 1:
            raise Refusal(429, "limit_exceeded", "taximeter: the limit 'daily' is used up")
        return self

    body = None
    leased = False
    held: Mapping[str, int] = {}

    async def flows(self, _: bytes, __: Reading) -> Refusal | None:
        return None

    def settle(self, event: UsageEvent) -> None:
        self.settled.append(event)


def test_every_response_has_to_be_admitted() -> None:
    rule = OneCallOnly()
    with behind_a_gateway(admission=rule) as (rig, provider):
        provider.scene = telling([CREATED, done("r1", 10, 4), CREATED, DELTA])
        with open_socket(rig, REALTIME) as connection:
            connection.send("{}")
            assert len(received(connection)) == 2
            assert (connection.close_code, connection.close_reason) == (1008, "taximeter: the limit 'daily' is used up")
        event, refused = rig.log.wait_for(2)
    assert [one.event_id for one in rule.settled] == [event["event_id"]]
    assert (refused["status"], refused["error_type"]) == ("refused", "limit_exceeded")
