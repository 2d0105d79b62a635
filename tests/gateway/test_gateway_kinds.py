"""Every kind of provider: where its key is, what leaves, and how a refusal looks."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import CredentialRetrievalError
from gateway_rig import KEY, PROVIDER_KEY, SeenRequest, running, whole

from taximeter.config.known import KNOWN, ProviderKind
from taximeter.extract import KINDS as FAMILIES
from taximeter.gateway import Provider
from taximeter.gateway.call import NOTHING_READ, Call
from taximeter.gateway.kinds import KINDS
from taximeter.gateway.kinds.sigv4 import region_of
from taximeter.gateway.providers import Mount

GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
CONVERSE = "/bedrock/model/us.amazon.nova-lite-v1%3A0/converse"
DEPLOYMENT = "/azure/openai/deployments/d/chat/completions"
PREDICT = "/v1/projects/p/locations/global/publishers/google/models/g:predict"
CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-taximeter-key")


def all_known(port: int) -> list[Provider]:
    names = [name for name in KNOWN if name not in ("openai", "anthropic")]
    paths = {name: urlsplit(KNOWN[name].base_url_in({}) or "").path for name in names}
    return [Provider(n, KNOWN[n].kind, f"http://127.0.0.1:{port}{paths[n]}", PROVIDER_KEY) for n in names]


def test_each_kind_that_can_be_configured_is_served_and_read() -> None:
    assert set(get_args(ProviderKind)) == set(KINDS)
    assert {kind.family for kind in KINDS.values()} == set(FAMILIES)


ADMITTED = [
    # path, query, headers of the client, credentials and query that the provider sees
    (GENERATE, "", {"x-goog-api-key": KEY}, {"x-goog-api-key": PROVIDER_KEY}, ""),
    (GENERATE, "alt=sse", {"x-taximeter-key": KEY}, {"x-goog-api-key": PROVIDER_KEY}, "alt=sse"),
    (GENERATE, f"key={KEY}&alt=sse", {}, {"x-goog-api-key": PROVIDER_KEY}, "alt=sse"),
    (GENERATE, f"alt=sse&%6bey={KEY}", {}, {"x-goog-api-key": PROVIDER_KEY}, "alt=sse"),
    (GENERATE, "alt=sse&key=own", {"x-taximeter-key": KEY}, {}, "key=own&alt=sse"),
    (GENERATE, "", {"x-taximeter-key": KEY, "authorization": "Bearer ya29"}, {"authorization": "Bearer ya29"}, ""),
    (GENERATE, "", {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}, ""),
    (DEPLOYMENT, "api-version=1", {"api-key": KEY}, {"api-key": PROVIDER_KEY}, "api-version=1"),
    ("/azure/openai/v1/x", "", {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}, ""),
    (CONVERSE, "", {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}, ""),
    (CONVERSE, "", {"x-taximeter-key": KEY, "authorization": "Bearer ABSK"}, {"authorization": "Bearer ABSK"}, ""),
    ("/deepseek/anthropic/v1/messages", "", {"x-api-key": KEY}, {"x-api-key": PROVIDER_KEY}, ""),
    *((f"/{name}/v1/x", "", {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {PROVIDER_KEY}"}, "")
      for name in ("mistral", "cohere", "groq", "xai", "openrouter", "together", "fireworks", "voyage", "ollama")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "query", "given", "expected", "asked"), ADMITTED)
def test_admitted(path: str, query: str, given: dict[str, str], expected: dict[str, str], asked: str) -> None:
    with running(more_providers=all_known) as rig:
        rig.plays(whole(b"{}"))
        reply = rig.ask(path + "?" + query if query else path, {"model": "m"}, key=None, given=given)
        assert reply.status == 200, reply.body
        seen = rig.provider.seen[0]
    assert {name: value for name, value in seen.headers if name in CREDENTIALS} == expected
    assert seen.target.partition("?")[2] == asked


PATHS = [
    # what the provider's own client asks for, and what its provider is asked for
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", "/v1beta/models/gemini-2.5-flash:generateContent"),
    ("/groq/openai/v1/chat/completions", "/openai/v1/chat/completions"),
    ("/groq/v1/chat/completions", "/openai/v1/chat/completions"),
    ("/mistral/v1/chat/completions", "/v1/chat/completions"),
    ("/cohere/v2/chat", "/v2/chat"),
    ("/ollama/api/chat", "/api/chat"),
    ("/openrouter/api/v1/chat/completions", "/api/v1/chat/completions"),
    ("/openrouter/v1/chat/completions", "/api/v1/chat/completions"),
    ("/fireworks/v1/chat/completions", "/inference/v1/chat/completions"),
    ("/zai/chat/completions", "/api/paas/v4/chat/completions"),
    ("/perplexity/chat/completions", "/chat/completions"),
    ("/voyage/embeddings", "/v1/embeddings"),
    (CONVERSE, "/model/us.amazon.nova-lite-v1%3A0/converse"),
    (f"/vertex{PREDICT}", PREDICT),
]


def test_the_paths_of_each_providers_own_client_lead_where_they_should() -> None:
    with running(more_providers=all_known) as rig:
        rig.plays(whole(b"{}"))
        for path, _ in PATHS:
            assert rig.ask(path, {}).status == 200
        assert [seen.target for seen in rig.provider.seen] == [target for _, target in PATHS]


REFUSED: Sequence[tuple[str, dict[str, Any]]] = [
    ("gemini", {"error": {"code": 401, "message": ..., "status": "UNAUTHENTICATED", "details": ...}}),
    ("vertex", {"error": {"code": 401, "message": ..., "status": "UNAUTHENTICATED", "details": ...}}),
    ("bedrock", {"message": ...}),
    ("azure", {"error": {"code": "missing_api_key", "message": ..., "type": "invalid_request_error", "param": None}}),
    ("mistral", {"object": "error", "message": ..., "type": "unauthorized", "param": None, "code": "missing_api_key"}),
    ("cohere", {"message": ...}),
    ("voyage", {"detail": ...}),
    ("ollama", {"error": ...}),
    ("xai", {"code": "missing_api_key", "error": ...}),
    ("groq", {"error": {"message": ..., "type": "invalid_request_error", "param": None, "code": "missing_api_key"}}),
]


def same(shape: object, told: object) -> bool:
    """Whether an answer has a shape; `...` stands for anything."""
    if isinstance(shape, dict) and isinstance(told, dict):
        return shape.keys() == told.keys() and all(same(shape[key], told[key]) for key in shape)
    return shape is ... or shape == told


def test_a_refusal_has_the_shape_of_each_provider() -> None:
    with running(more_providers=all_known) as rig:
        for name, shape in REFUSED:
            reply = rig.ask(f"/{name}/v1/x", {}, key=None)
            assert reply.status == 401
            assert same(shape, reply.json), reply.json
            assert "taximeter: no key" in reply.body.decode()
        assert rig.ask("/bedrock/x", {}, key=None).headers["x-amzn-errortype"] == "UnrecognizedClientException"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(kind.name))
def test_each_kind_has_a_shape_for_every_refusal(kind: Any) -> None:
    for status in (400, 401, 403, 404, 413, 429, 500, 502, 503, 504):
        told = json.loads(kind.error(status, "some_code", "taximeter: because"))
        assert "taximeter: because" in json.dumps(told)
        assert b"taximeter: because" in kind.stream_error(status, "some_code", "taximeter: because")


def test_bedrocks_error_in_a_stream_is_one_that_its_client_reads() -> None:
    frame = KINDS["bedrock"].stream_error(429, "limit_exceeded", "taximeter: used up")

    buffer = EventStreamBuffer()
    buffer.add_data(frame)
    (event,) = list(buffer)
    assert event.headers[":exception-type"] == "throttlingException"
    assert json.loads(event.payload) == {"message": "taximeter: used up"}


# ── signing for AWS ──────────────────────────────────────────────────────────────────────────────────────────

OF_THE_SERVER = Credentials("AKIDSERVER", "server-secret", "session-token")


def unkeyed(port: int) -> list[Provider]:
    return [Provider("bedrock", "bedrock", f"http://127.0.0.1:{port}")]


def signed_by_the_client(url: str, body: bytes, access_key: str) -> dict[str, str]:
    """What boto3 sends when it is given the gateway's address, and a taximeter key as the id of its access key."""
    request = AWSRequest("POST", url, {"content-type": "application/json"}, body)
    SigV4Auth(Credentials(access_key, "whatever"), "bedrock", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def signature_is_good(seen: SeenRequest, url: str) -> bool:
    """Whether the request is signed by the server, as AWS would look at it: by making the signature again."""
    again = AWSRequest(seen.method, url, {"content-type": seen.header("content-type")}, seen.body)
    again.context["timestamp"] = seen.header("x-amz-date")
    auth = SigV4Auth(OF_THE_SERVER, "bedrock", "us-east-1")
    again.headers["X-Amz-Date"] = seen.header("x-amz-date")
    again.headers["X-Amz-Security-Token"] = OF_THE_SERVER.token
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    return f"Signature={signature}" in str(seen.header("authorization"))


def test_a_signed_request_is_signed_anew_with_the_servers_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.gateway.kinds.sigv4._credentials_of_the_machine", lambda: OF_THE_SERVER)
    body = b'{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}'
    with running(more_providers=unkeyed) as rig:
        rig.plays(whole(b'{"usage":{"inputTokens":5,"outputTokens":2,"totalTokens":7}}'))
        given = signed_by_the_client(rig.url + CONVERSE, body, KEY)
        assert rig.ask(CONVERSE, key=None, raw=body, given=given).status == 200
        (event,) = rig.log.wait_for(1)
        seen = rig.provider.seen[0]
        url = f"http://127.0.0.1:{rig.upstream_port}{seen.target}"
    assert signature_is_good(seen, url)
    assert "AKIDSERVER" in str(seen.header("authorization"))
    assert seen.header("x-amz-security-token") == "session-token"
    assert seen.body == body
    assert KEY not in str(seen.headers)
    assert (event["request_model"], event["input_tokens"], event["output_tokens"]) == ("us.amazon.nova-lite-v1:0", 5, 2)


def test_the_signature_of_a_client_is_never_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for our host; with a taximeter key beside it, and no credentials of the server, that is refused."""
    monkeypatch.setattr("taximeter.gateway.kinds.sigv4._credentials_of_the_machine", lambda: None)
    with running(more_providers=unkeyed) as rig:
        given = signed_by_the_client(rig.url + CONVERSE, b"{}", "AKIDCLIENT")
        reply = rig.ask(CONVERSE, key=None, raw=b"{}", given={**given, "x-taximeter-key": KEY})
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (401, "UnrecognizedClientException")
        assert "no key for the provider 'bedrock'" in reply.json["message"]
        assert (rig.provider.seen, rig.log.lines) == ([], [])


def test_credentials_that_cannot_be_fetched_again_are_refused_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    class Expired:
        def get_frozen_credentials(self) -> Credentials:
            raise CredentialRetrievalError(provider="sso", error_msg="expired")

    monkeypatch.setattr("taximeter.gateway.kinds.sigv4._credentials_of_the_machine", Expired)
    with running(more_providers=unkeyed) as rig:
        reply = rig.ask(CONVERSE, raw=b"{}")
        assert (reply.status, rig.provider.seen, rig.log.lines) == (401, [], [])
        assert "no key for the provider" in reply.json["message"]


def test_an_access_key_that_is_no_taximeter_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.gateway.kinds.sigv4._credentials_of_the_machine", lambda: OF_THE_SERVER)
    with running(more_providers=unkeyed) as rig:
        given = signed_by_the_client(rig.url + CONVERSE, b"{}", "AKIDCLIENT")
        reply = rig.ask(CONVERSE, key=None, raw=b"{}", given=given)
        assert reply.status == 401
        assert "unknown or revoked" in reply.json["message"]
        assert rig.provider.seen == []


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("bedrock-runtime.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-mantle.ap-southeast-2.api.aws", "ap-southeast-2"),
        ("127.0.0.1", "us-east-1"),
    ],
)
def test_the_region_is_in_the_name_of_the_host(host: str, region: str) -> None:
    assert region_of(host) == region


def test_a_call_is_known_by_the_region_that_its_path_names() -> None:
    claude = b'{"id":"m1","type":"message","model":"claude-opus-4-5","usage":{"input_tokens":3,"output_tokens":2}}'
    path = "/vertex/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-4-5:rawPredict"
    at_vertex = Provider("vertex", "gemini", "http://127.0.0.1:{port}", PROVIDER_KEY)
    with running(more_providers=lambda port: [replace(at_vertex, base_url=f"http://127.0.0.1:{port}")]) as rig:
        rig.plays(whole(claude))
        rig.ask(path, {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": []})
        event = rig.log.wait_for(1)[0]
    assert (event["region"], event["input_tokens"]) == ("us-east5", 3)


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://us-east5-aiplatform.googleapis.com", "us-east5"),
        ("https://api.anthropic.com", None),
    ],
)
def test_a_call_whose_path_names_none_is_known_by_the_region_of_its_host(base_url: str, region: str | None) -> None:
    mount = Mount(Provider("p", "bedrock", base_url, PROVIDER_KEY))
    call = Call("e", 0, 0.0, "p", mount.region)
    assert call.ended("ok", NOTHING_READ, now=1.0, http_status=200).region == region
    assert call.tried_again("f", 2, mount).ended("ok", NOTHING_READ, now=1.0, http_status=200).region == region
    told = replace(NOTHING_READ, region="us")
    assert call.ended("ok", told, now=1.0, http_status=200).region == "us", "what the answer says counts"


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_in_a_query_is_in_no_log_and_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(more_providers=all_known) as rig:
        rig.plays(whole(b"{}"), whole(b"{}", 500))
        for path in (GENERATE, "/gemini/v1beta/batches/b", "/gemini/../x"):
            for method in ("POST", "GET"):
                reply = rig.ask(f"{path}?key={KEY}", {} if method == "POST" else None, method=method, key=None)
                assert KEY.encode() not in reply.body
        assert KEY not in str(rig.log.lines)
        assert all(KEY not in seen.target and KEY not in str(seen.headers) for seen in rig.provider.seen)
    assert KEY not in caplog.text
