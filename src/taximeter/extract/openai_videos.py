"""OpenAI's videos: a job that one call asks for, and that is polled until it is there. The seconds that were made cost.

https://platform.openai.com/docs/api-reference/videos
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from taximeter.core.usage import Usage
from taximeter.extract import xai
from taximeter.extract.flavour import Flavour, error_type, free, route
from taximeter.extract.payload import Payload, mapping, text, usd
from taximeter.extract.reading import Reading, RequestFacts

LARGEST_PLAIN: Final = 720
"""Pixels of the shorter side up to which a second of video is a plain one."""

LONGEST_SECONDS: Final = 86_400
"""Seconds of one video that are believed."""

_SIZE: Final = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")


def seconds_unit(size: object) -> str:
    """What a second of video of this size (`1024x1792`) is called in `Usage.units`.

    Providers charge by the shorter side. Where none is told it is the size that one gets unasked, a plain one.
    """
    named = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return unit_of_side(LARGEST_PLAIN if named is None else min(int(named[1]), int(named[2])))


def unit_of_side(shorter: int) -> str:
    """The same by the pixels of the shorter side."""
    return "video_seconds" if shorter <= LARGEST_PLAIN else f"video_seconds_{shorter}p"


def read_fetch(_: Payload) -> RequestFacts:
    return RequestFacts(operation="video_generation")


def read_video(status: int, payload: object) -> Reading:
    """A video as it stands. It costs once it is complete; one that failed, or is being made, costs nothing."""
    video = mapping(payload)
    if status >= 400 or video.get("object") != "video":
        return xai.read_deferred(status, payload)  # what is fetched at the same path elsewhere
    if video.get("status") != "completed":
        return Reading(error_type=error_type(status, payload), response_id=text(video.get("id")))
    made = seconds_in(video.get("seconds"))
    return Reading(
        response_model=text(video.get("model")),
        usage=Usage() if made is None else Usage(units={seconds_unit(video.get("size")): made}),
        response_id=text(video.get("id")),
        finished=True,
    )


def seconds_in(value: object) -> Decimal | None:
    """The seconds of a video, when they are believable."""
    told = usd(value)
    return told if told is not None and 0 < told <= LONGEST_SECONDS else None


FETCHED: Final = Flavour(
    name="openai.videos.fetched",
    operation="video_generation",
    read_request=read_fetch,
    read_body=read_video,
    polled=True,
)

ROUTES: Final = (
    route(
        "POST",
        "videos(?:/edits|/extensions|/[^/]+/remix)?",
        free("openai.videos", "video_generation", charged_later=True),
    ),
    route("GET", "videos/(?P<usage_id>[^/]+)", FETCHED),
)
