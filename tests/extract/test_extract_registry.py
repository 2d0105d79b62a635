"""Which flavour a path speaks."""

from __future__ import annotations

import pytest

from taximeter.extract import KINDS, flavour_for
from taximeter.extract.registry import routes_of

PATHS = [
    ("openai", "POST", "/v1/chat/completions", "openai.chat"),
    ("openai", "post", "/v1/chat/completions", "openai.chat"),
    ("openai", "POST", "/chat/completions", "openai.chat"),
    ("openai", "POST", "chat/completions", "openai.chat"),
    ("openai", "POST", "/v1/chat/completions/", "openai.chat"),
    ("openai", "POST", "/api/v1/chat/completions", "openai.chat"),
    ("openai", "POST", "/openai/deployments/my-gpt/chat/completions?api-version=2024-02-01", "openai.chat"),
    ("openai", "POST", "/openai/v1/responses", "openai.responses"),
    ("openai", "POST", "/v1/responses/compact", "openai.responses"),
    ("openai", "POST", "/v1/embeddings", "openai.embeddings"),
    ("openai", "POST", "/v1/completions", "openai.completions"),
    ("openai", "POST", "/v1/messages", "anthropic.messages"),
    ("anthropic", "POST", "/v1/messages", "anthropic.messages"),
    ("anthropic", "POST", "/v1/messages?beta=true", "anthropic.messages"),
    ("anthropic", "POST", "/v1/chat/completions", "openai.chat"),
    ("gemini", "POST", "/v1beta/models/gemini-2.5-pro:generateContent", "gemini.generate_content"),
    ("gemini", "POST", "/v1beta/models/g:streamGenerateContent?alt=sse", "gemini.stream_generate_content"),
    ("gemini", "POST", "/v1/projects/p/locations/l/publishers/google/models/g:predict", "vertex.predict"),
    ("gemini", "POST", "/v1beta/models/imagen-4.0-generate-001:predict", "vertex.imagen"),
    ("gemini", "POST", "/v1beta/openai/chat/completions", "gemini.openai_chat"),
    ("openai", "POST", "/v1beta/openai/chat/completions", "gemini.openai_chat"),
    ("openai", "POST", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "gemini.openai_chat"),
    ("gemini", "POST", "/v1/publishers/ai21/models/jamba-1.5-mini:rawPredict", "openai.chat"),
    ("cohere", "POST", "/v1/classify", "cohere.classify"),
    ("gemini", "POST", "/v1/publishers/anthropic/models/claude@1:streamRawPredict", "anthropic.messages"),
    ("gemini", "POST", "/v1/publishers/mistralai/models/m:rawPredict", "openai.chat"),
    ("mistral", "POST", "/v1/conversations", "mistral.conversations"),
    ("mistral", "POST", "/v1/conversations/c/restart", "mistral.conversations"),
    ("mistral", "POST", "/v1/chat/completions", "openai.chat"),
    ("gemini", "POST", "/v1beta/interactions", "gemini.interactions"),
    ("gemini", "GET", "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent", "gemini.live"),
    ("openai", "POST", "/v1/agents/completions", "openai.chat"),
    ("openai", "POST", "/api/v1/images", "openai.images"),
    ("openai", "POST", "/openai/deployments/d/images/edits", "openai.images"),
    ("cohere", "POST", "/v1/generate", "cohere.v1.generate"),
    ("gemini", "POST", "/v1beta/tunedModels/mine:generateContent", "gemini.generate_content"),
    (
        "gemini",
        "POST",
        "/v1/projects/p/locations/l/endpoints/1:streamGenerateContent",
        "gemini.stream_generate_content",
    ),
    ("xai", "POST", "/xai_api.Chat/GetCompletionChunk", "xai.grpc_stream"),
    ("openai", "POST", "/v1/threads/runs", "openai.assistants.run"),
    ("openai", "GET", "/openai/v1/realtime?model=gpt-realtime", "openai.realtime"),
    ("openai", "GET", "/v1/live/sessions", "openai.live"),
    ("openai", "GET", "/openai/v1/live/sessions/live_1/attach", "openai.live"),
    ("anthropic", "POST", "/v1/complete", "anthropic.complete"),
    ("bedrock", "POST", "/model/us.amazon.nova-lite-v1%3A0/converse", "bedrock.converse"),
    ("bedrock", "POST", "/model/m/converse-stream", "bedrock.converse_stream"),
    ("bedrock", "POST", "/model/m/invoke", "bedrock.invoke"),
    ("bedrock", "POST", "/model/m/invoke-with-response-stream", "bedrock.invoke_stream"),
    ("bedrock", "POST", "/agents/a/agentAliases/b/sessions/c/text", "bedrock.agent"),
    ("bedrock", "POST", "/agents/session-1", "bedrock.agent"),
    ("bedrock", "POST", "/openai/v1/chat/completions", "openai.chat"),
    ("cohere", "POST", "/v1/chat", "cohere.v1.chat"),
    ("cohere", "POST", "/v2/chat", "cohere.v2.chat"),
    ("cohere", "POST", "/compatibility/v1/chat/completions", "openai.chat"),
    ("openai", "POST", "/v1/chat", "openai.chat"),
    ("openai", "POST", "/v1/rerank", "cohere.rerank"),
    ("ollama", "POST", "/api/chat", "ollama.chat"),
    ("openai", "POST", "/search", "perplexity.search"),
    ("voyage", "POST", "/v1/embeddings", "openai.embeddings"),
    ("xai", "POST", "/xai_api.Chat/GetCompletion", "xai.grpc"),
]
FREE = [
    ("openai", "GET", "/v1/models"),
    ("openai", "GET", "/v1/models/gpt-4o"),
    ("openai", "POST", "/v1/moderations"),
    ("openai", "POST", "/v1/responses/input_tokens"),
    ("openai", "POST", "/v1/chat/completions/chatcmpl-1"),
    ("openai", "POST", "/v1/threads/t/runs/r"),
    ("openai", "POST", "/v1/threads/t/runs/r/cancel"),
    ("openai", "POST", "/v1/realtime/calls/c/hangup"),
    ("openai", "POST", "/v1/live/sessions/s/hangup"),
    ("openai", "POST", "/v1/organization/projects/p/users"),
    ("anthropic", "POST", "/v1/messages/count_tokens"),
    ("anthropic", "GET", "/v1/models"),
    ("gemini", "POST", "/v1beta/models/g:countTokens"),
    ("gemini", "POST", "/v1/publishers/anthropic/models/count-tokens:rawPredict"),
    ("gemini", "POST", "/v1/projects/p/locations/l/publishers/google/models/g:computeTokens"),
    ("gemini", "POST", "/v1beta/interactions/i/cancel"),
    ("gemini", "POST", "/v1beta/cachedContents"),
    ("anthropic", "POST", "/v1/messages/batches"),
    ("openai", "POST", "/v1/batches"),
    ("openai", "POST", "/v1/batch/jobs"),
    ("xai", "POST", "/v1/videos/generations"),
    ("openai", "POST", "/v1/videos"),
    ("gemini", "POST", "/v1beta/models/veo-3.1-generate-preview:predictLongRunning"),
    ("gemini", "POST", "/v1/projects/p/locations/l/publishers/google/models/veo-2.0-generate-001:predictLongRunning"),
    ("openai", "POST", "/v1/videos/video_1/remix"),
    ("bedrock", "POST", "/model/m/count-tokens"),
    ("ollama", "GET", "/api/tags"),
]
UNKNOWN = [
    ("openai", "POST", "/v1/something/new"),
    ("openai", "GET", "/v1/chat/completions"),
    ("openai", "POST", "/v1/vector_stores/vs_1/search"),
    ("openai", "POST", "/v1/notchat/completions/more"),
    ("openai", "POST", ""),
    ("anthropic", "POST", "/v1/agents/agent_1"),
    ("nobody", "POST", "/v1/chat/completions"),
]


@pytest.mark.parametrize(("kind", "method", "path", "name"), PATHS)
def test_a_path_speaks_a_flavour(kind: str, method: str, path: str, name: str) -> None:
    flavour = flavour_for(kind, method, path)
    assert flavour is not None
    assert (flavour.name, flavour.billed) == (name, True)


@pytest.mark.parametrize(("kind", "method", "path"), FREE)
def test_some_paths_cost_nothing(kind: str, method: str, path: str) -> None:
    flavour = flavour_for(kind, method, path)
    assert flavour is not None
    assert not flavour.billed
    assert flavour.read_answer(200, {"input_tokens": 14}).not_billed
    assert not flavour.read_answer(200, {"input_tokens": 14}).usage.known


@pytest.mark.parametrize(("kind", "method", "path"), UNKNOWN)
def test_what_is_not_known_has_no_flavour(kind: str, method: str, path: str) -> None:
    assert flavour_for(kind, method, path) is None


@pytest.mark.parametrize("endpoint", ["chat/completions", "images/edits", "audio/transcriptions", "audio/speech"])
def test_a_deployment_in_the_path_names_the_model_when_the_body_does_not(endpoint: str) -> None:
    flavour = flavour_for("openai", "POST", f"/openai/deployments/my-gpt/{endpoint}")
    assert flavour is not None
    assert flavour.read_request({"messages": []}).model == "my-gpt"
    assert flavour.read_request({"model": "gpt-4o", "messages": []}).model == "gpt-4o"


def test_every_route_names_a_method_and_a_flavour_once() -> None:
    for kind in KINDS:
        seen = [(route.method, route.pattern, route.flavour.name) for route in routes_of(kind)]
        assert all(method in ("GET", "POST") for method, _, _ in seen)
        assert len(set(seen)) == len(seen)
