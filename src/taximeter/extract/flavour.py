"""A flavour: one wire format of one provider family, and how to read it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import unquote

from taximeter.core.places import region_in
from taximeter.extract.payload import Payload, mapping, text
from taximeter.extract.plain import Plain
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.sse import SseFraming
from taximeter.extract.stream import Decode, Framing, OpenStream, StreamReader, StreamState

ReadRequest: TypeAlias = Callable[[Payload], RequestFacts]
ReadAnswer: TypeAlias = Callable[[int, object], Reading]
ReadJob: TypeAlias = Callable[[RequestFacts | None, int, object], Reading]
ReadPlain: TypeAlias = Callable[[object], Plain | None]
TakeGist: TypeAlias = Callable[[object, str], str | None]
ReadHeaders: TypeAlias = Callable[[Reading, Mapping[str, str]], Reading]
OpenFraming: TypeAlias = Callable[[], Framing]

NO_HEADERS: Final[Mapping[str, str]] = {}
EVENT_STREAM: Final = "text/event-stream"
JSON_LINES: Final = ("application/x-ndjson", "application/jsonl", "application/x-jsonl", "application/stream+json")


class EmptyStream:
    """The state of a stream in which there is nothing to count."""

    content_started = False
    finished = False

    def skim(self, _: bytes, /) -> bool:
        return True

    def take(self, _: Payload, /) -> None:
        pass

    def reading(self) -> Reading:
        return NOTHING_READ


def _empty_stream(_: RequestFacts | None) -> StreamState:
    return EmptyStream()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """How one endpoint speaks. `name` is the wire format (`openai.chat`), `operation` is OpenTelemetry's word.

    - `billed` is False for endpoints that cost nothing (listing models, counting tokens): their readings say
      `not_billed`
    - `charged_later`: it costs nothing itself, and begins what is charged for when it has ended, or where nobody looks
    - `polled`: the answer tells the usage of a call made before, and may be fetched again; count what it tells once,
      by `Reading.usage_id` or `response_id`. `flavour_for` finds these only when asked
    - `several`: the answer holds several calls (`Reading.items`, `StreamReader.take_items`): an event for each, none
      for the request itself
    - `usage_id`: what `Reading.usage_id` will be, when the path says so already
    - `region`: where it is served, when the path says so
    - `begins_job`: the request asks for a job, whose fetched answer does not say again what it was asked for; it has to
      be remembered (`Jobs`) for the reading of that answer
    """

    name: str
    operation: str
    read_request: ReadRequest
    """The facts of a request body (parsed JSON). Nothing is raised, whatever is in it."""
    read_body: ReadAnswer
    """The reading of a whole answer's body: HTTP status, and parsed JSON or None. Nothing is raised."""
    read_plain: ReadPlain | None = None
    """The shortest way to the reading of a plain answer (status 200); gives None for every other one."""
    gist: TakeGist | None = None
    """What of a whole answer (status 200) its reading depends on, without its content, as JSON in one line; None where
    that is not seen at a glance. Taken of the parsed answer, and of its text where that is at hand. The reading of the
    gist is the reading of the answer, and has a known usage."""
    read_job: ReadJob | None = None
    """Reads the answer of a job together with the facts of the request that asked for it, as far as they are
    remembered. `read_body` reads it without."""
    read_headers: ReadHeaders | None = None
    """Adds to a reading what only the answer's headers say. None: they say nothing."""
    open_stream: OpenStream = _empty_stream
    open_framing: OpenFraming = SseFraming
    open_growing: OpenFraming | None = None
    """Cuts a stream that comes as JSON, piece by piece, instead of as one of `streamed_as`. None: there is none."""
    streamed_as: tuple[str, ...] = (EVENT_STREAM,)
    billed: bool = True
    polled: bool = False
    several: bool = False
    usage_id: str | None = None
    region: str | None = None
    begins_job: bool = False
    charged_later: bool = False

    def read_answer(self, status: int, payload: object, headers: Mapping[str, str] = NO_HEADERS) -> Reading:
        """The reading of a whole answer: HTTP status, and parsed JSON or None. Nothing is raised.

        `headers` by lower-case name; they are needed only where `read_headers` is not None.
        """
        plain = self.read_plain(payload) if self.read_plain is not None and status == 200 else None
        reading = self.read_body(status, payload) if plain is None else plain.reading()
        return reading if self.read_headers is None else self.read_headers(reading, headers)

    def tells(self, reading: Reading) -> bool:
        """Whether the reading of a fetched answer (`polled`) has to be counted. A job that is done counts even when
        nobody can read what it came to."""
        return reading.finished and (reading.usage.known or self.read_job is not None)

    def fetching(self, usage_id: str, asked: RequestFacts | None) -> Flavour:
        """This flavour for the answer of one job, which was `asked` for (None: nobody remembers)."""
        read_body = self.read_body if self.read_job is None else partial(self.read_job, asked)
        return replace(self, usage_id=usage_id, read_body=read_body)

    def streams(self, content_type: str) -> bool:
        """Whether an answer (2xx) of this content type is one for `stream()`, not for `read_answer`."""
        return content_type.partition(";")[0].strip().lower() in self.streamed_as

    def stream(
        self, request: RequestFacts | None = None, *, decode: Decode = json.loads, growing: bool = False
    ) -> StreamReader:
        """A reader for one streamed answer to `request`. `growing`: it comes as JSON (see `open_growing`)."""
        cut = self.open_growing if growing and self.open_growing is not None else self.open_framing
        return StreamReader(self.open_stream(request), framing=cut(), decode=decode)

    def for_path(self, match: re.Match[str]) -> Flavour:
        """This flavour for a path that names the model, the id of a usage, or a region."""
        named = match.groupdict()
        found = self if named.get("model") is None else self.for_model(named["model"])
        region = region_in(match.string)
        if region is not None:
            found = replace(found, region=region)
        return found if named.get("usage_id") is None else replace(found, usage_id=text(named["usage_id"]))

    def for_model(self, model: str) -> Flavour:
        """This flavour for a path that names the model (percent-encoded), which counts when the body names none."""
        named = text(unquote(model))

        def read_request(body: Payload) -> RequestFacts:
            facts = self.read_request(body)
            return facts if facts.model else replace(facts, model=named)

        return replace(self, read_request=read_request)


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests a flavour answers: the method, and a pattern of the path (a group `model` names the model).

    Patterns are compiled when they are first needed, not at import: the SDK lives in other people's processes.
    """

    method: str
    pattern: str
    flavour: Flavour

    def fits(self, method: str, path: str) -> re.Match[str] | None:
        """The match of a path without its query string, or None."""
        return re.fullmatch(self.pattern, path) if method == self.method else None


def route(method: str, path: str, flavour: Flavour) -> Route:
    """A route for every host: whatever stands before `path` is the host's own affair."""
    return Route(method, rf"(?:.*/)?{path}/?", flavour)


def free(name: str, operation: str = "none", *, charged_later: bool = False) -> Flavour:
    """A flavour of an endpoint that costs nothing, at least not yet."""

    def read_request(body: Payload) -> RequestFacts:
        return RequestFacts(operation=operation, model=text(mapping(body).get("model")))

    def read_answer(status: int, payload: object) -> Reading:
        return Reading(not_billed=True, finished=payload is not None, error_type=error_type(status, payload))

    return Flavour(
        name=name,
        operation=operation,
        read_request=read_request,
        read_body=read_answer,
        billed=False,
        charged_later=charged_later,
    )


def error_type(status: int, payload: object) -> str | None:
    """The type of the error that an answer is, or None when it is none.

    Providers write `{"error": {"type", "code", "status"}}` with some of them missing, `{"error": "text"}`, or
    something of a proxy's own; then the status has to do (`http_502`).
    """
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]  # Google, at endpoints that stream
    error = payload.get("error") if isinstance(payload, Mapping) else None
    named = mapping(error)
    found = text(named.get("type")) or text(named.get("code")) or text(named.get("status"))
    if found is None and status >= 400:
        return f"http_{status}"
    return found or ("error" if error else None)
