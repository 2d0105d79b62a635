"""From a span to a call: which role it plays, what it counted, and the event that becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.attribution import LONGEST_VALUE
from taximeter.core.event import Status
from taximeter.core.ids import named_id
from taximeter.core.places import region_at
from taximeter.core.usage import LARGEST_COUNT, TOKEN_CLASSES, Usage
from taximeter.ingest.otlp.attributes import LENT, read_count, read_money
from taximeter.ingest.otlp.counting import GEMINI, Counted, Given, counted
from taximeter.ingest.otlp.emitters import COPILOT_CHAT, OPENROUTER, emitter_of, model_at, provider_of
from taximeter.ingest.otlp.span import Found, Span
from taximeter.ingest.wire import LONGEST_MS, WireEvent, clamp_counts, usage_in

Role: TypeAlias = Literal["call", "aggregate", "other"]

CALLS: Final = {
    "chat": "chat",
    "completion": "text_completion",
    "text_completion": "text_completion",
    "text_completions": "text_completion",
    "generate_content": "generate_content",
    "responses": "chat",
    "message": "chat",
    "messages": "chat",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "rerank": "rerank",
    "reranker": "rerank",
    "llm": "chat",
    "generation": "chat",
    "model": "chat",
    "chat_model": "chat",
    "image": "image_generation",
    "image_generation": "image_generation",
    "audio": "audio",
    "speech": "text_to_speech",
    "text_to_speech": "text_to_speech",
    "transcription": "speech_to_text",
    "speech_to_text": "speech_to_text",
}
"""Operations that are calls of a model, in lower case → the event's operation. Vercel's are known by their ending."""

CALL_ENDINGS: Final = ((".dogenerate", "chat"), (".dostream", "chat"), (".doembed", "embeddings"))

NO_CALLS: Final = frozenset(
    {
        "retrieval",
        "retriever",
        "count_tokens",
        "token_counter",
        "moderation",
        "moderations",
        "vectordb",
        "db",
        "guardrail",
        "evaluator",
        "event",
    }
)
"""Operations that have a model or counts at times, and cost nothing at a model's price."""

GENKIT_MODEL: Final = "model"
"""What Genkit calls the action that asks a model; the action's name is the model's then."""

NO_CALL_ENDINGS: Final = ("._prepare_chat_with_tools",)
"""How spans' names end that are said to be calls and only prepare one (OpenInference, LlamaIndex)."""

OPENROUTERS_PARTS: Final = ("generation", "provider attempt ", "Test Generation", "openrouter-connection-test")
"""How the names of OpenRouter's spans begin that are parts of a call, said to be calls as the one around them, which
alone has the counts; and of those that test who receives them."""

USAGE_FIELDS: Final = frozenset({"input", "output", "langfuse_usage", "uncached_input", "genkit_usage", "mlflow_usage"})

COUNTED_AS_ZERO: Final = frozenset({"openlit"})
"""Families of emitters that report a cost of 0 for a model they cannot price."""


STREAM_OPENERS: Final = ("logfire.openai", "logfire.anthropic")
"""Scopes whose spans without usage only open a stream."""

AGENT_WATCHERS: Final = ("logfire.openai_agents",)
"""Scopes whose calls name no operation, but their model; a refused one has no usage to be known by."""


class Call(msgspec.Struct, gc=False):
    """A call, or an aggregate that may stand for calls nobody reported.

    `event` is in the making: its counts are whole, parts inside; names come last (`complete_event`), because spans
    around the call may still lend it some.
    """

    span: Span
    emitter: str
    event: WireEvent
    models: tuple[str, ...]
    """The names of its model, without a provider in front, lower case."""
    failed: bool
    tags: dict[str, Any]
    """Those of `event`."""

    @property
    def known(self) -> bool:
        return self.event.input_tokens is not None or self.event.output_tokens is not None


@lru_cache(maxsize=1024)
def _models(*names: str | None) -> tuple[str, ...]:
    return tuple(name.lower().rpartition("/")[2] for name in names if name)


def role_of(span: Span) -> tuple[Role, str | None]:
    """What a span is to us, and the operation of a call.

    `aggregate` is everything that has counts and may only repeat those of the spans below it.
    """
    found = span.found
    if not found or "mcp_method" in found or "partial_input" in found:
        return "other", None
    if "logfire_type" in found and _opens_a_stream(span):
        return "other", None
    named = found.get("operation")
    if named is None:
        told = "output" in found or "langfuse_usage" in found or (span.failed and _is_of(AGENT_WATCHERS, span))
        called = told and _asked(found) is not None
        return ("call", "chat") if called else ("aggregate" if _has_usage(found) else "other", None)
    operation = _call_operation(named)
    if operation is not None:
        return ("other", None) if _only_looks_like_one(span) else ("call", operation)
    return ("aggregate" if _has_usage(found) and named.lower() not in NO_CALLS else "other"), None


def _only_looks_like_one(span: Span) -> bool:
    if span.origin.scope_name == OPENROUTER and span.name.startswith(OPENROUTERS_PARTS):
        return True
    return span.name.endswith(NO_CALL_ENDINGS)


def _has_usage(found: Found) -> bool:
    return not USAGE_FIELDS.isdisjoint(found)


def _opens_a_stream(span: Span) -> bool:
    """Logfire tells of a stream twice: a span until it begins, and a log with its usage when it has ended."""
    if span.found.get("logfire_type") != "span" or span.failed or _has_usage(span.found):
        return False
    return _is_of(STREAM_OPENERS, span)


def _is_of(scopes: tuple[str, ...], span: Span) -> bool:
    return span.origin.scope_name.startswith(scopes)


@lru_cache(maxsize=1024)
def _call_operation(named: str) -> str | None:
    named = named.lower()
    operation = CALLS.get(named)
    if operation is None and named.startswith("ai."):
        operation = next((ours for ending, ours in CALL_ENDINGS if named.endswith(ending)), None)
    return operation


def _asked(found: Mapping[str, Any]) -> str | None:
    return found.get("request_model") or found.get("response_model")


def call_of(span: Span, operation: str | None) -> Call:
    """The call that a span tells of."""
    found = span.found
    found.pop("route", None)  # the provider's own, not the application's
    asked, answered = found.get("request_model"), found.get("response_model")
    emitter = emitter_of(span.origin, found, span.name)
    named = OPENROUTER if emitter == OPENROUTER or "openrouter_host" in found else found.get("provider")
    provider = provider_of(named, found.get("address"), answered or asked)
    if emitter == COPILOT_CHAT:
        found.pop("response_id", None)  # that of the user's message, the same in all calls that it leads to
    for field in ("request_model", "response_model"):
        if field in found:
            found[field] = model_at(provider, found[field])
    failed = span.failed or "error_type" in found
    status: Status = "error" if failed else "ok"
    tags: dict[str, Any] = {"otlp_emitter": emitter}
    event = WireEvent(source="otlp", provider=provider, operation=operation, status=status, attempt=1, tags=tags)
    count(event, tags, found, emitter, answered or asked)
    if not event.input_tokens and not event.output_tokens:
        take_counts(event, _UNCOUNTED)  # frameworks say 0 for a stream whose usage they were not told
    return Call(span, emitter, event, _models(answered, asked), failed, tags)


def complete(found: Found) -> None:
    """Add what is said only by one thing together with another, before a span lends or becomes a call."""
    if "invocation" in found and isinstance(named := found["invocation"].get("model"), str):
        found.setdefault("request_model", named[:LONGEST_VALUE])
    if "genkit_name" in found and found.get("operation") == GENKIT_MODEL:
        found.setdefault("request_model", found["genkit_name"])
    if found.get("traceloop_kind") == "agent" and "entity_name" in found:
        found.setdefault("agent", found["entity_name"])
    if "prompt_version" not in found and (name := found.get("prompt_name")):
        number = found.get("prompt_number")
        found["prompt_version"] = f"{name}@{number}"[:LONGEST_VALUE] if number else name


# ── counts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def count(event: WireEvent, tags: dict[str, Any], found: Found, emitter: str, model: str | None) -> None:
    """Put the counts into an event, clamped where they contradict themselves. `tags` gets the rules that decided."""
    if "langfuse_usage" in found and "input" not in found and "output" not in found:
        emitter = _read_langfuse(found)
    if not _RAW.isdisjoint(found):
        _read_raw(found)
    get = found.get
    event.input_tokens, event.output_tokens = get("input"), get("output")
    if event.input_tokens is None and event.output_tokens is None:
        return
    provider = event.provider or ""
    read, reasoning = get("cache_read"), get("reasoning")
    event.cache_read_tokens, event.reasoning_tokens = read, reasoning
    written, written_1h = (None, None) if _CACHE_WRITES.isdisjoint(found) else _written(found, tags)
    if read or written or reasoning or (provider in GEMINI and "total" in found):
        given = Given(get("input"), get("output"), get("total"), read, written, reasoning)
        counts = counted(given, emitter, provider, model)
        event.input_tokens, event.output_tokens = counts.input, counts.output
        _note(counts, tags)
    if written is not None:
        event.cache_write_5m_tokens, event.cache_write_1h_tokens = written - (written_1h or 0), written_1h
    if not _BY_MODALITY.keys().isdisjoint(found):
        for ours, field in _BY_MODALITY.items():
            if ours in found:
                setattr(event, field, found[ours])
    elif _parts_fit(event, (read or 0) + (written or 0), reasoning or 0):
        return
    clamp_counts(event)


def _parts_fit(event: WireEvent, cached: int, reasoning: int) -> bool:
    """Whether there is nothing to clamp, as nearly always; asked so that the many parts are not gone through."""
    return (
        cached <= (event.input_tokens or 0) <= LARGEST_COUNT
        and reasoning <= (event.output_tokens or 0) <= LARGEST_COUNT
    )


_CACHE_WRITES: Final = frozenset({"cache_write", "cache_write_1h", "cache_write_5m"})


_BY_MODALITY: Final = {
    "audio_in": "input_audio_tokens",
    "cached_audio": "cache_read_audio_tokens",
    "image_in": "input_image_tokens",
    "audio_out": "output_audio_tokens",
    "image_out": "output_image_tokens",
}


def usage_of(found: Found, emitter: str, provider: str, model: str | None, tags: dict[str, Any]) -> tuple[Usage, bool]:
    """The usage that a row of somebody's export tells of, and whether it contradicted itself; else as `count`."""
    event = WireEvent(provider=provider)
    count(event, tags, found, emitter, model)
    return usage_in(event), bool(event.usage_conflict)


def take_counts(event: WireEvent, other: WireEvent) -> None:
    """Put the counts of another event of the same call into an event."""
    for name in (*TOKEN_CLASSES, "usage_conflict"):
        setattr(event, name, getattr(other, name))


_PARTS: Final = tuple(name for name in TOKEN_CLASSES if name not in ("input_tokens", "output_tokens"))


def take_parts(call: Call, other: Call) -> None:
    """Put what only another span of the same call knows of the cache, the reasoning and the audio into its event: the
    framework may tell of them where the client's instrumentation does not. Not where the two do not agree otherwise."""
    mine, theirs = call.event, other.event
    lacking = [name for name in _PARTS if getattr(theirs, name) and getattr(mine, name) is None]
    if not lacking:
        return
    if (mine.input_tokens, mine.output_tokens) == (theirs.input_tokens, theirs.output_tokens):
        for name in lacking:
            setattr(mine, name, getattr(theirs, name))
    elif all(getattr(mine, name) is None for name in _PARTS) and _said_alike(call.span.found, other.span.found):
        take_counts(mine, theirs)
    else:
        return
    call.tags |= {name: rule for name, rule in other.tags.items() if name in _COUNTING_TAGS}


def _said_alike(found: Found, other: Found) -> bool:
    return all(found.get(name) == other.get(name) for name in ("input", "output"))


_COUNTING_TAGS: Final = frozenset({"otlp_input_rule", "otlp_output_rule", "otlp_cache_lifetime"})
_UNCOUNTED: Final = WireEvent()


def _written(found: Found, tags: dict[str, Any]) -> tuple[int | None, int | None]:
    """All that was written to the cache, and the part of it for an hour. Without a word about the lifetime it is
    taken for the short one, and marked."""
    written, hour, short = found.get("cache_write"), found.get("cache_write_1h"), found.get("cache_write_5m")
    if written is None and (hour is not None or short is not None):
        written = (hour or 0) + (short or 0)
    if written is None:
        return None, None
    if written and hour is None and short is None:
        tags["otlp_cache_lifetime"] = "assumed"
    if hour is None and short is not None:
        hour = max(written - short, 0)
    return written, None if hour is None else min(hour, written)


def _note(counts: Counted, tags: dict[str, Any]) -> None:
    if counts.input_rule is not None:
        tags["otlp_input_rule"] = counts.input_rule
    if counts.output_rule is not None:
        tags["otlp_output_rule"] = counts.output_rule


def _read_langfuse(found: Found) -> str:
    """Counts out of Langfuse's `usage_details`: either a provider's own object, or free keys that add up."""
    usage = _flat(found["langfuse_usage"])
    if any("_details." in name for name in usage) or "prompt_tokens" in usage or "completion_tokens" in usage:
        _put_first(found, usage, {**_WHOLE_NAMES, **_RAW_NAMES})
        return "langfuse.raw"
    _add_up(found, {name.lower(): count for name, value in usage.items() if (count := read_count(value)) is not None})
    return "langfuse.keys"


def _add_up(found: Found, counts: Mapping[str, int]) -> None:
    """Free keys exclude each other: the whole of a side is the sum of its keys. Where the total says that what the
    cache read or wrote lies inside the input, as in Google's own counts, or the reasoning inside the output, as it does
    in those of the AI SDK, it is not added."""
    reads = {name: count for name, count in counts.items() if _is_cache_read(name)}
    writes = {name: count for name, count in counts.items() if _is_cache_write(name)}
    plain = {name: count for name, count in counts.items() if name not in reads and name not in writes}
    inputs = {name: count for name, count in plain.items() if name.startswith(_INPUTS) and name not in _ALL_OF_A_TIER}
    outputs = {name: count for name, count in plain.items() if name.startswith(_OUTPUTS) and name not in _ALL_OF_A_TIER}
    by_lifetime = {name: count for name, count in writes.items() if any(mark in name for mark in _LIFETIMES)}
    lasting = sum(by_lifetime.values())
    read, written = sum(reads.values()), max(sum(writes.values()) - lasting, lasting)
    thoughts = sum(count for name, count in outputs.items() if any(mark in name for mark in _THOUGHTS))
    whole_input, answer = sum(inputs.values()), sum(outputs.values()) - thoughts
    total = next((counts[name] for name in _TOTALS if name in counts), None)
    cache_inside, thoughts_inside = _lying_inside(total, whole_input, read + written, answer, thoughts)
    if inputs or reads or writes:
        found["input"] = whole_input if cache_inside else whole_input + read + written
    if outputs:
        found["output"] = answer if thoughts_inside else answer + thoughts
    if reads or writes:
        found["cache_read"], found["cache_write"] = read, written
    for ours, parts, marks in (
        ("cache_write_1h", writes, ("1h",)),
        ("cache_write_5m", writes, ("5m",)),
        ("reasoning", outputs, _THOUGHTS),
        ("audio_in", {**inputs, **reads}, ("audio",)),
        ("cached_audio", reads, ("audio",)),
        ("image_in", inputs, ("image",)),
        ("audio_out", outputs, ("audio",)),
        ("image_out", outputs, ("image",)),
    ):
        marked = [count for name, count in parts.items() if any(mark in name for mark in marks)]
        if marked:
            found[ours] = sum(marked)


def _lying_inside(total: int | None, whole_input: int, cached: int, answer: int, thoughts: int) -> tuple[bool, bool]:
    """Whether what was cached lies in the input, and the reasoning in the answer: only where nothing else makes the
    total."""
    for cache_inside, thoughts_inside in ((False, False), (True, False), (False, True), (True, True)):
        beside = (0 if cache_inside else cached) + (0 if thoughts_inside else thoughts)
        fits = (cached <= whole_input or not cache_inside) and (thoughts <= answer or not thoughts_inside)
        if fits and whole_input + answer + beside == total:
            return cache_inside, thoughts_inside
    return False, False


_INPUTS: Final = ("input", "prompt")
_OUTPUTS: Final = ("output", "completion", "candidates", "thought", "reasoning")
"""How the names of free keys begin."""

_TOTALS: Final = ("total", "total_tokens", "totaltokens", "total_token_count", "totaltokencount")
_THOUGHTS: Final = ("reasoning", "thought")
_LIFETIMES: Final = ("5m", "1h")
"""In the names of writes to the cache that are told by how long they last, alone or once more beside all of them."""

_ALL_OF_A_TIER: Final = frozenset({"input_priority", "output_priority"})
"""What LangChain counts once more where its own keys have it already."""


def _is_cache_read(name: str) -> bool:
    return "cache" in name and not _is_cache_write(name)


def _is_cache_write(name: str) -> bool:
    return "ephemeral" in name or ("cache" in name and ("creation" in name or "write" in name))


_WHOLE_NAMES: Final = {
    "input": ("prompt_tokens", "input_tokens", "input"),
    "output": ("completion_tokens", "output_tokens", "output"),
    "total": ("total_tokens", "total"),
}
_TIERS: Final = ("", "priority_", "flex_")
"""What LangChain puts before the name of a part that has a tier's price."""

_RAW_NAMES: Final = {
    "total": ("totalTokenCount",),
    "cache_read": (
        "cache_read_input_tokens",
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cacheReadInputTokens",
        "cachedPromptTokens",
        "cachedContentTokenCount",
        "cached_content_token_count",
    ),
    "cache_write": ("cache_creation_input_tokens", "cacheCreationInputTokens", "cacheWriteInputTokens"),
    "cache_write_5m": (
        "cache_creation.ephemeral_5m_input_tokens",
        "prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
    ),
    "cache_write_1h": (
        "cache_creation.ephemeral_1h_input_tokens",
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
        "input_tokens_details.cache_write_tokens_details.ttl_12h_tokens",
    ),
    "reasoning": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoningTokens",
        "thoughtsTokenCount",
        "thoughts_token_count",
    ),
    "audio_in": ("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens"),
    "audio_out": ("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"),
    "image_in": ("prompt_tokens_details.image_tokens", "input_tokens_details.image_tokens"),
    "image_out": ("completion_tokens_details.image_tokens", "output_tokens_details.image_tokens"),
}
"""Our fields → their names in raw usage, for what no attribute says. `a.b` is b inside a."""


_LANGCHAIN_NAMES: Final = {
    **_WHOLE_NAMES,
    "cache_read": tuple(f"input_token_details.{tier}cache_read" for tier in _TIERS),
    "cache_write": ("input_token_details.cache_creation",),
    "cache_write_5m": ("input_token_details.ephemeral_5m_input_tokens",),
    "cache_write_1h": ("input_token_details.ephemeral_1h_input_tokens",),
    "reasoning": tuple(f"output_token_details.{tier}reasoning" for tier in _TIERS),
    "audio_in": ("input_token_details.audio",),
    "audio_out": ("output_token_details.audio",),
}
"""The same in LangChain's `usage_metadata`."""

_MLFLOW_NAMES: Final = {
    **_WHOLE_NAMES,
    "cache_read": ("cache_read_input_tokens",),
    "cache_write": ("cache_creation_input_tokens",),
}
"""The same in MLflow's `tokenUsage`."""

_GENKIT_NAMES: Final = {
    "input": ("inputTokens",),
    "output": ("outputTokens",),
    "total": ("totalTokens",),
    "cache_read": ("cachedContentTokens", "custom.cache_read_input_tokens"),
    "cache_write": ("custom.cache_creation_input_tokens",),
    "cache_write_5m": ("custom.ephemeral_5m_input_tokens",),
    "cache_write_1h": ("custom.ephemeral_1h_input_tokens",),
    "reasoning": ("thoughtsTokens",),
}
"""The same in Genkit's `usage`, where its plugins put what only one provider has into `custom`."""

_RAW: Final = frozenset(
    {
        "provider_metadata",
        "raw_usage",
        "langchain_usage",
        "input_details",
        "output_details",
        "mlflow_usage",
        "genkit_usage",
    }
)


def _read_raw(found: Found) -> None:
    """What raw usage tells beyond the attributes: parts, and for how long the cache was written."""
    get = found.get
    for holder in (*_vendor_parts(get("provider_metadata", {})), get("raw_usage", {})):
        _put_first(found, _flat(holder), _RAW_NAMES)
    details = {"input_token_details": get("input_details"), "output_token_details": get("output_details")}
    for holder in (details, get("langchain_usage", {})):
        _put_first(found, _flat(holder), _LANGCHAIN_NAMES)
    if "mlflow_usage" in found:
        _put_first(found, found["mlflow_usage"], _MLFLOW_NAMES)
    if "genkit_usage" in found:
        _put_first(found, _flat(found["genkit_usage"]), _GENKIT_NAMES)


def _flat(holder: Mapping[str, Any]) -> dict[str, Any]:
    """An object with what lies in its objects, and in theirs, beside it."""
    inner = _inside(holder)
    return {**holder, **inner, **_inside(inner)}


def _inside(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for name in holder for key, value in _mapping(holder[name]).items()}


def _put_first(found: Found, usage: Mapping[str, Any], names_of: Mapping[str, tuple[str, ...]]) -> None:
    for ours, names in names_of.items():
        for name in names:
            if name in usage:
                _put(found, ours, usage[name])


def _vendor_parts(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`{"anthropic": {"usage": {...}, "cacheCreationInputTokens": 5}, "google": {"usageMetadata": {...}}}`: the inner
    objects, usage first."""
    parts: list[Mapping[str, Any]] = []
    for vendor in map(_mapping, metadata.values()):
        parts += [_mapping(vendor.get("usage")), _mapping(vendor.get("usageMetadata")), vendor]
    return parts


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # out of JSON; to ask for a `Mapping` takes eight times as long


def _put(found: Found, name: str, value: object) -> None:
    if name not in found and (count := read_count(value)) is not None:
        found[name] = count


# ── the event ───────────────────────────────────────────────────────────────────────────────────────────────────


def complete_event(call: Call) -> WireEvent:
    """The event of a call, with everything that is known by now: the same span always makes the same event id."""
    event, span = call.event, call.span
    found, start_ns = span.found, span.start_ns
    event.event_id = event_id_of(start_ns, span.key)
    event.started_at = rfc3339(start_ns // 1000)
    event.duration_ms = round(_duration_ms(span) or found.get("logfire_duration_ms", 0.0), 3)
    event.trace_id, event.span_id = span.trace_id.hex(), span.span_id.hex()
    if call.failed:
        event.error_type = found.get("error_type") or found.get("exception")
    if span.trace_state and (threshold := sampling_threshold(span.trace_state)):
        call.tags["otlp_sampling_threshold"] = threshold
    if not _RARER.isdisjoint(found):
        _put_rarer(event, call, found)
    _take(event, found, _AS_FOUND)
    return event


def _put_rarer(event: WireEvent, call: Call, found: Found) -> None:
    """What most spans do not say."""
    if (address := found.get("address")) is not None:
        event.region = region_at(str(address))
    if (first_token_ms := found.get("time_to_first_token_ms") or _first_token_ms(call.span)) is not None:
        event.time_to_first_token_ms = round(first_token_ms, 3)
    event.http_status = http_status(found.get("http_status"))
    event.reported_cost_usd = _reported_cost(call)
    if "agent" in found:
        call.tags["agent"] = found["agent"]


def name_whom(event: WireEvent, found: Found) -> None:
    """Put into an event who the call was for."""
    _take(event, found, _WHOM)


_WHOM: Final = frozenset(
    {
        "user_id",
        "session_id",
        "team",
        "tenant",
        "feature",
        "endpoint",
        "prompt_version",
        "environment",
        "service",
        "service_version",
    }
)
_RARER: Final = frozenset(
    {
        "address",
        "agent",
        "first_token_at",
        "http_status",
        "langfuse_cost",
        "mlflow_cost",
        "reported_cost",
        "time_to_first_token_ms",
    }
)
_AS_FOUND: Final = _WHOM | {"request_model", "response_model", "response_id", "service_tier"}


def _take(event: WireEvent, found: Found, fields: frozenset[str]) -> None:
    """Put into an event the fields that are called alike."""
    for field in fields.intersection(found):
        setattr(event, field, found[field])


def event_id_of(start_ns: int, identity: bytes) -> str:
    """A UUIDv7 of the start and what identifies the call: whoever repeats it repeats its id."""
    return named_id(start_ns // 1_000_000, identity)


def lent_by(found: Found) -> Found:
    """What a span may say for the calls below it: names, the user, the session."""
    return {} if LENT.isdisjoint(found) else {name: value for name, value in found.items() if name in LENT}


def _duration_ms(span: Span) -> float:
    """0 when it is not known: an end before the start, or one that nobody can believe."""
    duration_ms = (span.end_ns - span.start_ns) / 1e6
    return duration_ms if 0 <= duration_ms <= LONGEST_MS else 0.0


def sampling_threshold(trace_state: str) -> str | None:
    """`ot=th:8,...` in a trace state: how much sampling let through. Spend is then a lower bound."""
    for member in trace_state.split(","):
        vendor, _, content = member.strip().partition("=")
        if vendor == "ot":
            parts = dict(part.partition(":")[::2] for part in content.split(";"))
            return parts.get("th", "")[:32] or None
    return None


def http_status(status: int | None) -> int | None:
    return status if status is not None and 0 < status <= 999 else None


def _first_token_ms(span: Span) -> float | None:
    """Until the moment that Langfuse names: RFC 3339, sometimes in quotes."""
    text = span.found.get("first_token_at")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip('"'))
        waited_us = to_unix_us(moment) - span.start_ns // 1000
    except (ValueError, TypeError, OverflowError):
        return None
    return waited_us / 1000 if 0 <= waited_us <= LONGEST_MS * 1000 else None


def _reported_cost(call: Call) -> Decimal | None:
    found = call.span.found
    cost: Decimal | None = found.get("reported_cost")
    if cost is None and "langfuse_cost" in found:
        cost = _langfuse_cost(found["langfuse_cost"])
    if cost is None and "mlflow_cost" in found:
        cost = read_money(found["mlflow_cost"].get("total_cost"))
    return None if cost == 0 and call.emitter.partition(".")[0] in COUNTED_AS_ZERO else cost


def _langfuse_cost(details: Mapping[str, Any]) -> Decimal | None:
    if (total := read_money(details.get("total"))) is not None:
        return total
    parts = [amount for value in details.values() if (amount := read_money(value)) is not None]
    return sum(parts, Decimal(0)) if parts else None
