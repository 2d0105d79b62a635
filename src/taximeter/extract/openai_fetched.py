"""OpenAI answers that are fetched later, and again: background responses, stored completions, batches, assistants."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from taximeter.extract import mistral, openai, openai_videos
from taximeter.extract.flavour import JSON_LINES, Flavour, ReadRequest, error_type, free, route
from taximeter.extract.lines import LineFraming
from taximeter.extract.payload import Payload, characters, items, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.several import MOST_ITEMS, result_lines, together
from taximeter.extract.stream import StreamState

_FILES: Final = (*JSON_LINES, "application/octet-stream", "text/plain", "binary/octet-stream")
"""Content types under which files of results are served."""


def _fetch(operation: str) -> ReadRequest:
    def read_request(_: Payload) -> RequestFacts:
        return RequestFacts(operation=operation)

    return read_request


# ── responses made in the background ─────────────────────────────────────────────────────────────────────────


def read_background(status: int, payload: object) -> Reading:
    """A response. One that was not made in the background told its usage in the answer to its POST, and tells nothing
    here."""
    reading = openai.read_responses_answer(status, payload)
    return reading if mapping(payload).get("background") is True else replace(reading, finished=False)


class BackgroundStream(openai.ResponsesStream):
    """Its events, from wherever they are taken up again."""

    def __init__(self, request: RequestFacts | None = None) -> None:
        super().__init__(request)
        self._background = False

    def _take_response(self, kind: str, response: Payload) -> None:
        super()._take_response(kind, response)
        self._background = response.get("background") is True

    def reading(self) -> Reading:
        reading = super().reading()
        return reading if self._background else replace(reading, finished=False)


def _background_stream(request: RequestFacts | None) -> StreamState:
    return BackgroundStream(request)


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────


def read_batch(status: int, payload: object) -> Reading:
    """A batch: the usage of all its calls, once they are done. The file of their results tells the same again."""
    reading = openai.read_chat_answer(status, payload)
    batch = mapping(payload)
    if status >= 400:
        return reading
    if batch.get("status") not in ("completed", "expired", "cancelled"):
        return Reading(response_id=reading.response_id)
    return replace(
        reading,
        service_tier="batch",
        usage_id=text(batch.get("output_file_id")),
        error_type=None,
        not_billed=False,
    )


def read_job(status: int, payload: object) -> Reading:
    """A batch job of Mistral: once it is done it holds its answers itself, as lines of a file of results would."""
    if status >= 400:
        return openai.read_chat_answer(status, payload)
    job = mapping(payload)
    results = [read_result(mapping(line)) for line in items(job.get("outputs"))[:MOST_ITEMS]]
    if any(results):
        return together(result for result in results if result is not None)
    return Reading(finished=job.get("status") not in _JOB_RUNS)


_JOB_RUNS: Final = ("QUEUED", "RUNNING", "CANCELLATION_REQUESTED")


def read_result(line: Payload) -> Reading | None:
    """A line of the file of results."""
    response = mapping(line.get("response"))
    body = mapping(response.get("body"))
    if "custom_id" not in line or not (response or line.get("error")):
        return None
    status = response.get("status_code")
    reading = _READERS.get(str(body.get("object")), openai.read_chat_answer)(
        status if type(status) is int else 200, body
    )
    failed = error_type(200, line)
    error = failed or reading.error_type
    return replace(reading, service_tier="batch", error_type=error, not_billed=reading.not_billed or failed is not None)


_READERS: Final = {
    "response": openai.read_responses_answer,
    "list": openai.read_embeddings_answer,
    "video": openai_videos.read_video,
}
"""`object` of a result → its reader; others are chat completions."""


# ── assistants ───────────────────────────────────────────────────────────────────────────────────────────────

_RUN_ENDED: Final = ("completed", "failed", "cancelled", "expired", "incomplete")


def read_run(status: int, payload: object) -> Reading:
    """A run of an assistant; its usage is there when it has ended."""
    run = mapping(payload)
    usage = mapping(run.get("usage"))
    if "prompt_token_details" in usage:  # in the singular, only here
        run = {**run, "usage": {"prompt_tokens_details": usage["prompt_token_details"], **usage}}
    reading = openai.read_chat_answer(status, run if run else payload)
    if status >= 400:
        return reading
    error = text(mapping(run.get("last_error")).get("code"))
    ended = run.get("status") in _RUN_ENDED
    return replace(reading, error_type=error or reading.error_type, finished=reading.finished and ended)


def read_run_request(body: Payload) -> RequestFacts:
    facts = openai.read_chat_request(body)
    body = mapping(body)
    more = sum(characters(body.get(key)) for key in ("instructions", "additional_instructions", "thread"))
    return replace(facts, input_characters=facts.input_characters + more)


class RunStream:
    """Events of a run: the run itself comes again whenever its status changes, with its usage at the end."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._run = NOTHING_READ
        self._error: str | None = None
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes, /) -> bool:
        self.finished = self.finished or data == b"[DONE]"
        return data == b"[DONE]"

    def take(self, event: Payload, /) -> None:
        event = mapping(event.get("data")) or event  # as the client library shows it
        kind = event.get("object")
        if kind == "thread.run":
            self._run = read_run(200, event)
            self.finished = self.finished or self._run.finished
        elif kind in ("thread.message.delta", "thread.run.step.delta"):
            self._characters += characters(event.get("delta"))
            self.content_started = self.content_started or self._characters > 0
        else:
            self._error = error_type(200, event) or self._error

    def reading(self) -> Reading:
        error = self._run.error_type or self._error
        return replace(
            self._run,
            error_type=error,
            not_billed=error is not None and not self._run.usage.known and not self.content_started,
            finished=self.finished,
            output_characters=self._characters,
        )


def _run_stream(request: RequestFacts | None) -> StreamState:
    return RunStream(request)


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

_fetched: Final = partial(replace, gist=None, polled=True)
RESPONSE: Final = _fetched(
    openai.RESPONSES,
    name="openai.responses.retrieve",
    read_request=_fetch("chat"),
    read_body=read_background,
    read_plain=None,
    open_stream=_background_stream,
)
COMPLETION: Final = _fetched(openai.CHAT, name="openai.chat.retrieve", read_request=_fetch("chat"))
BATCH: Final = Flavour(
    name="openai.batch", operation="chat", read_request=_fetch("chat"), read_body=read_batch, polled=True
)
BATCH_OUTPUT: Final = Flavour(
    name="openai.batch.output",
    operation="chat",
    read_request=_fetch("chat"),
    read_body=openai.read_chat_answer,
    open_stream=result_lines(read_result),
    open_framing=LineFraming,
    streamed_as=_FILES,
    polled=True,
    several=True,
)
JOB: Final = Flavour(
    name="mistral.batch", operation="chat", read_request=_fetch("chat"), read_body=read_job, polled=True, several=True
)
RUN: Final = Flavour(
    name="openai.assistants.run",
    operation="invoke_agent",
    read_request=read_run_request,
    read_body=read_run,
    open_stream=_run_stream,
)
FETCHED_RUN: Final = replace(RUN, read_request=_fetch("invoke_agent"), polled=True)

_CONVERSATIONS: Final = replace(
    mistral.CONVERSATION, name="openai.conversations", read_body=mistral.read_answer_if_any, billed=False
)
"""OpenAI keeps conversations for nothing; at Mistral the same path is a call, which its usage shows."""

ROUTES: Final = (
    route("POST", "conversations(?:/.*)?", _CONVERSATIONS),
    route("GET", "responses/[^/]+", RESPONSE),
    route("GET", "chat/completions/[^/]+", COMPLETION),
    route("POST", "batches", free("openai.batches", charged_later=True)),
    route("POST", "batches/[^/]+/cancel", free("openai.batches")),
    route("GET", "batches/[^/]+", BATCH),
    route("GET", "files/(?P<usage_id>[^/]+)/content", BATCH_OUTPUT),
    route("POST", "batch/jobs", free("mistral.batches", charged_later=True)),
    route("POST", "batch/jobs/[^/]+/cancel", free("mistral.batches")),
    route("GET", "batch/jobs/[^/]+", JOB),
    route("POST", "threads/(?:[^/]+/)?runs", RUN),
    route("POST", "threads/[^/]+/runs/[^/]+/submit_tool_outputs", RUN),
    route("GET", "threads/[^/]+/runs/[^/]+", FETCHED_RUN),
    route("POST", "assistants(?:/.*)?", free("openai.assistants")),
    route("POST", "threads/[^/]+/runs/[^/]+(?:/cancel)?", free("openai.threads.runs")),
    route("POST", "threads(?:/[^/]+(?:/messages(?:/[^/]+)?)?)?", free("openai.threads")),
)
