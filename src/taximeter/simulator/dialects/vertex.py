"""Vertex AI: Gemini's protocol below a project, Anthropic's under another verb, embeddings as predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, bad_request, text_block, text_in
from taximeter.simulator.dialects import Dialect, Route, model_route
from taximeter.simulator.dialects.anthropic_messages import AnthropicMessages
from taximeter.simulator.dialects.gemini import GOOGLE, CountTokens, GenerateContent, stream_at
from taximeter.simulator.dialects.openai_embeddings import vector
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Manners

VERTEX: Final = replace(GOOGLE, provider="google-vertex")


class VertexPredict(Dialect):
    """Embeddings, each with the number of its tokens."""

    manners: Manners = VERTEX
    operation = "embeddings"
    api = "google.vertex.predict"

    def __init__(self, model: str) -> None:
        self._model = model

    def ask(self, body: Mapping[str, Any]) -> Ask:
        instances = body.get("instances")
        if not isinstance(instances, list) or not instances:
            raise bad_request("instances: required", "instances")
        blocks = tuple(text_block(text_in(instance)) for instance in instances)
        return Ask(body=body, model=self._model, blocks=blocks, max_output_tokens=0)

    def whole(self, draft: Draft) -> bytes:
        return msgspec.json.encode({"predictions": [_prediction(text_in(each)) for each in draft.asked["instances"]]})


def _prediction(text: str) -> dict[str, Any]:
    statistics = {"truncated": False, "token_count": len(text.split())}
    return {"embeddings": {"values": vector(text, 64), "statistics": statistics}}


class VertexMessages(AnthropicMessages):
    """Anthropic's messages with the model in the path."""

    manners: Manners = replace(AnthropicMessages.manners, provider="google-vertex")

    def __init__(self, model: str) -> None:
        self._model = model

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return super().ask({**body, "model": self._model})


_PUBLISHERS: Final = "/v1(?:beta1)?/(?:projects/[^/]+/locations/[^/]+/)?publishers"
_MODEL: Final = _PUBLISHERS + "/google/models/(?P<model>[^/:]+)"
_CLAUDE: Final = _PUBLISHERS + "/anthropic/models/(?P<model>[^/:]+)"

ROUTES: Final[tuple[Route, ...]] = (
    model_route(f"{_MODEL}:generateContent", VERTEX, partial(GenerateContent, manners=VERTEX)),
    Route(VERTEX, f"{_MODEL}:streamGenerateContent", partial(stream_at, manners=VERTEX)),
    model_route(f"{_MODEL}:countTokens", VERTEX, partial(CountTokens, manners=VERTEX)),
    model_route(f"{_MODEL}:predict", VERTEX, VertexPredict),
    model_route(f"{_CLAUDE}:(?:rawPredict|streamRawPredict)", VertexMessages.manners, VertexMessages),
)
