"""Perplexity beside OpenAI's protocol: searches without a model, paid by the request.

https://docs.perplexity.ai/docs/search/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taximeter.core.usage import Usage
from taximeter.extract.flavour import Flavour, Route, error_type
from taximeter.extract.payload import Payload, characters, mapping, text
from taximeter.extract.reading import Reading, RequestFacts

_USUAL: Final = "web"
"""The `search_type` of a request that names none."""


def read_search_request(body: Payload) -> RequestFacts:
    """What is asked for has the place of a model: the kinds of search have prices of their own."""
    body = mapping(body)
    kind = text(body.get("search_type")) or _USUAL
    return RequestFacts(
        operation="search",
        model="search" if kind == _USUAL else f"search-{kind}",
        input_characters=characters(body.get("query")),
    )


def read_search_answer(status: int, payload: object) -> Reading:
    """Each request that is answered counts, whatever it found and however many queries were in it."""
    error = error_type(status, payload)
    answer = mapping(payload)
    if error is not None or "results" not in answer:
        return Reading(error_type=error, not_billed=error is not None, finished=isinstance(payload, Mapping))
    return Reading(usage=Usage(units={"web_searches": 1}), response_id=text(answer.get("id")), finished=True)


SEARCH: Final = Flavour(
    name="perplexity.search",
    operation="search",
    read_request=read_search_request,
    read_body=read_search_answer,
)

ROUTES: Final = (
    Route("POST", "/?search/?", SEARCH),  # nothing before it: stores of vectors are searched at paths that end so
)
