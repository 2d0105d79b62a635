"""Azure OpenAI: OpenAI's protocol, the model named by a deployment in the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from taximeter.simulator.asking import Ask
from taximeter.simulator.dialects import Route, model_route, route
from taximeter.simulator.dialects.openai_chat import OpenAIChat
from taximeter.simulator.dialects.openai_embeddings import OpenAIEmbeddings
from taximeter.simulator.dialects.openai_responses import OpenAIResponses
from taximeter.simulator.manners import Manners, request_id_in

AZURE: Final = Manners(provider="azure", headers=request_id_in(b"apim-request-id"))


class AzureChat(OpenAIChat):
    manners = AZURE

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return super().ask({**body, "model": self._deployment})


class AzureEmbeddings(OpenAIEmbeddings):
    manners = AZURE

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return super().ask({**body, "model": self._deployment})


class AzureResponses(OpenAIResponses):
    manners = AZURE


_DEPLOYMENT: Final = "/openai/deployments/(?P<model>[^/]+)"

ROUTES: Final[tuple[Route, ...]] = (
    model_route(f"{_DEPLOYMENT}/chat/completions", AZURE, AzureChat),
    model_route(f"{_DEPLOYMENT}/embeddings", AZURE, AzureEmbeddings),
    route("/openai(?:/v1)?/responses", AzureResponses()),
)
