"""Which path of the gateway is which path of a provider."""

from __future__ import annotations

import pytest
from gateway_rig import KEY, Stage, running, whole

from taximeter.gateway import Provider
from taximeter.gateway.providers import Mount, Mounts

OPENAI = "https://api.openai.com/v1"
AZURE = "https://res.openai.azure.com"
DEPLOYMENT = f"{AZURE}/openai/deployments/gpt-4o"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"

MOUNTING = [
    # kind       base_url                          asked for                  goes to
    ("openai", OPENAI, "/v1/chat/completions", "/v1/chat/completions"),
    ("openai", OPENAI + "/", "/v1/chat/completions", "/v1/chat/completions"),
    ("openai", OPENAI, "/chat/completions", "/v1/chat/completions"),
    ("openai", OPENAI, "/v1/models", "/v1/models"),
    ("openai", OPENAI, "/v1", "/v1"),
    ("openai", OPENAI, "/v1beta/x", "/v1/v1beta/x"),
    ("openai", OPENAI, "/v1/files/file-1/content", "/v1/files/file-1/content"),
    ("openai", OPENAI, "/v1/v1/x", "/v1/v1/x"),
    ("openai", "http://127.0.0.1:9000", "/v1/chat/completions", "/v1/chat/completions"),
    ("openai", "http://127.0.0.1:9000", "/chat/completions", "/chat/completions"),
    ("openai", "http://127.0.0.1:9000", "", "/"),
    ("openai", "https://openrouter.ai/api/v1", "/v1/chat/completions", "/api/v1/chat/completions"),
    ("openai", GOOGLE, "/v1/chat/completions", "/v1beta/openai/chat/completions"),
    ("openai", "https://host/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
    ("openai", DEPLOYMENT, "/v1/chat/completions", "/openai/deployments/gpt-4o/chat/completions"),
    ("openai", DEPLOYMENT, "/chat/completions", "/openai/deployments/gpt-4o/chat/completions"),
    ("openai", AZURE, "/openai/deployments/d/chat/completions", "/openai/deployments/d/chat/completions"),
    ("openai", f"{AZURE}/openai/v1", "/v1/responses", "/openai/v1/responses"),
    ("anthropic", "https://api.anthropic.com", "/v1/messages", "/v1/messages"),
    ("anthropic", "https://api.anthropic.com/v1", "/v1/messages", "/v1/messages"),
    ("anthropic", "https://host/anthropic", "/v1/messages", "/anthropic/v1/messages"),
]


@pytest.mark.parametrize(("kind", "base_url", "asked", "expected"), MOUNTING)
def test_mounting(kind: str, base_url: str, asked: str, expected: str) -> None:
    mount = Mount(Provider("p", "anthropic" if kind == "anthropic" else "openai", base_url))
    assert mount.target(asked.encode()) == expected.encode()


UNTAMED = [
    "/../x",
    "/v1/../../x",
    "/v1/..",
    "/v1/./x",
    "/v1/%2e%2e/x",
    "/v1/.%2E/x",
    "/v1/..%2fx",
    "/v1/%2e%2e%2fx",
    "/v1/%252e%252e/x",
    "/v1/..\\x",
    "/v1/..%5cx",
    "/v1/..;/x",
    "//evil.example/x",
    "/%2fevil.example/x",
    "/v1/a b",
    "/v1/a\r\nx: y",
    "/v1/a#b",
]


@pytest.mark.parametrize("path", UNTAMED)
def test_a_path_that_would_leave_the_base_url_has_no_target(path: str) -> None:
    assert Mount(Provider("p", "openai", OPENAI)).target(path.encode()) is None


@pytest.mark.parametrize(
    "path", ["/v1/a..b", "/v1/models/gpt-4.1", "/v1/...", "/v1/a%20b", "/v1/files/a%2Fb", "/v1/x//y"]
)
def test_dots_inside_names_are_no_danger(path: str) -> None:
    assert Mount(Provider("p", "openai", OPENAI)).target(path.encode()) == path.encode()


@pytest.mark.parametrize("base_url", ["api.openai.com/v1", "ftp://host/v1", "https://", ""])
def test_a_base_url_must_be_one(base_url: str) -> None:
    with pytest.raises(ValueError, match="not a base URL"):
        Mount(Provider("p", "openai", base_url))


def test_the_origin_is_taken_from_the_base_url() -> None:
    origin = Mount(Provider("p", "openai", "https://[::1]:8443/v1")).origin
    assert (origin.scheme, origin.host, origin.port, origin.authority) == ("https", "::1", 8443, b"[::1]:8443")


def test_a_request_path_is_split_at_its_first_segment() -> None:
    mounts = Mounts({"openai": Provider("openai", "openai", OPENAI)})
    assert mounts.find(b"/openai/v1/models")[1] == b"/v1/models"
    assert mounts.find(b"/openai")[1] == b""
    assert mounts.find(b"/openais/v1/models")[0] is None


def test_an_unknown_provider_is_answered_404_naming_the_configured_ones() -> None:
    with running() as rig:
        reply = rig.ask("/nobody/v1/chat/completions", {})
        assert reply.status == 404
        assert reply.json["error"]["message"].endswith("configured are: /anthropic/, /openai/")
        assert reply.json["error"]["code"] == "unknown_provider"
        assert rig.ask("/nobody/v1/chat/completions", {}, key=None).status == 401


def test_a_path_that_climbs_is_answered_400_and_never_leaves() -> None:
    with running() as rig:
        rig.plays(whole(b"{}"))
        assert rig.ask("/openai/v1/../../admin", {}).status == 400
        assert rig.ask("/openai/v1/%2e%2e/admin", {}).status == 400
        assert rig.provider.seen == []


def test_an_absolute_uri_reaches_the_configured_host_only() -> None:
    with running() as rig:
        rig.plays(whole(b"{}"))
        reply = rig.ask("http://evil.example/openai/v1/models", method="GET", host="evil.example")
        assert reply.status == 200
        assert rig.provider.seen[0].target == "/v1/models"
        assert rig.provider.seen[0].header("host") == f"127.0.0.1:{rig.upstream_port}"


def test_any_method_and_path_and_query_goes_through() -> None:
    with running() as rig:
        rig.plays(whole(b'{"ok": true}'))
        for method, path in [("GET", "/v1/models?limit=2&a=%20b"), ("DELETE", "/v1/files/f"), ("POST", "/v1/anything")]:
            assert rig.ask("/openai" + path, method=method).json == {"ok": True}
        seen = [(request.method, request.target) for request in rig.provider.seen]
    assert seen == [("GET", "/v1/models?limit=2&a=%20b"), ("DELETE", "/v1/files/f"), ("POST", "/v1/anything")]


def test_a_head_request_has_the_length_and_no_body() -> None:
    async def play(stage: Stage) -> None:
        stage.head(200, [("content-length", "7")])

    with running() as rig:
        rig.plays(play)
        reply = rig.ask("/openai/v1/files/f", method="HEAD")
        assert (reply.status, reply.headers["content-length"], reply.body) == (200, "7", b"")


def test_what_only_reads_is_passed_and_not_recorded_what_may_cost_is_recorded_with_unknown_usage() -> None:
    with running() as rig:
        rig.plays(whole(b'{"data": []}'))
        rig.ask("/openai/v1/models", method="GET")
        rig.ask("/openai/v1/news/of/tomorrow", {"model": "oracle-1"}, authorization=f"Bearer {KEY}")
        (event,) = rig.log.wait_for(1)
        assert len(rig.log.of("begin")) == 1
    assert (event["request_model"], event["status"]) == ("oracle-1", "ok")
    assert "input_tokens" not in event
    assert "operation" not in event
