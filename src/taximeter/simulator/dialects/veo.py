"""Google's videos (Veo), at the Gemini API and at Vertex AI: an operation that is asked for, and fetched until done.

A second costs more with sound in it, and by its size: both are in the books, and only the request says them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from taximeter.core.usage import Usage
from taximeter.simulator.asking import Ask, Refusal, bad_request, optional_count, required_text, text_block, text_in
from taximeter.simulator.dialects import Caching, Dialect, JobDialect, Route
from taximeter.simulator.dialects.gemini import GOOGLE
from taximeter.simulator.dialects.vertex import VERTEX
from taximeter.simulator.drafting import Draft
from taximeter.simulator.jobs import Job
from taximeter.simulator.manners import Manners

_SECONDS: Final = 8
_LENGTHS: Final = frozenset(str(seconds) for seconds in range(1, 61))
_MOST_VIDEOS: Final = 4
_UNITS: Final = {
    "720p": "video_seconds",
    "1080p": "video_seconds_1080p",
    "4k": "video_seconds_2160p",
}


class _Videos(JobDialect):
    """`models` is the path up to the model."""

    operation = "video_generation"
    caching: Caching = "none"

    def __init__(self, models: str, model: str, manners: Manners) -> None:
        self.manners = manners
        self._models = models
        self._model = model

    def bills(self, _draft: Draft, /) -> bool:
        return False


class PredictLongRunning(_Videos):
    api = "google.predictLongRunning"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        instances = body.get("instances")
        if not isinstance(instances, list) or not instances:
            raise bad_request("instances: required", "instances")
        if _resolution(body) not in _UNITS:
            raise bad_request("resolution: is none of 720p, 1080p, 4k", "resolution")
        if _seconds(body) not in _LENGTHS:
            raise bad_request("durationSeconds: must be a whole number of at most 60", "durationSeconds")
        if _videos(body) > _MOST_VIDEOS:
            raise bad_request("sampleCount: must be at most 4", "sampleCount")
        blocks = tuple(text_block(text_in(instance)) for instance in instances)
        return Ask(body=body, model=self._model, blocks=blocks, max_output_tokens=0)

    def whole(self, draft: Draft) -> bytes:
        name = f"{self._models}/{self._model}/operations/{draft.number}"
        self.jobs.begin(name, draft.asked)
        return msgspec.json.encode({"name": name})


class FetchOperation(_Videos):
    """`name` is the operation's, or None when the body says it."""

    api = "google.fetchPredictOperation"

    def __init__(self, models: str, model: str, manners: Manners, name: str | None = None) -> None:
        super().__init__(models, model, manners)
        self.method = "POST" if name is None else "GET"
        self._name = name
        self._job = Job({})

    def ask(self, body: Mapping[str, Any]) -> Ask:
        self._name = self._name or required_text(body, "operationName")
        job = self.jobs.fetch(self._name)
        if job is None:
            raise Refusal(404, "not_found", f"Operation {self._name} not found.")
        self._job = job
        return Ask(body=body, model=self._model, blocks=(), max_output_tokens=0)

    def response_id(self, _number: str) -> str | None:
        return self._name

    def bills(self, _draft: Draft) -> bool:
        return self._job.just_done

    def used(self, _draft: Draft) -> Usage:
        wanted = _parameters(self._job.asked)
        silent = wanted.get("generateAudio") is False or self._model.startswith("veo-2")
        unit = _UNITS[_resolution(self._job.asked)] + ("" if silent else "_with_audio")
        return Usage(units={unit: int(_seconds(self._job.asked)) * _videos(self._job.asked)})

    def whole(self, draft: Draft) -> bytes:
        told: dict[str, Any] = {"name": self._name}
        if self._job.done:
            told |= {"done": True, "response": self._response(draft.number)}
        return msgspec.json.encode(told)

    def _response(self, number: str) -> dict[str, Any]:
        places = [f"{number}_{index}" for index in range(_videos(self._job.asked))]
        if self.manners is VERTEX:
            kind = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
            videos = [{"gcsUri": f"gs://bucket/{place}.mp4", "mimeType": "video/mp4"} for place in places]
            return {"@type": kind, "raiMediaFilteredCount": 0, "videos": videos}
        kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
        host = "https://generativelanguage.googleapis.com/v1beta"
        samples = [{"video": {"uri": f"{host}/files/{place}:download?alt=media"}} for place in places]
        return {"@type": kind, "generateVideoResponse": {"generatedSamples": samples}}


def _parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found = body.get("parameters")
    return found if isinstance(found, Mapping) else {}


def _resolution(body: Mapping[str, Any]) -> str:
    return str(_parameters(body).get("resolution") or "720p").lower()


def _seconds(body: Mapping[str, Any]) -> str:
    """As digits, if it is a number that a video can have."""
    told = _parameters(body).get("durationSeconds")
    return str(_SECONDS if told is None else told)


def _videos(body: Mapping[str, Any]) -> int:
    return optional_count(_parameters(body), "sampleCount", "numberOfVideos") or 1


def _asked_at(manners: Manners) -> Any:
    def dialect_at(match: re.Match[str], _query: Mapping[str, str]) -> Dialect:
        return PredictLongRunning(match["models"], match["model"], manners)

    return dialect_at


def _fetched_at(manners: Manners) -> Any:
    def dialect_at(match: re.Match[str], _query: Mapping[str, str]) -> Dialect:
        return FetchOperation(match["models"], match["model"], manners, match.groupdict().get("name"))

    return dialect_at


_GEMINI: Final = "/v1(?:beta|alpha)?/"
_VERTEX: Final = "/v1(?:beta1)?/"
_MODEL: Final = "(?P<models>models)/(?P<model>[^/:]+)"
_PUBLISHED: Final = "(?P<models>(?:projects/[^/]+/locations/[^/]+/)?publishers/google/models)/(?P<model>[^/:]+)"

ROUTES: Final[tuple[Route, ...]] = (
    Route(GOOGLE, f"{_GEMINI}{_MODEL}:predictLongRunning", _asked_at(GOOGLE)),
    Route(GOOGLE, f"{_GEMINI}(?P<name>{_MODEL}/operations/[^/:]+)", _fetched_at(GOOGLE)),
    Route(VERTEX, f"{_VERTEX}{_PUBLISHED}:predictLongRunning", _asked_at(VERTEX)),
    Route(VERTEX, f"{_VERTEX}{_PUBLISHED}:fetchPredictOperation", _fetched_at(VERTEX)),
)
