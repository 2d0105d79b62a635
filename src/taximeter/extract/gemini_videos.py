"""Google's videos (Veo): one call asks for an operation, which is fetched until it is done. Each second made costs.

    POST …/models/veo-3.1-generate-001:predictLongRunning
        {"instances": [{"prompt": "..."}], "parameters": {"durationSeconds": 8, "resolution": "1080p", ...}}
     -> {"name": "…/models/veo-3.1-generate-001/operations/ID"}
    GET  …/models/veo-3.1-generate-001/operations/ID                                    (Gemini API)
    POST …/models/veo-3.1-generate-001:fetchPredictOperation {"operationName": "…"}     (Vertex AI)
     -> {"name": "…", "done": true, "response": {...}} or {"name": "…", "done": true, "error": {...}}

An operation that is done names its videos, and neither how long they are nor how large nor whether there is sound in
them: only the request says that. What nobody remembers is taken to be as documented, and marked as an estimate.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation
https://ai.google.dev/gemini-api/docs/video
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

from taximeter.core.usage import Usage
from taximeter.extract import gemini
from taximeter.extract.flavour import Flavour, error_type, route
from taximeter.extract.openai_videos import LARGEST_PLAIN, seconds_in, unit_of_side
from taximeter.extract.payload import Payload, count, items, mapping, text
from taximeter.extract.reading import Reading, RequestFacts

USUAL_SECONDS: Final = Decimal(8)
EXTENDED_SECONDS: Final = Decimal(7)
"""By which a video that was made before is made longer, unless it is said."""

MOST_VIDEOS: Final = 100
"""Videos of one operation that are counted."""

_SIDES: Final = {"4k": 2160, "2k": 1440}
_SIDE: Final = re.compile(r"([0-9]{3,4})p")
_MAKES_VIDEOS: Final = "veo-"
"""How the models are called whose operations are videos, even where nobody can read what came of them."""

_SILENT: Final = "veo-2"
"""How the models are called that make no sound, whatever is asked for."""

_AT_VERTEX: Final = "publishers/"
"""What is in the names of operations there."""

_PLACES: Final = ("uri", "gcsUri", "encodedVideo", "bytesBase64Encoded")
"""Where a video is, or where it lies."""


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────


class Wanted(NamedTuple):
    """Of each video: how long it is to be, the pixels of its shorter side, whether sound is wanted (None: not said).

    `sure` is False where the request leaves open how many seconds of which size will be charged.
    """

    seconds: Decimal = USUAL_SECONDS
    side: int = LARGEST_PLAIN
    sound: bool | None = None
    sure: bool = False


UNTOLD: Final = Wanted()


def read_request(body: Payload) -> RequestFacts:
    parameters = mapping(mapping(body).get("parameters"))
    instances = items(mapping(body).get("instances"))[:MOST_VIDEOS]
    extends = any("video" in mapping(each) for each in instances)
    usual = EXTENDED_SECONDS if extends else USUAL_SECONDS
    told, side = parameters.get("durationSeconds"), _side(parameters.get("resolution"))
    seconds = usual if told is None else seconds_in(told)
    wanted = Wanted(
        seconds=usual if seconds is None else seconds,
        side=LARGEST_PLAIN if side is None else side,
        sound=sound if isinstance(sound := parameters.get("generateAudio"), bool) else None,
        sure=seconds is not None and side is not None and not extends,
    )
    return RequestFacts(operation="video_generation", wanted=wanted)


def _side(resolution: object) -> int | None:
    """None where nobody can tell."""
    if resolution is None:
        return LARGEST_PLAIN
    named = resolution.lower() if isinstance(resolution, str) else ""
    found = _SIDE.fullmatch(named)
    return _SIDES.get(named) if found is None else int(found[1])


def read_begun(status: int, payload: object) -> Reading:
    """The answer to it is free: it names the operation."""
    return Reading(
        not_billed=True,
        finished=payload is not None,
        error_type=error_type(status, payload),
        usage_id=_job(text(mapping(payload).get("name"))),
    )


def _job(operation: str | None) -> str | None:
    """An operation's name from the model on: the project before it is written by its name or by its number."""
    return gemini.model_name(operation)


# ── what was made ────────────────────────────────────────────────────────────────────────────────────────────


def read_fetch(body: Payload) -> RequestFacts:
    return RequestFacts(operation="video_generation", usage_id=_job(text(mapping(body).get("operationName"))))


def read_operation(asked: RequestFacts | None, status: int, payload: object) -> Reading:
    """An operation as it stands. It costs once it is done; one that failed costs nothing, nor does a video that was
    held back. `asked` is what it was asked for, as far as that is remembered."""
    operation = mapping(payload)
    name = text(operation.get("name"))
    error = error_type(status, payload)
    if status >= 400 or error is not None or operation.get("done") is not True:
        return Reading(error_type=error, response_id=name, usage_id=_job(name))
    told = mapping(operation.get("response"))
    told = mapping(told.get("generateVideoResponse")) or told
    made = sum(1 for video in _videos(told) if any(video.get(place) for place in _PLACES))
    held_back = (count(told.get("raiMediaFilteredCount")) or 0) > 0 or bool(told.get("raiMediaFilteredReasons"))
    if held_back and not made:
        return Reading(not_billed=True, response_id=name, usage_id=_job(name))
    model = _model(name) or (None if asked is None else asked.model)
    wanted = asked.wanted if asked is not None and isinstance(asked.wanted, Wanted) else UNTOLD
    return Reading(
        response_model=model,
        usage=Usage(units={_unit(model, wanted): wanted.seconds * made}) if made else Usage(),
        usage_estimated=made > 0 and not (wanted.sure and _knows_sound(name, model, wanted)),
        response_id=name,
        usage_id=_job(name),
        finished=made > 0 or asked is not None or (model or "").startswith(_MAKES_VIDEOS),
    )


def _videos(response: Payload) -> Iterator[Payload]:
    """The videos of a response: `{"generatedSamples": [{"video": {"uri"}}]}`, or at Vertex AI
    `{"videos": [{"gcsUri"}]}`."""
    for sample in items(response.get("generatedSamples"))[:MOST_VIDEOS]:
        yield mapping(mapping(sample).get("video"))
    for video in items(response.get("videos"))[:MOST_VIDEOS]:
        yield mapping(video)


def _model(operation: str | None) -> str | None:
    model, found, _ = (_job(operation) or "").partition("/operations/")
    return (model or None) if found and "/" not in model else None


def _unit(model: str | None, wanted: Wanted) -> str:
    """What the seconds are called."""
    silent = wanted.sound is False or _is_silent(model)
    return unit_of_side(wanted.side) + ("" if silent else "_with_audio")


def _knows_sound(operation: str | None, model: str | None, wanted: Wanted) -> bool:
    """Whether it is certain that there is sound in it, or none. The Gemini API has no choice; Vertex AI wants it told,
    and does not say what it does otherwise."""
    return wanted.sound is not None or _is_silent(model) or _AT_VERTEX not in (operation or "")


def _is_silent(model: str | None) -> bool:
    return (model or "").startswith(_SILENT)


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

ASKED: Final = Flavour(
    name="gemini.videos",
    operation="video_generation",
    read_request=read_request,
    read_body=read_begun,
    billed=False,
    begins_job=True,
    charged_later=True,
)
FETCHED: Final = Flavour(
    name="gemini.videos.fetched",
    operation="video_generation",
    read_request=read_fetch,
    read_body=partial(read_operation, None),
    read_job=read_operation,
    polled=True,
)
_MODEL: Final = "(?:models|endpoints)/(?P<model>[^/:]+)"

ROUTES: Final = (
    route("POST", f"{_MODEL}:predictLongRunning", ASKED),
    route("GET", "models/(?P<usage_id>[^/:]+/operations/[^/:]+)", FETCHED),
    route("POST", f"{_MODEL}:fetchPredictOperation", FETCHED),
)
