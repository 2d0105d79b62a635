"""AWS Bedrock: converse, invoke and their streams, agents, guardrails.

The model is what the path names: only that says where it runs (`eu.`, `global.`), which decides the price. Input
leaves out what was read from or written to the cache. An invoked model answers in its vendor's own dialect; where
that has no counts, the headers or the end of the stream have them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.extract import anthropic, openai
from taximeter.extract.aws_events import AwsEventFraming
from taximeter.extract.counts import believable, cache_apart, summed
from taximeter.extract.flavour import Flavour, Route, error_type, free, route
from taximeter.extract.payload import MOST_NODES, Payload, characters, count, items, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import OpenStream, StreamState

AWS_EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
MOST_MODELS: Final = 100
"""Models, and steps of an agent, of one answer that are told apart."""

_GUARDRAIL_UNITS: Final = {
    "contentPolicyUnits": "guardrail_content_units",
    "contentPolicyImageUnits": "guardrail_content_image_units",
    "topicPolicyUnits": "guardrail_topic_units",
    "wordPolicyUnits": "guardrail_word_units",
    "sensitiveInformationPolicyUnits": "guardrail_sensitive_units",
    "sensitiveInformationPolicyFreeUnits": "guardrail_sensitive_free_units",
    "contextualGroundingPolicyUnits": "guardrail_grounding_units",
    "automatedReasoningPolicyUnits": "guardrail_reasoning_units",
}
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_TRACE: Final = "amazon-bedrock-trace"


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────


def read_converse_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="chat",
        max_output_tokens=count(mapping(body.get("inferenceConfig")).get("maxTokens")),
        input_characters=sum(characters(body.get(key)) for key in ("system", "messages", "toolConfig")),
    )


_PROMPTS: Final = ("system", "messages", "tools", "prompt", "inputText", "message", "chat_history", "texts")
_LIMITS: Final = ("max_tokens", "maxTokens", "max_gen_len", "max_tokens_to_sample", "maxTokenCount", "max_new_tokens")
_EMBEDS: Final = ("input_type", "embeddingTypes", "embeddingConfig", "dimensions", "taskType")


def read_invoke_request(body: Payload) -> RequestFacts:
    """A body in the dialect of some vendor."""
    body = mapping(body)
    places = (body, mapping(body.get("textGenerationConfig")), mapping(body.get("inferenceConfig")))
    limits = (count(place.get(key)) for place in places for key in _LIMITS)
    return RequestFacts(
        operation=_operation(body),
        max_output_tokens=next((limit for limit in limits if limit is not None), None),
        input_characters=sum(characters(body.get(key)) for key in _PROMPTS),
    )


def _operation(body: Payload) -> str:
    if "query" in body and "documents" in body:
        return "rerank"
    if "imageGenerationConfig" in body:
        return "image_generation"
    return "embeddings" if any(key in body for key in _EMBEDS) else "chat"


def read_agent_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="invoke_agent",
        model=text(body.get("foundationModel")),
        stream=True,
        input_characters=characters(body.get("inputText")) + characters(body.get("instruction")),
    )


def _read_guardrail_request(body: Payload) -> RequestFacts:
    return RequestFacts(operation="guardrail", input_characters=characters(mapping(body).get("content")))


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def _first(holder: Payload, *names: str) -> int | None:
    return next((number for name in names if (number := count(holder.get(name))) is not None), None)


def converse_counts(usage: Payload) -> tuple[dict[str, int | None], bool]:
    """Bedrock's own usage object, under the names of converse or of the metrics of a stream."""
    hour = None
    for detail in items(usage.get("cacheDetails"))[:MOST_MODELS]:
        if mapping(detail).get("ttl") == "1h":
            hour = (hour or 0) + (count(mapping(detail).get("inputTokens")) or 0)
    return cache_apart(
        _first(usage, "inputTokens", "inputTokenCount"),
        _first(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        _first(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
        hour,
        _first(usage, "outputTokens", "outputTokenCount"),
    )


def usage_in(usage: Payload, units: Mapping[str, int | Decimal]) -> tuple[Usage, bool]:
    if not usage:
        return Usage(units=units), False
    counts, odd = converse_counts(usage)
    counted, cut = believable(counts, units)
    return counted, odd or cut


def guardrail_units(trace: object) -> dict[str, int | Decimal]:
    """What guardrails read, wherever in a trace their `invocationMetrics` stand."""
    units: dict[str, int | Decimal] = {}
    waiting: list[object] = [trace]
    seen = 0
    while waiting and seen < MOST_NODES:
        seen += 1
        node = waiting.pop()
        if isinstance(node, Mapping):
            _add_units(units, mapping(mapping(node.get("invocationMetrics")).get("usage")))
            waiting.extend(value for key, value in node.items() if key != "invocationMetrics")
        elif isinstance(node, list):
            waiting.extend(node)
    return units


def _add_units(units: dict[str, int | Decimal], used: Payload) -> None:
    for theirs, ours in _GUARDRAIL_UNITS.items():
        number = count(used.get(theirs)) or 0
        if number > 0:
            units[ours] = units.get(ours, 0) + number


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────────────


def _failed(status: int, payload: object) -> Reading | None:
    """The reading of an answer that is an error, or nothing to read."""
    if status >= 400:
        kind = text(mapping(payload).get("__type"))
        error = kind.rpartition("#")[2] if kind else error_type(status, payload)
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, Mapping))
    return None if isinstance(payload, Mapping) else NOTHING_READ


def read_converse_answer(status: int, payload: object) -> Reading:
    if (failed := _failed(status, payload)) is not None:
        return failed
    reading = _converse(mapping(payload))
    written = 0 if reading.usage.known else characters(mapping(payload).get("output"))
    return replace(reading, finished=True, output_characters=written)


def _converse(answer: Payload) -> Reading:
    """What a converse answer and the metadata at the end of a stream have in common."""
    trace = mapping(answer.get("trace"))
    usage, conflict = usage_in(mapping(answer.get("usage")), guardrail_units(trace.get("guardrail")))
    return Reading(
        response_model=text(mapping(trace.get("promptRouter")).get("invokedModelId")),
        usage=usage,
        usage_conflict=conflict,
        service_tier=_tier(answer),
    )


LATENCY_OPTIMIZED: Final = "latency_optimized"
"""Inference optimised for latency has a price of its own, so it is a tier to us."""


def _tier(answer: Payload) -> str | None:
    if mapping(answer.get("performanceConfig")).get("latency") == "optimized":
        return LATENCY_OPTIMIZED
    return text(mapping(answer.get("serviceTier")).get("type"))


def _answer_of_vendor(body: Payload) -> Reading:
    """An invoked model's answer, in one of the dialects spoken there."""
    usage = mapping(body.get("usage"))
    if body.get("type") == "message":
        return anthropic.read_answer(200, body)
    ranked = [result for result in items(body.get("results")) if "relevance_score" in mapping(result)]
    if ranked:
        return Reading(usage=Usage(units={"search_units": _searches(len(ranked))}), usage_estimated=True)
    pictures = _pictures(body)
    if pictures:
        return Reading(usage=Usage(units={"images": pictures}))
    if "prompt_tokens" in usage or "input_tokens" in usage:
        return openai.read_chat_answer(200, body)
    counts = _counts_of_vendor(body) if "inputTokens" not in usage else converse_counts(usage)[0]
    counted, conflict = believable(counts, {})
    return Reading(usage=counted, usage_conflict=conflict)


DOCUMENTS_A_SEARCH: Final = 100
"""Documents that are ranked as one search. https://aws.amazon.com/bedrock/pricing/"""


def _searches(documents: int) -> int:
    """Searches that ranked these documents: at least so many, as an answer need not name all that were ranked."""
    return -(-documents // DOCUMENTS_A_SEARCH)


def _pictures(body: Payload) -> int:
    """Pictures in an answer of Nova Canvas, Titan and Stability. For one that was held back there is a reason."""
    reasons = [*items(body.get("finish_reasons"))]
    drawn = [picture for picture in items(body.get("images")) if isinstance(picture, str) and picture]
    return max(len(drawn) - sum(1 for reason in reasons if reason is not None), 0)


def _counts_of_vendor(body: Payload) -> dict[str, int | None]:
    """Titan, Llama and Cohere have names of their own; an embedding says its input only, and writes nothing."""
    billed = mapping(mapping(body.get("meta")).get("billed_units"))
    read = _first({**body, **billed}, "inputTextTokenCount", "prompt_token_count", "input_tokens")
    results = [count(mapping(result).get("tokenCount")) for result in items(body.get("results"))]
    written = [number for number in (*results, _first(body, "generation_token_count")) if number is not None]
    if not written and "embedding" in body:
        written = [0]
    counts = {"input_tokens": read, "output_tokens": sum(written) if written else _first(billed, "output_tokens")}
    return counts if read is not None else {}


_MEDIA: Final = frozenset({"embeddings", "images"})
"""Answers with one of these are no text."""


def read_invoke_answer(status: int, payload: object) -> Reading:
    """The model is the path's, not what the vendor calls it."""
    return replace(read_profile_answer(status, payload), response_model=None)


def read_profile_answer(status: int, payload: object) -> Reading:
    """The answer of an application's own inference profile: its name hides the model, which the vendor may name."""
    if (failed := _failed(status, payload)) is not None:
        return failed
    body = mapping(payload)
    reading = _answer_of_vendor(body)
    units = guardrail_units(body.get(_TRACE))
    return replace(
        reading,
        usage=replace(reading.usage, units={**reading.usage.units, **units}),
        finished=True,
        output_characters=0 if reading.usage.known or not _MEDIA.isdisjoint(body) else characters(body),
    )


_PIECES: Final = frozenset({"search_units", "images"})
"""What is paid by the piece has no tokens."""
_HEADER: Final = "x-amzn-bedrock-{}-count"
_HEADERS: Final = tuple(
    _HEADER.format(name) for name in ("input-token", "cache-read-input-token", "cache-write-input-token")
)


def read_headers(reading: Reading, headers: Mapping[str, str]) -> Reading:
    """The kind of an error, the tier, and the counts of models that have none in their body."""
    if reading.error_type is not None:
        named = (headers.get("x-amzn-errortype") or "").partition(":")[0]
        return replace(reading, error_type=text(named) or reading.error_type)
    tier = _tier_in(headers) or reading.service_tier
    plain, read, written = (_number(headers.get(name)) for name in _HEADERS)
    told = (reading.usage.input_tokens, reading.usage.output_tokens)
    if not _PIECES.isdisjoint(reading.usage.units) or None not in told or (plain is None and told != (None, None)):
        return replace(reading, service_tier=tier)
    output = _number(headers.get(_HEADER.format("output-token")))
    if plain is not None and output is None:
        output = 0  # the header is left out where nothing is written: embeddings
    counts, odd = cache_apart(plain, read, written, None, output)
    usage, cut = believable(counts, reading.usage.units)
    characters_left = 0 if usage.known else reading.output_characters
    conflict = odd or cut
    return replace(reading, usage=usage, usage_conflict=conflict, service_tier=tier, output_characters=characters_left)


def _tier_in(headers: Mapping[str, str]) -> str | None:
    if headers.get("x-amzn-bedrock-performanceconfig-latency") == "optimized":
        return LATENCY_OPTIMIZED
    return text(headers.get("x-amzn-bedrock-service-tier"))


def _number(written: str | None) -> int | None:
    return int(written) if written is not None and written.isdecimal() and len(written) < 20 else None


def read_guardrail_answer(status: int, payload: object) -> Reading:
    """A guardrail applied by itself: units, no tokens."""
    if (failed := _failed(status, payload)) is not None:
        return failed
    units: dict[str, int | Decimal] = {}
    _add_units(units, mapping(mapping(payload).get("usage")))
    return Reading(usage=Usage(units=units), finished=True)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Events:
    """Events of a Bedrock stream: an object with one key, the event's type. Errors are events too."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._error: str | None = None
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        for kind, body in event.items():
            if kind == "error" or kind.endswith("Exception"):
                self._error = text(mapping(body).get("type")) or text(kind)
            else:
                self._take(kind, mapping(body))

    def _take(self, kind: str, body: Payload) -> None:
        raise NotImplementedError

    def _write(self, written: int) -> None:
        self._characters += written
        self.content_started = self.content_started or written > 0

    def _reading(self, reading: Reading) -> Reading:
        error = self._error or reading.error_type
        refused = reading.not_billed and reading.error_type is None
        unused = error is not None and not reading.usage.known and not self.content_started
        return replace(
            reading,
            error_type=error,
            not_billed=refused or unused,
            finished=self.finished,
            output_characters=self._characters,
        )


class ConverseStream(_Events):
    """The last event, `metadata`, has the usage."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        super().__init__()
        self._told = NOTHING_READ

    def _take(self, kind: str, body: Payload) -> None:
        if kind == "contentBlockDelta":
            self._write(characters(body.get("delta")))
        elif kind == "metadata":
            self._told = _converse(body)
            self.finished = True

    def reading(self) -> Reading:
        return self._reading(self._told)


class InvokeStream(_Events):
    """Chunks in the vendor's dialect; the last one has Bedrock's metrics too.

    Claude's own usage knows more (how long the cache keeps) and is taken where it is there; the two are one usage.
    """

    def __init__(self, *, names_model: bool) -> None:
        super().__init__()
        self._names_model = names_model
        self._claude = anthropic.MessageStream()
        self._is_claude = False
        self._metrics: Payload = {}
        self._units: dict[str, int | Decimal] = {}

    def _take(self, kind: str, body: Payload) -> None:
        if kind == "chunk":
            self._take_chunk(_unpacked(body.get("bytes")))

    def _take_chunk(self, chunk: Payload) -> None:
        metrics = mapping(chunk.get(_METRICS)) or mapping(mapping(chunk.get("metadata")).get("usage"))
        self._metrics = metrics or self._metrics
        self.finished = self.finished or _METRICS in chunk
        self._units = guardrail_units(chunk[_TRACE]) if _TRACE in chunk else self._units
        if isinstance(chunk.get("type"), str):
            self._is_claude = True
            self._claude.take(chunk)
            self.content_started = self.content_started or self._claude.content_started
        else:
            self._write(characters({key: value for key, value in chunk.items() if key not in (_METRICS, _TRACE)}))

    def reading(self) -> Reading:
        told = self._claude.reading() if self._is_claude else NOTHING_READ
        written = self._characters + told.output_characters
        usage, conflict = told.usage, told.usage_conflict
        if self._metrics and (usage.input_tokens is None or usage.output_tokens is None):
            usage, conflict = usage_in(self._metrics, usage.units)
        if self._units:
            usage = replace(usage, units={**usage.units, **self._units})
        model = told.response_model if self._names_model else None
        told = replace(told, response_model=model, usage=usage, usage_conflict=conflict)
        return replace(self._reading(told), output_characters=written)


def _unpacked(packed: object) -> Payload:
    """A chunk's JSON: in base64 on the wire, as bytes from boto3."""
    if not isinstance(packed, str | bytes):
        return {}
    try:
        return mapping(json.loads(base64.b64decode(packed) if isinstance(packed, str) else packed))
    except (ValueError, RecursionError):
        return {}


def _packed_size(packed: object) -> int:
    """Bytes of a chunk's text: base64 on the wire writes three as four."""
    if isinstance(packed, bytes):
        return len(packed)
    return len(packed) * 3 // 4 if isinstance(packed, str) else 0


class AgentStream(_Events):
    """An agent's answer. Its trace, when asked for, has the usage of each model it invoked; they add up."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        super().__init__()
        self._models: dict[str, str] = {}
        self._shares: dict[str, Usage] = {}
        self._units: dict[str, int | Decimal] = {}
        self._conflict = False
        self._answered = False

    def _take(self, kind: str, body: Payload) -> None:
        self._answered = self._answered or kind in ("chunk", "returnControl")
        if kind == "chunk":
            self._write(_packed_size(body.get("bytes")))
        elif kind == "trace":
            for step, trace in mapping(body.get("trace")).items():
                if step == "guardrailTrace":
                    self._add_guardrail(trace)
                self._take_step(mapping(trace))

    def _add_guardrail(self, trace: object) -> None:
        units = guardrail_units(trace)
        self._units = {name: self._units.get(name, 0) + units.get(name, 0) for name in {**self._units, **units}}

    def _take_step(self, trace: Payload) -> None:
        asked, told = mapping(trace.get("modelInvocationInput")), mapping(trace.get("modelInvocationOutput"))
        model, step = text(asked.get("foundationModel")), text(asked.get("traceId")) or ""
        if model is not None and len(self._models) < MOST_MODELS:
            self._models = {**self._models, step: model, "": model}
        used = mapping(mapping(told.get("metadata")).get("usage"))
        if used:
            step = text(told.get("traceId")) or ""
            self._add(self._models.get(step) or self._models.get("", ""), used)

    def _add(self, model: str, used: Payload) -> None:
        usage, conflict = usage_in(used, {})
        self._conflict = self._conflict or conflict
        if model in self._shares or len(self._shares) < MOST_MODELS:
            share, odd = summed(self._shares.get(model, NOTHING_COUNTED), usage)
            self._shares = {**self._shares, model: share}
            self._conflict = self._conflict or odd

    def reading(self) -> Reading:
        total, conflict = NOTHING_COUNTED, self._conflict
        for usage in self._shares.values():
            total, odd = summed(total, usage)
            conflict = conflict or odd
        shares = tuple(self._shares.items())
        reading = Reading(
            response_model=shares[0][0] or None if shares else None,
            usage=replace(total, units=self._units),
            usage_conflict=conflict,
            by_model=shares if len(shares) > 1 else (),
        )
        return replace(self._reading(reading), finished=self._answered)  # there is no terminal event


def _converse_stream(_: RequestFacts | None) -> StreamState:
    return ConverseStream()


def _agent_stream(_: RequestFacts | None) -> StreamState:
    return AgentStream()


def _invoke_stream(*, names_model: bool) -> OpenStream:
    def open_stream(_: RequestFacts | None) -> StreamState:
        return InvokeStream(names_model=names_model)

    return open_stream


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

CONVERSE: Final = Flavour(
    name="bedrock.converse",
    operation="chat",
    read_request=read_converse_request,
    read_body=read_converse_answer,
    read_headers=read_headers,
)


def _streaming(flavour: Flavour, open_stream: OpenStream) -> Flavour:
    def read_request(body: Payload) -> RequestFacts:
        return replace(flavour.read_request(body), stream=True)

    return replace(
        flavour,
        name=f"{flavour.name}_stream",
        read_request=read_request,
        open_stream=open_stream,
        open_framing=AwsEventFraming,
        streamed_as=(AWS_EVENT_STREAM,),
    )


INVOKE: Final = Flavour(
    name="bedrock.invoke",
    operation="chat",
    read_request=read_invoke_request,
    read_body=read_invoke_answer,
    read_headers=read_headers,
)
INVOKE_PROFILE: Final = replace(INVOKE, read_body=read_profile_answer)
AGENT: Final = Flavour(
    name="bedrock.agent",
    operation="invoke_agent",
    read_request=read_agent_request,
    read_body=read_converse_answer,
    read_headers=read_headers,
    open_stream=_agent_stream,
    open_framing=AwsEventFraming,
    streamed_as=(AWS_EVENT_STREAM,),
)
GUARDRAIL: Final = Flavour(
    name="bedrock.guardrail",
    operation="guardrail",
    read_request=_read_guardrail_request,
    read_body=read_guardrail_answer,
    read_headers=read_headers,
)

_MODEL: Final = "model/(?P<model>.+)"
_PROFILE: Final = "model/(?P<model>.*application-inference-profile.+)"

ROUTES: Final = (
    route("POST", f"{_MODEL}/converse", CONVERSE),
    route("POST", f"{_MODEL}/converse-stream", _streaming(CONVERSE, _converse_stream)),
    route("POST", f"{_PROFILE}/invoke", INVOKE_PROFILE),
    route(
        "POST",
        f"{_PROFILE}/invoke-with-response-stream",
        _streaming(INVOKE_PROFILE, _invoke_stream(names_model=True)),
    ),
    route("POST", f"{_MODEL}/invoke", INVOKE),
    route("POST", f"{_MODEL}/invoke-with-response-stream", _streaming(INVOKE, _invoke_stream(names_model=False))),
    route("POST", f"{_MODEL}/count-tokens", free("bedrock.count_tokens")),
    route("POST", "guardrail/[^/]+/version/[^/]+/apply", GUARDRAIL),
    route("POST", "agents/[^/]+/agentAliases/[^/]+/sessions/[^/]+/text", AGENT),
    Route("POST", "/?agents/[^/]+/?", AGENT),  # at the root only: others have agents too
)
