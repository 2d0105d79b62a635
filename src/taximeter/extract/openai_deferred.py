"""Chat completions that are asked for in one call and fetched in others: Perplexity's `async`, Zhipu's `async-result`.

https://docs.perplexity.ai/api-reference/async-sonar-api-request-get
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from taximeter.extract import openai
from taximeter.extract.flavour import error_type, free, route
from taximeter.extract.payload import Payload, mapping, text
from taximeter.extract.reading import Reading, RequestFacts


def read_wish(body: Payload) -> RequestFacts:
    """What is asked for stands within, where Perplexity is asked."""
    return openai.read_chat_request(mapping(mapping(body).get("request")) or body)


def read_fetched(status: int, payload: object) -> Reading:
    """The answer, once it is there: within, or as it is."""
    told = mapping(payload)
    answer = mapping(told.get("response")) or told
    if status >= 400 or "usage" not in answer:
        return Reading(finished=False, error_type=error_type(status, payload))
    reading = openai.read_chat_answer(status, answer)
    return replace(reading, usage_id=text(told.get("id")))


WISH: Final = replace(free("openai.deferred", "chat", charged_later=True), read_request=read_wish)
FETCHED: Final = replace(
    openai.CHAT, name="openai.deferred.fetched", read_body=read_fetched, read_plain=None, gist=None, polled=True
)

ROUTES: Final = (
    route("POST", "async/(?:chat/completions|sonar)", WISH),
    route("GET", "async/(?:chat/completions|sonar)/[^/]+", FETCHED),
    route("GET", "async-result/[^/]+", FETCHED),
)
