"""What an event says about who asked, and what becomes of the headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from gateway_rig import NO_HEADERS, Rig, running, whole

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import UsageEvent
from taximeter.core.ids import attempt_id, unix_ms_of
from taximeter.errors import StoreError

CHAT = "/openai/v1/chat/completions"
ANSWER = b'{"id":"chatcmpl-1","model":"m-1","usage":{"prompt_tokens":1000,"completion_tokens":500}}'
EVENT_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def ask(rig: Rig, key: str = "tm-gateway-key", given: Mapping[str, str] = NO_HEADERS, **headers: str) -> dict[str, Any]:
    dashed = {name.replace("_", "-"): value for name, value in headers.items()}
    rig.plays(whole(ANSWER))
    already = len(rig.log.of(None))
    rig.ask(CHAT, {"model": "m"}, key=key, given={**given, **dashed})
    return rig.log.wait_for(already + 1)[-1]


SAID = [
    ("x_taximeter_user", "user_1", "user_id", "user_1"),
    ("x_taximeter_team", "core", "team", "core"),
    ("x_taximeter_tenant", "acme", "tenant", "acme"),
    ("x_taximeter_feature", "smart-reply", "feature", "smart-reply"),
    ("x_taximeter_endpoint", "/reply", "endpoint", "/reply"),
    ("x_taximeter_environment", "prod", "environment", "prod"),
    ("x_taximeter_prompt_version", "v3", "prompt_version", "v3"),
    ("x_taximeter_session", "s1", "session_id", "s1"),
    ("x_taximeter_tags", "a=1, b=2", "tags", {"a": "1", "b": "2"}),
    ("x_taximeter_tags", "a=x%2Cy=z,,=no,flag", "tags", {"a": "x,y=z", "flag": ""}),
    ("x_taximeter_user", "M%C3%BCller 100%25", "user_id", "Müller 100%"),
    ("x_taximeter_user", "100% sure", "user_id", "100% sure"),
    ("x_taximeter_user", "M\u00fcller", "user_id", "Müller"),
    ("x_taximeter_user", "Müller".encode().decode("latin-1"), "user_id", "Müller"),
    ("x_taximeter_user", "x" * 600, "user_id", "x" * 512),
    ("x_request_id", "req_1", "request_id", "req_1"),
    ("idempotency_key", "idem_1", "request_id", "idem_1"),
    ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01", "trace_id", "a" * 32),
    ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01", "span_id", "b" * 16),
]


def test_what_the_headers_say_is_in_the_event() -> None:
    with running() as rig:
        for header, value, name, expected in SAID:
            assert ask(rig, given={header.replace("_", "-"): value})[name] == expected


@pytest.mark.parametrize(
    "traceparent", ["", "x", f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'g' * 32}-{'b' * 16}-01", "00-a-b-01"]
)
def test_a_traceparent_that_is_none_is_passed_over(traceparent: str) -> None:
    with running() as rig:
        assert "trace_id" not in ask(rig, traceparent=traceparent)


@pytest.mark.parametrize(
    ("key", "said", "expected"),
    [
        ("tm-team-key", {"x-taximeter-team": "mine", "x-taximeter-user": "me"}, ("core", "bound")),
        ("tm-team-key", {}, ("core", "bound")),
        ("tm-default-key", {"x-taximeter-team": "mine"}, ("mine", "bound")),
        ("tm-default-key", {}, ("core", "bound")),
    ],
)
def test_attributes_bound_to_the_key(key: str, said: dict[str, str], expected: tuple[str, str]) -> None:
    with running() as rig:
        event = ask(rig, key, said)
    assert (event["team"], event["user_id"]) == expected


def test_headers_of_ours_and_of_the_hop_stay_here_and_all_others_travel_on() -> None:
    with running() as rig:
        ask(
            rig,
            x_taximeter_user="u",
            x_taximeter_anything="x",
            cookie="taximeter_session=1",
            te="trailers",
            x_forwarded_for="10.0.0.1",
            connection="close, x-once",
            x_once="1",
            openai_organization="org-1",
            x_stainless_lang="python",
            user_agent="OpenAI/Python",
            accept_encoding="br;q=1.0, gzip;q=0.8, zstd, deflate",
        )
        seen = dict(rig.provider.seen[0].headers)
    assert seen == {
        "host": f"127.0.0.1:{rig.upstream_port}",
        "content-length": "14",
        "authorization": "Bearer sk-the-real-one",
        "openai-organization": "org-1",
        "x-stainless-lang": "python",
        "user-agent": "OpenAI/Python",
        "accept-encoding": "gzip;q=0.8, deflate",
    }


def test_the_providers_headers_reach_the_client() -> None:
    with running() as rig:
        rig.plays(whole(ANSWER, x_ratelimit_remaining="99", set_cookie="a=b", keep_alive="timeout=5", date="today"))
        headers = rig.ask(CHAT, {"model": "m"}).headers
    assert (headers["x-ratelimit-remaining"], headers["date"]) == ("99", "today")
    assert headers.keys().isdisjoint({"set-cookie", "keep-alive", "server"})


def test_an_event_id_of_ours_is_a_uuid_of_this_moment() -> None:
    with running() as rig:
        event = ask(rig)
    assert UUID(event["event_id"]).version == 7
    assert unix_ms_of(event["event_id"]) is not None
    assert event["attempt"] == 1


def test_the_clients_event_id_is_taken_and_each_further_use_is_another_attempt_of_it() -> None:
    with running() as rig:
        first = ask(rig, x_taximeter_event_id=EVENT_ID.upper())
        again = ask(rig, x_taximeter_event_id=EVENT_ID, x_stainless_retry_count="0")
        retry = ask(rig, x_taximeter_event_id=EVENT_ID, x_stainless_retry_count="4")
        assert rig.ask(CHAT, {}, x_taximeter_event_id=EVENT_ID).headers["x-taximeter-event-id"] == attempt_id(
            EVENT_ID, 6
        )
    events = [(event["event_id"], event["attempt"], event["request_id"]) for event in (first, again, retry)]
    assert events == [
        (EVENT_ID, 1, EVENT_ID),
        (attempt_id(EVENT_ID, 2), 2, EVENT_ID),
        (attempt_id(EVENT_ID, 5), 5, EVENT_ID),
    ]


def test_an_idempotency_key_that_comes_again_is_one_more_attempt_for_the_same_caller_only() -> None:
    with running() as rig:
        events = [ask(rig, idempotency_key="idem-1", x_stainless_retry_count=retries) for retries in ("0", "1", "0")]
        events.append(ask(rig, idempotency_key="idem-2"))
        events.append(ask(rig, idempotency_key="idem-1", authorization="Bearer tm-team-key"))
    assert [(event["attempt"], event["request_id"]) for event in events] == [
        (1, "idem-1"),
        (2, "idem-1"),
        (3, "idem-1"),
        (1, "idem-2"),
        (1, "idem-1"),
    ]
    assert len({event["event_id"] for event in events}) == 5


@pytest.mark.parametrize(
    ("said", "attempt"), [("attempt=1; max=3", 1), ("ttl=x; attempt=2; max=3", 2), ("attempt=0", 1), ("attempt=x", 1)]
)
def test_clients_of_aws_count_their_attempts_in_their_own_way(said: str, attempt: int) -> None:
    with running() as rig:
        event = ask(rig, amz_sdk_invocation_id="inv-1", amz_sdk_request=said)
    assert (event["attempt"], event["request_id"]) == (attempt, "inv-1")


def test_an_attempt_that_failed_and_the_one_after_it_are_two_events() -> None:
    with running() as rig:
        rig.plays(whole(b'{"error":{"type":"server_error"}}', 500), whole(ANSWER))
        for _ in range(2):
            rig.ask(CHAT, {"model": "m"}, x_taximeter_event_id=EVENT_ID)
        events = rig.log.wait_for(2)
    assert [(event["status"], event["attempt"]) for event in events] == [("error", 1), ("ok", 2)]


def test_an_id_that_the_store_has_from_before_is_not_used_again() -> None:
    stored = {EVENT_ID, attempt_id(EVENT_ID, 2)}
    with running(known_ids=stored.intersection) as rig:
        assert ask(rig, x_taximeter_event_id=EVENT_ID)["event_id"] == attempt_id(EVENT_ID, 3)


def test_a_name_that_is_used_for_ever_is_an_event_each_time() -> None:
    """One agent's run, or an application that names all its calls alike: more than are looked for in the store."""
    stored = {attempt_id(EVENT_ID, attempt) for attempt in range(1, 41)}
    with running(known_ids=stored.intersection) as rig:
        events = [ask(rig, x_taximeter_event_id=EVENT_ID) for _ in range(3)]
    ids = {event["event_id"] for event in events}
    assert (len(ids), ids & stored, {event["request_id"] for event in events}) == (3, set(), {EVENT_ID})


def test_attempts_beyond_what_is_counted_are_events_of_their_own() -> None:
    with running() as rig:
        events = [ask(rig, x_taximeter_event_id=EVENT_ID, x_stainless_retry_count="5000") for _ in range(3)]
    assert (len({event["event_id"] for event in events}), events[-1]["attempt"]) == (3, 1000)


def test_the_store_that_does_not_answer_does_not_touch_the_call() -> None:
    def broken(_: Collection[str]) -> set[str]:
        raise StoreError("no")

    with running(known_ids=broken) as rig:
        assert ask(rig, x_taximeter_event_id=EVENT_ID)["event_id"] == EVENT_ID


def test_an_event_id_that_is_no_uuid_becomes_one_the_same_for_the_same_key() -> None:
    with running() as rig, running() as other:
        one = ask(rig, x_taximeter_event_id="order-17")
        second = ask(rig, x_taximeter_event_id="order-17")
        elsewhere = ask(other, x_taximeter_event_id="order-17")
        of_another_key = ask(rig, "tm-team-key", x_taximeter_event_id="order-17")
    assert one["event_id"] == str(UUID(one["event_id"])) == elsewhere["event_id"] != of_another_key["event_id"]
    assert (second["event_id"], second["attempt"]) == (attempt_id(one["event_id"], 2), 2)
    assert one["request_id"] == "order-17"


@pytest.mark.parametrize(
    ("answered", "asked", "request_id"),
    [
        ("x-request-id", {}, "req_9"),
        ("request-id", {}, "req_9"),
        ("x-request-id", {"x-request-id": "mine"}, "mine"),
        ("x-request-id", {"x-taximeter-event-id": EVENT_ID}, EVENT_ID),
        ("x-other", {}, None),
    ],
)
def test_a_request_that_its_client_gave_no_name_goes_by_the_providers(
    answered: str, asked: dict[str, str], request_id: str | None
) -> None:
    with running() as rig:
        rig.plays(whole(ANSWER, 200, "application/json", **{answered: "req_9"}))
        rig.ask(CHAT, {"model": "m"}, given=asked)
        assert rig.log.wait_for(1)[0].get("request_id") == request_id


def test_the_price_is_told_exactly() -> None:
    def price(event: UsageEvent) -> Cost | Unpriced:
        if event.request_model != "m":
            return Unpriced("unknown_model", "v1")
        zero = Decimal(0)
        return Cost(Decimal("0.0050"), zero, zero, Decimal("0.00750"), zero, "v1", "rule")

    with running(price=price) as rig:
        rig.plays(whole(ANSWER))
        assert rig.ask(CHAT, {"model": "m"}).headers["x-taximeter-cost-usd"] == "0.0125"
        assert "x-taximeter-cost-usd" not in rig.ask(CHAT, {"model": "unheard-of"}).headers


def test_no_text_of_prompt_or_answer_is_recorded() -> None:
    with running() as rig:
        rig.plays(
            whole(b'{"id":"c","choices":[{"message":{"content":"a secret answer"}}],"usage":{"prompt_tokens":1}}')
        )
        rig.ask(
            CHAT, {"model": "m", "messages": [{"role": "user", "content": "a secret prompt"}], "user": "secret user"}
        )
        rig.log.wait_for(1)
        assert "secret" not in str(rig.log.lines)
