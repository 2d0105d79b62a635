"""Voyage: embeddings of pictures and of documents in context, which know a total, and what of it is text.

Its plain embeddings are OpenAI's, its rerank has the path of Cohere's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from taximeter.extract import openai
from taximeter.extract.flavour import Flavour, route
from taximeter.extract.payload import Payload, characters, count, mapping, text
from taximeter.extract.reading import Reading, RequestFacts


def read_embed_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    size = characters(body.get("inputs")) + characters(body.get("input"))
    return RequestFacts(operation="embeddings", model=text(body.get("model")), input_characters=size)


def read_embed_answer(status: int, payload: object) -> Reading:
    """Pictures and videos are paid by the pixel; the tokens that stand for them are in the total, and not paid."""
    reading = openai.read_embeddings_answer(status, payload)
    told = mapping(mapping(payload).get("usage"))
    total, texts = reading.usage.input_tokens, count(told.get("text_tokens"))
    pictured, filmed = (count(told.get(key)) or 0 for key in ("image_pixels", "video_pixels"))
    if total is None or texts is None or pictured + filmed <= 0:
        return reading
    place = "input_image_tokens" if pictured else "input_video_tokens"
    seen = {place: max(total - max(texts, 0), 0)}
    return replace(reading, usage=replace(reading.usage, units={"pixels": pictured + filmed}, **seen))


EMBED: Final = Flavour(
    name="voyage.embeddings",
    operation="embeddings",
    read_request=read_embed_request,
    read_body=read_embed_answer,
)

ROUTES: Final = (route("POST", "(?:multimodal|contextualized)embeddings", EMBED),)
