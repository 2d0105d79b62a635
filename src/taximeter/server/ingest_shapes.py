"""`POST /v1/events` in the API's description. The road itself checks events much faster than a model would."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from taximeter.core.attribution import SHORT_NAMES
from taximeter.core.event import FIELDS, Kind, Source, Status
from taximeter.core.outcome import OUTCOME_FIELDS

_TYPES: dict[Kind, Any] = {
    "text": str | None,
    "timestamp": str | None,
    "count": int | None,
    "milliseconds": float | None,
    "flag": bool | None,
    "money": str | float | None,
    "texts": dict[str, str | float | bool | None] | None,
    "units": dict[str, float | str] | None,
    "json": list[dict[str, Any]] | None,
}
_ABOUT: Final = {field.name: field.about for field in FIELDS}
_SHORT: Final = {"model": "request_model", **SHORT_NAMES}

IncomingEvent = create_model(
    "IncomingEvent",
    __doc__="One attempt of one call, as its sender tells it. What is not known may be left out.",
    **{
        **{f.name: (_TYPES[f.kind], Field(default=None, description=f.about)) for f in FIELDS},
        "event_id": (str, Field(description=_ABOUT["event_id"])),
        "started_at": (str, Field(description=_ABOUT["started_at"])),
        "source": (Source | None, Field(default=None, description=_ABOUT["source"])),
        "status": (Status | None, Field(default=None, description=_ABOUT["status"])),
        **{
            short: (str | None, Field(default=None, description=f"`{full}`, where that is absent"))
            for short, full in _SHORT.items()
        },
    },  # type: ignore[call-overload]
)


IncomingOutcome = create_model(
    "IncomingOutcome",
    __doc__="What calls were made for, and what it was worth.",
    **{
        "record": (Literal["outcome"], Field(description="what tells an outcome from an event")),
        **{f.name: (_TYPES[f.kind], Field(default=None, description=f.about)) for f in OUTCOME_FIELDS},
        **{
            name: (str, Field(description=next(f.about for f in OUTCOME_FIELDS if f.name == name)))
            for name in ("outcome_id", "occurred_at", "name")
        },
        **{
            short: (str | None, Field(default=None, description=f"`{full}`, where that is absent"))
            for short, full in SHORT_NAMES.items()
        },
    },  # type: ignore[call-overload]
)


class RejectedEvent(BaseModel):
    """Why the item at `index` of a request was not taken."""

    index: int
    code: str
    message: str


class TakenEvents(BaseModel):
    """Answered when the accepted events are durable."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]


def describe_ingest(document: dict[str, Any]) -> None:
    """Adds the route and its shapes to an OpenAPI document."""
    models = [(model, "validation") for model in (IncomingEvent, IncomingOutcome, TakenEvents)]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    document["components"]["schemas"] |= schemas["$defs"]
    kinds = ("IncomingEvent", "IncomingOutcome")
    one = {"anyOf": [{"$ref": f"#/components/schemas/{kind}"} for kind in kinds]}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    refusals = {
        "401": "no valid credential",
        "403": "the key is not for ingest",
        "413": "too large",
        "422": "the body is not JSON",
        "503": "the disk does not take events now; see Retry-After",
    }
    document["paths"]["/v1/events"] = {
        "post": {
            "tags": ["ingest"],
            "summary": "Send Events",
            "description": "Events or outcomes: one, a JSON array, or NDJSON. What cannot be taken is in `rejected`.",
            "operationId": "send_events_v1_events_post",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"anyOf": [one, {"type": "array", "items": one}]}},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            },
            "responses": {
                "202": {
                    "description": "the accepted events are durable",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TakenEvents"}}},
                },
                **{code: {"description": about, "content": error} for code, about in refusals.items()},
            },
        }
    }
