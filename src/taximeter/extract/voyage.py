"""Voyage: embeddings of pictures and of documents in context, which know a total only.

Its plain embeddings are OpenAI's, its rerank has the path of Cohere's.
"""

from __future__ import annotations

from typing import Final

from taximeter.extract import openai
from taximeter.extract.flavour import Flavour, route
from taximeter.extract.payload import Payload, characters, mapping, text
from taximeter.extract.reading import RequestFacts


def read_embed_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    size = characters(body.get("inputs")) + characters(body.get("input"))
    return RequestFacts(operation="embeddings", model=text(body.get("model")), input_characters=size)


EMBED: Final = Flavour(
    name="voyage.embeddings",
    operation="embeddings",
    read_request=read_embed_request,
    read_body=openai.read_embeddings_answer,
)

ROUTES: Final = (route("POST", "(?:multimodal|contextualized)embeddings", EMBED),)
