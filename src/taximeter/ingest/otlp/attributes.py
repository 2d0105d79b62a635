"""Which attribute is which of our fields: one table, and reading by it.

The table is also the list of what may stay. Prompts, answers and whatever else an attribute may hold are never read,
because their names are not here. Objects in JSON (provider usage in the raw) are looked into and thrown away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

import msgspec

from taximeter.core.attribution import LONGEST_VALUE
from taximeter.core.money import LARGEST_USD
from taximeter.core.usage import LARGEST_COUNT
from taximeter.ingest.otlp.span import Found

MOST_JSON_CHARACTERS: Final = 262_144
"""Objects in JSON longer than this are not looked into."""


def read_text(value: object) -> str | None:
    """Text that says something; numbers become text."""
    if isinstance(value, str):
        return value.strip()[:LONGEST_VALUE] or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def read_count(value: object) -> int | None:
    """A count that comes as an int, a double or decimal text; None for anything that is no believable count."""
    number = value if type(value) is int else _number(value)
    return int(number) if number is not None and 0 <= number <= LARGEST_COUNT else None


def read_money(value: object) -> Decimal | None:
    """US dollars. A double is read as the shortest decimal that means it."""
    if isinstance(value, float):
        value = repr(value)
    try:
        amount = Decimal(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() and 0 <= amount <= LARGEST_USD else None


_JSON_WORDS: Final = {"'": '"', "None": "null", "True": "true", "False": "false"}
_PYTHON_WORD: Final = re.compile("|".join(_JSON_WORDS))


def read_json(value: object) -> dict[str, Any] | None:
    """The object in a JSON text, or in what Python prints of a dictionary with plain names and numbers."""
    if not isinstance(value, str) or len(value) > MOST_JSON_CHARACTERS:
        return None
    if value.startswith("{'"):
        value = _PYTHON_WORD.sub(lambda found: _JSON_WORDS[found[0]], value)
    try:
        content = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return content if isinstance(content, dict) else None


class _GenkitAnswer(msgspec.Struct):
    """What is looked at of an answer in Genkit's form; its messages are passed over, unread."""

    usage: dict[str, Any] | None = None


_decode_genkit: Final = msgspec.json.Decoder(_GenkitAnswer).decode


def _read_genkit(value: object) -> dict[str, Any] | None:
    """The usage in an answer that Genkit writes down whole, however long it is."""
    if not isinstance(value, str):
        return None
    try:
        return _decode_genkit(value).usage or None
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return number if isinstance(number, int) or math.isfinite(number) else None


def _milliseconds(per_unit: float) -> Callable[[object], float | None]:
    def read_milliseconds(value: object) -> float | None:
        number = _number(value)
        return number * per_unit if number is not None and 0 <= number * per_unit <= 1e12 else None

    return read_milliseconds


_seconds: Final = _milliseconds(1000)
_ms: Final = _milliseconds(1)

FRAMEWORKS: Final = frozenset(
    {"langchain", "litellm", "crewai", "gateway", "llamaindex", "haystack", "unknown", "other"}
)
"""What some emitters say for a provider although it is none."""


def _provider(value: object) -> str | None:
    name = read_text(value)
    return None if name is None or name.lower() in FRAMEWORKS else name


def _is_said(_value: object) -> bool:
    """That there is something, whatever it says."""
    return True


NO_MODELS: Final = frozenset({"none", "unknown"})
"""What some emitters say for a model that they do not know."""


def _model(value: object) -> str | None:
    name = read_text(value)
    return None if name is None or name.lower() in NO_MODELS else name


@dataclass(frozen=True, slots=True)
class Row:
    """One of our fields. The first of `names` that has a readable value gives it.

    `identity`: the resource may say it as well, for all of its spans. `lent`: spans above a call may, too.
    """

    field: str
    read: Callable[[object], Any]
    names: tuple[str, ...]
    identity: bool = False
    lent: bool = False


_ASSOCIATION: Final = "traceloop.association.properties."
_METADATA: Final = "ai.telemetry.metadata."
_DETAILS: Final = "gen_ai.usage.details."
_PROMPT: Final = "llm.token_count.prompt_details."
ADK_THOUGHTS: Final = "gen_ai.usage.experimental.reasoning_tokens"
"""Google's agent kit until 2.2: beside the output, where later versions have them in it."""
_COMPLETION: Final = "llm.token_count.completion_details."


def _text(field: str, *names: str, identity: bool = False, lent: bool = False) -> Row:
    return Row(field, read_text, names, identity, lent)


def _count(field: str, *names: str) -> Row:
    return Row(field, read_count, names)


def _who(field: str, *names: str) -> Row:
    """Identity, which spans above and the resource may give; `taximeter.<name>` says it in our own words."""
    short = field.removesuffix("_id")
    return Row(field, read_text, (f"taximeter.{short}", *names), identity=True, lent=True)


ROWS: Final = (
    Row(
        "provider",
        _provider,
        (
            "gen_ai.provider.name",
            "gen_ai.system",
            "llm.provider",
            "llm.system",
            "ai.model.provider",
            "gen_ai.model.provider",
            "mlflow.llm.provider",
        ),
    ),
    _text(
        "operation",
        "langsmith.span.kind",
        "ai.operationId",
        "gen_ai.operation.name",
        "openinference.span.kind",
        "llm.request.type",
        "traceloop.span.kind",
        "langfuse.observation.type",
        "gen_ai.span.kind",
        "genkit:metadata:subtype",
        "mlflow.spanType",
    ),
    Row(
        "request_model",
        _model,
        (
            "gen_ai.request.model",
            "llm.request.model_name",
            "ai.model.id",
            "embedding.model_name",
            "mlflow.llm.model",
        ),
    ),
    Row(
        "response_model",
        _model,
        (
            "gen_ai.response.model",
            "llm.response.model_name",
            "llm.response.model",
            "ai.response.model",
            "langfuse.observation.model.name",
            "llm.model_name",
            "embedding.model_name",
        ),
    ),
    _count(
        "input",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "gen_ai.aggregated_usage.input_tokens",
    ),
    _count(
        "output",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "gen_ai.aggregated_usage.output_tokens",
    ),
    _count(
        "total", "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens"
    ),
    _count(
        "cache_read",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cache.read_input_tokens",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.input_tokens.cache_read",
        f"{_DETAILS}cache_read_tokens",
        f"{_DETAILS}cache_read_input_tokens",
        "gen_ai.usage.experimental.cached_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens_details.cached_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_read",
        "gen_ai.usage.input_cached_tokens",
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.prompt_cache_hit_tokens",
        f"{_DETAILS}cached_content_tokens",
        f"{_PROMPT}cache_read",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
    ),
    _count(
        "cache_write",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.cache.creation_input_tokens",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.cache_creation_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.input_tokens.cache_creation",
        f"{_DETAILS}cache_write_tokens",
        f"{_DETAILS}cache_creation_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_write",
        f"{_PROMPT}cache_write",
        f"{_PROMPT}cache_creation",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.aggregated_usage.cache_creation.input_tokens",
    ),
    _count(
        "cache_write_1h",
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        f"{_DETAILS}ephemeral_1h_input_tokens",
        f"{_DETAILS}cache_creation.ephemeral_1h_input_tokens",
        f"{_DETAILS}cache_write_1h_tokens",
        "gen_ai.usage.input_tokens.cache_write_1h",
    ),
    _count(
        "cache_write_5m",
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
        f"{_DETAILS}ephemeral_5m_input_tokens",
        f"{_DETAILS}cache_creation.ephemeral_5m_input_tokens",
        f"{_DETAILS}cache_write_5m_tokens",
        "gen_ai.usage.input_tokens.cache_write_5m",
    ),
    _count(
        "reasoning",
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        f"{_DETAILS}reasoning_tokens",
        ADK_THOUGHTS,
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning",
        "gen_ai.usage.thinking_tokens",
        "gen_ai.usage.thoughts_tokens",
        f"{_DETAILS}thoughts_tokens",
        "gen_ai.usage.output_tokens_details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        f"{_COMPLETION}reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
        "gen_ai.aggregated_usage.reasoning.output_tokens",
    ),
    _count(
        "audio_in",
        "gen_ai.usage.audio.input_tokens",
        "gen_ai.usage.input_audio_tokens",
        "gen_ai.usage.audio_input_tokens",
        "gen_ai.usage.input_tokens.audio",
        f"{_DETAILS}input_audio_tokens",
        f"{_PROMPT}audio",
    ),
    _count("cached_audio", "gen_ai.usage.audio.cache_read.input_tokens", f"{_DETAILS}cache_audio_read_tokens"),
    _count(
        "audio_out",
        "gen_ai.usage.audio.output_tokens",
        "gen_ai.usage.output_audio_tokens",
        "gen_ai.usage.audio_output_tokens",
        "gen_ai.usage.output_tokens.audio",
        f"{_DETAILS}output_audio_tokens",
        f"{_COMPLETION}audio",
        "gen_ai.usage.completion_tokens_details.audio_tokens",
        "gen_ai.usage.completion_tokens_details.audio",
    ),
    _count("image_in", "gen_ai.usage.image.input_tokens"),
    _count(
        "image_out",
        "gen_ai.usage.image.output_tokens",
        "gen_ai.usage.output_image_tokens",
        "gen_ai.usage.output_tokens.image",
    ),
    _text(
        "service_tier",
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "anthropic.response.service_tier",
        "gen_ai.response.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.request.service_tier",
    ),
    Row(
        "reported_cost",
        read_money,
        (
            "gen_ai.usage.cost",
            "operation.cost",
            "gen_ai.usage.total_cost",
            "llm.cost.total",
            "gen_ai.cost.total",
            "gen_ai.cost.total_cost",
            "gen_ai.cost.amount",
        ),
    ),
    _text("response_id", "gen_ai.response.id", "ai.response.id", "llm.response.id"),
    Row(
        "time_to_first_token_ms",
        _ms,
        (
            "gen_ai.response.time_to_first_chunk",
            "ai.response.msToFirstChunk",
            "ai.stream.msToFirstChunk",
            "gen_ai.response.time_to_first_token",
            "gen_ai.server.time_to_first_token",
        ),
    ),
    _text("first_token_at", "langfuse.observation.completion_start_time"),
    _text("error_type", "error.type"),
    _text("exception", "exception.type"),
    _count("http_status", "http.response.status_code", "http.status_code"),
    # ── who it was for ───────────────────────────────────────────────────────────────────────────────────────
    _who(
        "session_id",
        "gen_ai.conversation.id",
        "session.id",
        "langfuse.session.id",
        f"{_ASSOCIATION}session_id",
        f"{_METADATA}sessionId",
        "gen_ai.session.id",
        "coding_agent.session.id",
    ),
    _who(
        "user_id",
        "user.id",
        "enduser.id",
        "langfuse.user.id",
        f"{_ASSOCIATION}user_id",
        f"{_METADATA}userId",
        "gen_ai.user",
        "gen_ai.user.id",
        "llm.user",
        "gen_ai.request.user",
    ),
    _who(
        "feature",
        f"{_ASSOCIATION}feature",
        f"{_METADATA}feature",
        "gen_ai.agent.name",
        "gen_ai.workflow.name",
        "traceloop.workflow.name",
        "ai.telemetry.functionId",
        "resource.name",
    ),
    _who("team", f"{_ASSOCIATION}team", f"{_METADATA}team", "team.id", "team"),
    _who("tenant", f"{_ASSOCIATION}tenant", f"{_METADATA}tenant", "tenant.id", "tenant"),
    _who("endpoint", f"{_ASSOCIATION}endpoint"),
    _text("route", "http.route", lent=True),
    _who("environment", "deployment.environment.name", "deployment.environment", "langfuse.environment"),
    _who("service", "service.name"),
    _who("service_version", "service.version"),
    _who("prompt_version", "gen_ai.prompt.version"),
    _text("prompt_name", "langfuse.observation.prompt.name", "traceloop.prompt.key", lent=True),
    _text("prompt_number", "langfuse.observation.prompt.version", "traceloop.prompt.version", lent=True),
    _text("agent", "gen_ai.agent.name", "agent.name", lent=True),
    # ── what decides how the rest is read ────────────────────────────────────────────────────────────────────
    _text("address", "server.address", "gen_ai.openai.api_base", "llm.openai.api_base"),
    _text(
        "openrouter_host",
        "trace.metadata.openrouter.provider_slug",
        "trace.metadata.openrouter.provider_name",
        "openrouter.provider_slug",
        "openrouter.provider_name",
    ),
    _count("copilot_limit", "copilot_chat.request.max_prompt_tokens"),
    _text("logfire_type", "logfire.span_type"),
    Row("logfire_duration_ms", _ms, ("duration",)),
    _text("traceloop_kind", "traceloop.span.kind"),
    _text("entity_name", "traceloop.entity.name"),
    _text("mcp_method", "mcp.method.name"),
    Row("genkit_name", _model, ("genkit:name",)),
    _text("mlflow_format", "mlflow.message.format"),
    _count("tanstack_iteration", "tanstack.ai.iteration", "tanstack.ai.iterations"),
    _count("partial_input", "gen_ai.usage.partial.input_tokens"),
    _count("adk_thoughts", ADK_THOUGHTS),
    _count("uncached_input", "ai.usage.inputTokenDetails.noCacheTokens"),
    Row("invocation", read_json, ("llm.invocation_parameters",)),
    Row("langfuse_usage", read_json, ("langfuse.observation.usage_details",)),
    Row("langfuse_cost", read_json, ("langfuse.observation.cost_details",)),
    Row("genkit_usage", _read_genkit, ("genkit:output",)),
    Row("mlflow_usage", read_json, ("mlflow.chat.tokenUsage",)),
    Row("mlflow_cost", read_json, ("mlflow.llm.cost",)),
    Row("provider_metadata", read_json, ("ai.response.providerMetadata",)),
    Row("raw_usage", read_json, ("gen_ai.usage.raw", "metadata.usage_object")),
    Row("langchain_usage", read_json, ("langsmith.usage_metadata",)),
    Row("input_details", read_json, ("gen_ai.usage.input_token_details",)),
    Row("output_details", read_json, ("gen_ai.usage.output_token_details",)),
    # ── log events of coding agents ──────────────────────────────────────────────────────────────────────────
    _text("event_name", "event.name"),
    _text("event_kind", "event.kind"),
    _text("event_at", "event.timestamp"),
    _text("event_sequence", "event.sequence"),
    _text("agent_model", "model", "slug"),
    _text("agent_user", "user.email", "user.account_uuid"),
    _text("agent_request_id", "request_id"),
    _text("agent_prompt_id", "prompt.id", "prompt_id"),
    _text("agent_session", "conversation.id"),
    _text("agent_organization", "organization.id"),
    _text("agent_purpose", "query_source"),
    _text("agent_speed", "speed"),
    _text("agent_auth", "auth_type"),
    _text("agent_error", "error_type"),
    Row("agent_failed", _is_said, ("error.message",)),
    _count("agent_attempt", "attempt"),
    _count("agent_status", "status_code", "http_status_code"),
    _count("agent_input", "input_tokens", "input_token_count"),
    _count("agent_output", "output_tokens", "output_token_count"),
    _count("agent_cache_read", "cache_read_tokens", "cached_token_count", "cached_content_token_count"),
    _count("agent_cache_write", "cache_creation_tokens", "cache_write_token_count"),
    _count("agent_reasoning", "reasoning_token_count", "thoughts_token_count"),
    _count("agent_tool", "tool_token_count"),
    _count("agent_total", "total_token_count"),
    Row("agent_cost", read_money, ("cost_usd",)),
    Row("agent_duration_ms", _ms, ("duration_ms",)),
)
"""Every field, and the attributes that give it, best first. `docs/otlp.md` shows what users need of it."""

IN_SECONDS: Final = frozenset(
    {
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.response.time_to_first_token",
        "gen_ai.server.time_to_first_token",
        "duration",
    }
)
"""Times in seconds; all others are milliseconds."""

IDENTITY: Final = frozenset(row.field for row in ROWS if row.identity)
LENT: Final = frozenset(row.field for row in ROWS if row.lent)

IN_QUOTES: Final = "mlflow."
"""How the names of attributes begin whose values are written as JSON, text in quotes too."""

LAST_RANK: Final = 1_000
"""After every name of a row."""

Place = tuple[str, int, Callable[[object], Any]]


def _unquoted(read: Callable[[object], Any]) -> Callable[[object], Any]:
    def read_unquoted(value: object) -> Any:
        return read(value.strip('"') if isinstance(value, str) else value)

    return read_unquoted


def _index() -> dict[str, tuple[Place, ...]]:
    places: dict[str, tuple[Place, ...]] = {}
    for row in ROWS:
        for rank, name in enumerate(row.names):
            read = _seconds if name in IN_SECONDS else row.read
            if name.startswith(IN_QUOTES):
                read = _unquoted(read)
            places[name] = (*places.get(name, ()), (row.field, rank, read))
    return places


INDEX: Final[Mapping[str, tuple[Place, ...]]] = _index()
"""Name of an attribute → the fields it may give, its rank among their names, and how it is read."""


Said: TypeAlias = tuple[tuple[str, int, Any], ...]
"""What one attribute says: our field, the rank of the attribute's name among those that give it, and the content."""


def said_by(places: Iterable[Place], value: object) -> Said:
    """What a value says in the places of its name."""
    read_there = [(field, rank, reader(value)) for field, rank, reader in places]
    return tuple([said for said in read_there if said[2] is not None])


def best_said(attributes: Iterable[Said]) -> Found:
    """Our fields out of what attributes say: of several that give one field, the best named wins."""
    found: Found = {}
    ranks: dict[str, int] = {}
    for said in attributes:
        for field, rank, content in said:
            if ranks.get(field, LAST_RANK) > rank:
                found[field] = content
                ranks[field] = rank
    return found


LONGEST_KNOWN_BYTES: Final = 96
"""What attributes up to this size say is remembered, as most of it comes again and again: names of models and
providers, counts, flags."""

MOST_KNOWN: Final = 16_384
"""Attributes that are remembered, about 6 MB in each form; when they are more, all are forgotten."""


class Known(dict[bytes, Said]):
    """What attributes say, remembered: a dictionary, as one that is asked costs a third of an `lru_cache`."""

    __slots__ = ("_says",)

    def __init__(self, says: Callable[[bytes], Said]) -> None:
        self._says = says

    def __missing__(self, attribute: bytes) -> Said:
        said = self._says(attribute)
        if len(self) >= MOST_KNOWN:
            self.clear()
        self[attribute] = said
        return said


def identity_of(found: Found) -> Found:
    """What a resource or a scope says for all of its spans."""
    return {field: value for field, value in found.items() if field in IDENTITY}


def fill(found: Found, other: Mapping[str, Any], fields: frozenset[str] | None = None) -> None:
    """Put what only `other` says into `found`; of `fields` only, when given."""
    for field, value in other.items():
        if field not in found and (fields is None or field in fields):
            found[field] = value
