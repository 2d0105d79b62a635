"""Who may pass, with which credential the provider is asked, and how a refusal looks."""

from __future__ import annotations

import pytest
from gateway_rig import KEY, PROVIDER_KEY, read_reply, running, whole

from taximeter.gateway import GatewaySettings, Provider

CHAT = "/openai/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"

ADMITTED = [
    # path, headers of the client, credentials the provider sees
    (CHAT, {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}),
    (CHAT, {"authorization": f"bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}),
    (CHAT, {"authorization": "Bearer tm-admin-key"}, {"authorization": f"Bearer {PROVIDER_KEY}"}),
    (CHAT, {"api-key": KEY}, {"api-key": PROVIDER_KEY}),
    (CHAT, {"x-taximeter-key": KEY, "authorization": "Bearer sk-own"}, {"authorization": "Bearer sk-own"}),
    (CHAT, {"x-taximeter-key": KEY}, {"authorization": f"Bearer {PROVIDER_KEY}"}),
    (CHAT, {"x-taximeter-key": KEY, "authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}),
    (MESSAGES, {"x-api-key": KEY}, {"x-api-key": PROVIDER_KEY}),
    (MESSAGES, {"authorization": f"Bearer {KEY}"}, {"x-api-key": PROVIDER_KEY}),
    (MESSAGES, {"x-taximeter-key": KEY, "x-api-key": "sk-ant-own"}, {"x-api-key": "sk-ant-own"}),
    (MESSAGES, {"x-taximeter-key": KEY, "authorization": "Bearer oauth"}, {"authorization": "Bearer oauth"}),
]
CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-taximeter-key")


@pytest.mark.parametrize(("path", "given", "expected"), ADMITTED)
def test_admitted(path: str, given: dict[str, str], expected: dict[str, str]) -> None:
    with running() as rig:
        rig.plays(whole(b"{}"))
        assert rig.ask(path, {"model": "m"}, key=None, given=given).status == 200
        seen = {name: value for name, value in rig.provider.seen[0].headers if name in CREDENTIALS}
    assert seen == expected


REFUSED = [
    (CHAT, {}, 401, "missing_api_key"),
    (CHAT, {"authorization": "Basic abc"}, 401, "missing_api_key"),
    (CHAT, {"authorization": "Bearer sk-unknown"}, 401, "invalid_api_key"),
    (CHAT, {"x-taximeter-key": "unknown", "authorization": f"Bearer {KEY}"}, 401, "invalid_api_key"),
    (CHAT, {"authorization": "Bearer tm-read-key"}, 403, "wrong_scope"),
]


@pytest.mark.parametrize(("path", "given", "status", "code"), REFUSED)
def test_refused_in_openais_shape(path: str, given: dict[str, str], status: int, code: str) -> None:
    with running() as rig:
        reply = rig.ask(path, {"model": "m"}, key=None, given=given)
        assert reply.status == status
        assert set(reply.json) == {"error"}
        assert set(reply.json["error"]) == {"message", "type", "param", "code"}
        assert reply.json["error"]["code"] == code
        assert (rig.provider.seen, rig.log.lines, rig.gateway.refused) == ([], [], {code: 1})


@pytest.mark.parametrize(
    ("given", "status", "error_type"),
    [
        ({}, 401, "authentication_error"),
        ({"x-api-key": "unknown"}, 401, "authentication_error"),
        ({"x-api-key": "tm-read-key"}, 403, "permission_error"),
    ],
)
def test_refused_in_anthropics_shape(given: dict[str, str], status: int, error_type: str) -> None:
    with running() as rig:
        reply = rig.ask(MESSAGES, {"model": "m"}, key=None, given=given)
    assert reply.status == status
    assert set(reply.json) == {"type", "error"}
    assert reply.json["type"] == "error"
    assert set(reply.json["error"]) == {"type", "message"}
    assert reply.json["error"]["type"] == error_type


def test_no_provider_key_anywhere_is_refused_with_the_reason() -> None:
    with running(provider_key=None) as rig:
        reply = rig.ask(CHAT, {"model": "m"})
    assert reply.status == 401
    assert "Configure its api_key" in reply.json["error"]["message"]


def test_a_provider_may_have_its_key_in_a_header_of_its_own() -> None:
    def azure(port: int) -> list[Provider]:
        return [Provider("azure", "openai", f"http://127.0.0.1:{port}/openai/v1", "az-key", key_header="Api-Key")]

    with running(more_providers=azure) as rig:
        rig.plays(whole(b"{}"))
        rig.ask("/azure/v1/responses", {"model": "m"})
        seen = rig.provider.seen[0]
    assert (seen.header("api-key"), seen.header("authorization")) == ("az-key", None)


def test_without_keys_everybody_passes_with_the_configured_key() -> None:
    with running(with_keys=False) as rig:
        rig.plays(whole(b"{}"))
        assert rig.ask(CHAT, {"model": "m"}, key="anything").status == 200
        assert rig.provider.seen[0].header("authorization") == f"Bearer {PROVIDER_KEY}"
        assert "api_key_id" not in rig.log.wait_for(1)[0]


def test_the_provider_key_is_not_shown_in_a_representation() -> None:
    assert "sk-secret" not in repr(Provider("p", "openai", "https://h/v1", "sk-secret"))


@pytest.mark.parametrize(("path", "error_type"), [(CHAT, "invalid_request_error"), (MESSAGES, "request_too_large")])
def test_a_body_over_the_limit_is_answered_413(path: str, error_type: str) -> None:
    with running(GatewaySettings(body_limit_bytes=1000)) as rig:
        told = rig.ask(path, raw=b"x" * 1001)
        with rig.open(path, transfer_encoding="chunked", raw=b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n") as connection:
            chunked = read_reply(connection)
        assert told.status == 413
        assert told.json["error"]["type"] == error_type
        assert chunked.status == 413
        assert rig.provider.seen == []
