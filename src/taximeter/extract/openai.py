"""OpenAI's dialect, spoken by Azure OpenAI and many compatible hosts: chat, completions, responses, embeddings.

Details are parts: `cached_tokens`, `cache_write_tokens` and `audio_tokens` lie inside the prompt, reasoning and
audio inside the completion. A host that counts them apart is recognised by its own `total_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, Final, TypeAlias

from taximeter.core.usage import CACHE_PARTS, LARGEST_COUNT, NOTHING_COUNTED, Usage
from taximeter.extract.counts import CountTable, Units, believable, counts_in, summed, units_in
from taximeter.extract.flavour import Flavour, error_type, free, route
from taximeter.extract.gist import NO_GIST, UsageText, quoted
from taximeter.extract.payload import Payload, characters, count, items, mapping, text, usd
from taximeter.extract.plain import NOT_PLAIN, PLAIN_COUNT, Plain, told
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.skim import only_null, string_characters, string_end
from taximeter.extract.stream import StreamState

_INPUT_DETAILS: Final = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_5m_tokens",
    "cache_read_input_tokens": "cache_read_tokens",  # Perplexity's agents, and the next
    "cache_creation_input_tokens": "cache_write_5m_tokens",
    "cache_creation_tokens": "cache_write_5m_tokens",  # LiteLLM
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "video_tokens": "input_video_tokens",
}
_OUTPUT_DETAILS: Final = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
}
_CACHED_BY_MODALITY: Final = "cached_tokens_details"
"""What was cached, by modality: an object inside the details of the input."""

COUNTS: Final[CountTable] = {
    "prompt_tokens_details": _INPUT_DETAILS,
    "input_tokens_details": _INPUT_DETAILS,
    "input_token_details": _INPUT_DETAILS,  # transcriptions
    "prompt_token_details": _INPUT_DETAILS,  # runs of assistants
    "completion_tokens_details": _OUTPUT_DETAILS,
    "output_tokens_details": _OUTPUT_DETAILS,
    "output_token_details": _OUTPUT_DETAILS,
    _CACHED_BY_MODALITY: {"audio_tokens": "cache_read_audio_tokens"},
    "": {
        "prompt_tokens": "input_tokens",
        "input_tokens": "input_tokens",
        "completion_tokens": "output_tokens",
        "output_tokens": "output_tokens",
        "num_cached_tokens": "cache_read_tokens",  # Mistral
        "prompt_cache_hit_tokens": "cache_read_tokens",  # DeepSeek
        "cached_tokens": "cache_read_tokens",  # Together, Moonshot
        "cache_read_input_tokens": "cache_read_tokens",  # LiteLLM and Venice, and the next
        "cache_creation_input_tokens": "cache_write_5m_tokens",
    },
}
_LIFETIMES: Final = ("cache_creation_token_details", "cache_creation")
"""How long what was written to the cache is kept: an object as Anthropic has it, of the usage or of its details."""
_WRITTEN: Final = "cache_write_tokens_details"
"""As OpenAI has it, in the details: for half an hour, or for twelve, which costs twice as much."""
_KEPT_LONG: Final = ("ephemeral_1h_input_tokens", "ttl_12h_tokens", "ephemeral_12h_input_tokens")

_TOOL_CALLS: Final = {
    "web_search_call": "web_searches",
    "file_search_call": "file_searches",
    "code_interpreter_call": "code_interpreter_calls",
    "x_search_call": "x_searches",
}
"""Output items of a response that are calls of built-in tools with a price."""

_SERVER_TOOLS: Final = {
    "web_search_requests": "web_searches",
    "web_search_calls": "web_searches",
    "x_search_calls": "x_searches",
    "file_search_calls": "file_searches",
    "document_search_calls": "attachment_searches",
    "code_interpreter_calls": "code_interpreter_calls",
}
_UNNAMED_MODEL: Final = "image_generation"
"""Stands for a model of pictures that the answer does not name. It has no price."""
_RUNNING: Final = ("queued", "in_progress")
_FREE_WEB_ACTIONS: Final = ("open_page", "find_in_page")
_USAGE_UNITS: Final = {"prompt_audio_seconds": "audio_seconds"}
_BILLED_TOOLS: Final = "server_side_tool_usage_details"
"""Where xAI counts the calls of built-in tools. Those in the output are all that were tried; it bills these only.

https://docs.x.ai/developers/tools/tool-usage-details
"""
_TOOL_PLACES: Final = (_BILLED_TOOLS, "server_tool_use_details")
"""Where hosts count the calls of built-in tools: xAI, OpenRouter."""
_MARKET_COST: Final = "market_cost"
"""Only Vercel's gateway says it."""
_USD_PER_TICK: Final = Decimal("1e-10")

MOST_MODELS: Final = 64
"""Models of one answer that are told apart."""

MOST_CHOICES: Final = 128
"""Choices of one stream that are followed: more than any provider offers."""

MOST_TOOLS: Final = 1_000
"""Tools of one choice that a host says it has run."""


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────


def _request(operation: str, prompt_keys: tuple[str, ...], limit_keys: tuple[str, ...], body: Payload) -> RequestFacts:
    if type(body) is not dict:
        body = mapping(body)
    size, limit = 0, None
    for key in prompt_keys:
        if key in body:
            size += characters(body[key])
    for key in limit_keys:
        if limit is None and key in body:
            limit = count(body[key])
    asks = "stream_options" in body and mapping(body["stream_options"]).get("include_usage") is True
    streams, background = body.get("stream") is True, body.get("background") is True
    return RequestFacts(operation, text(body.get("model")), streams, limit, size, asks, background=background)


read_chat_request: Final = partial(
    _request, "chat", ("messages", "tools", "functions", "response_format"), ("max_completion_tokens", "max_tokens")
)
read_completions_request: Final = partial(_request, "text_completion", ("prompt", "suffix"), ("max_tokens",))
read_responses_request: Final = partial(
    _request, "chat", ("input", "instructions", "tools", "text"), ("max_output_tokens",)
)
read_decisions_request: Final = partial(_request, "chat", ("input", "questions"), ())
read_embeddings_request: Final = partial(_request, "embeddings", ("input",), ())


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def usage_in(usage: Payload, output_units: Units) -> tuple[Usage, bool]:
    """Our usage of an OpenAI-shaped usage object, and whether it contradicted itself.

    `output_units` are those seen in the output; what the usage says about a unit counts for more.
    """
    if not usage and not output_units:
        return NOTHING_COUNTED, False
    counts = counts_in(_with_cached_by_modality(usage), COUNTS)
    total = count(usage.get("total_tokens"))
    _count_what_lies_outside(counts, total, sound="prompt_audio_seconds" in usage)
    _count_orchestration(usage, counts, total)
    if counts.get("cache_write_5m_tokens"):
        _tell_lifetimes_apart(usage, counts)
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        _count_cache_outside(counts)
    if _MARKET_COST in usage:
        _count_reasoning_outside_the_total(counts)
    units = {**output_units, **units_in(usage, _USAGE_UNITS)}
    if _BILLED_TOOLS in usage:
        billed = mapping(usage[_BILLED_TOOLS])
        told = {ours for theirs, ours in _SERVER_TOOLS.items() if count(billed.get(theirs)) is not None}
        units = {name: amount for name, amount in units.items() if name not in told}
    for place in _TOOL_PLACES:
        if place in usage:
            units |= units_in(usage[place], _SERVER_TOOLS)
    if _INVOCATIONS in usage:
        units |= _invocations(mapping(usage[_INVOCATIONS]))
    if bill := mapping(usage.get("cost")):
        units |= _charged_beside(usage, bill, counts)
    return believable(counts, units)


def _with_cached_by_modality(usage: Payload) -> Payload:
    """The usage with what lies an object deeper beside its details."""
    for place in _CACHED_PLACES:
        if inner := mapping(mapping(usage.get(place)).get(_CACHED_BY_MODALITY)):
            return {**usage, _CACHED_BY_MODALITY: inner}
    return usage


_CACHED_PLACES: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")


def _count_what_lies_outside(counts: dict[str, int | None], total: int | None, *, sound: bool) -> None:
    """Some hosts leave reasoning out of the completion (xAI), or audio out of the prompt: their total shows it.

    `sound`: the prompt had some (Mistral), whose tokens only the total may know.
    """
    read, written = counts.get("input_tokens"), counts.get("output_tokens")
    if total is None or read is None or written is None:
        return
    rest = total - read - written
    if rest <= 0:
        return
    if rest == counts.get("reasoning_tokens"):
        counts["output_tokens"] = written + rest
    elif rest == counts.get("input_audio_tokens"):
        counts["input_tokens"] = read + rest
    elif sound and counts.get("input_audio_tokens") is None:
        counts["input_tokens"], counts["input_audio_tokens"] = read + rest, rest


def _count_orchestration(usage: Payload, counts: dict[str, int | None], total: int | None) -> None:
    """What the models behind an orchestrating one (Sakana's Fugu) read and wrote is charged as the rest is. It stands
    in the details and in the total, and lies outside prompt and completion.

    https://openrouter.ai/sakana/fugu-ultra
    """
    read, written = counts.get("input_tokens"), counts.get("output_tokens")
    if total is None or read is None or written is None or total <= read + written:
        return
    more = counts_in(usage, _ORCHESTRATION)
    more_read, more_written = more.get("input_tokens") or 0, more.get("output_tokens") or 0
    if more_read >= 0 and more_written >= 0 and more_read + more_written == total - read - written:
        counts["input_tokens"], counts["output_tokens"] = read + more_read, written + more_written
        counts["cache_read_tokens"] = (counts.get("cache_read_tokens") or 0) + (more.get("cache_read_tokens") or 0)


_ORCHESTRATED_INPUT: Final = {
    "orchestration_input_tokens": "input_tokens",
    "orchestration_input_cached_tokens": "cache_read_tokens",
}
_ORCHESTRATED_OUTPUT: Final = {"orchestration_output_tokens": "output_tokens"}
_ORCHESTRATION: Final[CountTable] = {
    "prompt_tokens_details": _ORCHESTRATED_INPUT,
    "input_tokens_details": _ORCHESTRATED_INPUT,
    "completion_tokens_details": _ORCHESTRATED_OUTPUT,
    "output_tokens_details": _ORCHESTRATED_OUTPUT,
}


def _tell_lifetimes_apart(usage: Payload, counts: dict[str, int | None]) -> None:
    written = counts["cache_write_5m_tokens"] or 0
    for holder in (usage, *(mapping(usage.get(place)) for place in _CACHED_PLACES)):
        for split in (mapping(holder.get(name)) for name in (*_LIFETIMES, _WRITTEN)):
            long = sum(count(split.get(name)) or 0 for name in _KEPT_LONG)
            if 0 < long <= written:
                counts["cache_write_5m_tokens"], counts["cache_write_1h_tokens"] = written - long, long
                return


def _count_cache_outside(counts: dict[str, int | None]) -> None:
    """Hosts that also name the cache as Anthropic does have it inside the prompt, unless it is larger: LiteLLM of 2025
    left it out."""
    read = counts.get("input_tokens")
    cached = sum(counts.get(name) or 0 for name in CACHE_PARTS)
    if read is not None and cached > read >= 0:
        counts["input_tokens"] = read + cached


def _count_reasoning_outside_the_total(counts: dict[str, int | None]) -> None:
    """Vercel's gateway leaves Gemini's reasoning out of the completion and of the total; its bill has both.

    What is seen is that there is more of it than of the completion. Where there is less, nothing tells it from the
    reasoning of other makers, which lies inside.
    """
    written, reasoned = counts.get("output_tokens"), counts.get("reasoning_tokens")
    if written is not None and reasoned is not None and reasoned > written >= 0:
        counts["output_tokens"] = written + reasoned


def _invocations(by_tool: Payload) -> dict[str, int | Decimal]:
    """Calls of the tools of Perplexity's agents: `{"web_search": {"invocation": 2}}`."""
    units: dict[str, int | Decimal] = {}
    for tool, unit in _AGENTS_TOOLS.items():
        calls = count(mapping(by_tool.get(tool)).get("invocation"))
        if calls and calls > 0:
            units[unit] = units.get(unit, 0) + calls
    return units


_INVOCATIONS: Final = "tool_calls_details"
_AGENTS_TOOLS: Final = {"web_search": "web_searches", "search_web": "web_searches", "fetch_url": "web_fetches"}


def _charged_beside(usage: Payload, bill: Payload, counts: dict[str, int | None]) -> dict[str, int | Decimal]:
    """Perplexity's bill names what it charges beside prompt and answer: tokens, added to `counts`, and units."""
    for line, counted, whole, part in _BILLED_TOKENS:
        number = count(usage.get(counted)) if bill.get(line) else None
        if number and number > 0:
            counts[whole] = (counts.get(whole) or 0) + number
            if part is not None:
                counts[part] = number
    units = units_in(usage, {"num_search_queries": "web_searches"}) if bill.get("search_queries_cost") else {}
    size = usage.get("search_context_size") if bill.get("request_cost") else None
    return {**units, f"{size}_context_requests": 1} if size in _DEARER_SEARCHES else units


_BILLED_TOKENS: Final = (
    ("citation_tokens_cost", "citation_tokens", "input_tokens", None),
    ("reasoning_tokens_cost", "reasoning_tokens", "output_tokens", "reasoning_tokens"),
)
"""Line of the bill, where its tokens are counted, the class that they belong to and the part of it that they are."""

_DEARER_SEARCHES: Final = ("medium", "high")
"""Sizes of a search that cost more than every request does."""


def reported_cost(usage: Payload) -> Decimal | None:
    """The price that the host names: `cost` (OpenRouter), `cost.total_cost` (Perplexity), ticks (xAI)."""
    ticks = count(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return usd(ticks * _USD_PER_TICK)
    cost = usage.get("cost")
    return usd(cost.get("total_cost") if isinstance(cost, Mapping) else cost)


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────────────


def _answer(status: int, body: object, units: Units, output: tuple[str, ...]) -> Reading:
    """The reading of a body with `model`, `id`, `service_tier`, `usage` or `error`. `output` names its content."""
    error = error_type(status, body)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(body, Mapping))
    if not isinstance(body, Mapping):
        return NOTHING_READ
    error = error or next(filter(None, (error_type(200, choice) for choice in items(body.get("choices")))), None)
    reported = mapping(body.get("usage"))
    usage, conflict = usage_in(reported, units)
    reading = Reading(
        response_model=text(body.get("model")),
        usage=usage,
        usage_conflict=conflict,
        not_billed=error is not None and not usage.known,
        service_tier=text(body.get("service_tier")) or text(reported.get("service_tier")),
        response_id=text(body.get("id")),
        error_type=error,
        reported_cost_usd=reported_cost(reported),
        finished=True,
        output_characters=0 if usage.known else sum(characters(body.get(key)) for key in output),
    )
    return _shared_out(reading, body.get("usage_breakdown"))


def _shared_out(reading: Reading, breakdown: object) -> Reading:
    """The reading with what each model used that a compound system called (Groq): theirs are the prices.

    A breakdown that does not add up to the usage is none: in streams it had the whole for each model.
    """
    if breakdown is None:
        return reading
    by_model: dict[str, Usage] = {}
    total, conflict = NOTHING_COUNTED, reading.usage_conflict
    for entry in map(mapping, items(mapping(breakdown).get("models"))[:MOST_MODELS]):
        model = text(entry.get("model")) or reading.response_model or ""
        share, odd = usage_in(mapping(entry.get("usage")), {})
        by_model[model], odd_share = summed(by_model.get(model, NOTHING_COUNTED), share)
        total, odd_total = summed(total, share)
        conflict = conflict or odd or odd_share or odd_total
    told = reading.usage
    odd_sum = told.known and (told.input_tokens, told.output_tokens) != (total.input_tokens, total.output_tokens)
    if not total.known or odd_sum or [*by_model] == [reading.response_model]:
        return reading
    usage = replace(total, units=reading.usage.units)
    return replace(reading, usage=usage, usage_conflict=conflict, by_model=tuple(by_model.items()))


def read_chat_answer(status: int, payload: object) -> Reading:
    answer = mapping(payload)
    units = _tools_run(answer.get("choices"))
    if _found_in_the_web(answer):
        units = {"web_searches": 1, **units}
    return _with_its_search(_answer(status, payload, units, ("choices",)))


def _found_in_the_web(told: Payload) -> bool:
    """Whether an answer, or a chunk of one, lists what its host found for the model (Z.ai).

    https://docs.z.ai/guides/tools/web-search
    """
    return bool(items(told.get(_FOUND)))


_FOUND: Final = "web_search"


def _with_its_search(reading: Reading) -> Reading:
    """The reading with the search that a search model makes for each request. No answer in chat tells of it.

    https://developers.openai.com/api/docs/guides/tools-web-search
    """
    usage = reading.usage
    if not _searches_always(reading.response_model or "") or not usage.known or "web_searches" in usage.units:
        return reading
    return replace(reading, usage=replace(usage, units={**usage.units, "web_searches": 1}))


def _searches_always(model: str) -> bool:
    return _SEARCH in model and model.startswith(_SEARCH_MODELS)


_SEARCH: Final = "-search-"
_SEARCH_MODELS: Final = ("gpt-4o-search-", "gpt-4o-mini-search-", "gpt-5-search-")


def _tools_run(choices: object) -> dict[str, int | Decimal]:
    """What the host's own tools did: Moonshot's search, which the caller sends back as it is, and what Groq ran itself.

    https://platform.kimi.ai/docs/pricing/tools, https://console.groq.com/docs/tool-use/built-in-tools
    """
    units: dict[str, int | Decimal] = {}
    for message in (mapping(mapping(choice).get("message")) for choice in items(choices)[:MOST_CHOICES]):
        run = [_executed(mapping(tool)) for tool in items(message.get("executed_tools"))[:MOST_TOOLS]]
        for unit in ("web_searches",) * _searches(message) + tuple(unit for unit in run if unit is not None):
            units[unit] = units.get(unit, 0) + 1
    return units


def _executed(tool: Payload) -> str | None:
    """The unit of a tool that Groq ran. That of a browser is named once more, by what was done with it."""
    kind = text(tool.get("type")) or ""
    return _GROQS_TOOLS.get(text(tool.get("name")) or "" if kind == "browser_search" else kind)


_GROQS_TOOLS: Final = {
    "search": "web_searches",
    "browser.search": "web_searches",
    "visit": "web_fetches",
    "browser.open": "web_fetches",
}


def _searches(message: Payload) -> int:
    calls = items(message.get("tool_calls"))
    return sum(mapping(mapping(call).get("function")).get("name") == _MOONSHOTS_SEARCH for call in calls)


_MOONSHOTS_SEARCH: Final = "$web_search"
"""No function of a caller has such a name."""


def read_decisions_answer(status: int, payload: object) -> Reading:
    """Answers to questions about a text: probabilities, told beside their tokens."""
    return _answer(status, payload, {}, ("answers",))


def read_embeddings_answer(status: int, payload: object) -> Reading:
    """An embedding writes nothing; some hosts name only the total."""
    body = payload
    usage = mapping(payload.get("usage")) if isinstance(payload, Mapping) else {}
    if usage and isinstance(payload, Mapping):
        read = usage.get("prompt_tokens", usage.get("total_tokens"))
        body = {**payload, "usage": {"prompt_tokens": read, "completion_tokens": 0, **usage}}
    return _answer(status, body, {}, ())


def read_responses_answer(status: int, payload: object) -> Reading:
    """A response object. One that is still queued or running is not finished: it will be fetched again."""
    response = mapping(payload)
    reading = _with_pictures(_answer(status, payload, tool_units(response), ("output",)), response)
    return replace(reading, finished=False) if response.get("status") in _RUNNING else reading


def _with_pictures(reading: Reading, response: Payload) -> Reading:
    """The reading with the tokens of its pictures, which lie outside its usage: another model made them."""
    pictures, odd = usage_in(mapping(mapping(response.get("tool_usage")).get("image_gen")), {})
    if not (pictures.input_tokens or pictures.output_tokens):
        return reading
    if pictures.output_image_tokens is None:
        pictures = replace(pictures, output_image_tokens=pictures.output_tokens)
    drawn_by = next(
        (text(tool.get("model")) for tool in map(mapping, items(response.get("tools"))) if _draws(tool)), None
    )
    own, pictured = replace(reading.usage, units={}), (drawn_by or _UNNAMED_MODEL, pictures)
    usage, odd_sum = summed(reading.usage, pictures)
    return replace(
        reading,
        usage=usage,
        usage_conflict=reading.usage_conflict or odd or odd_sum,
        by_model=((reading.response_model or "", own), pictured) if own.known else (pictured,),
    )


def _draws(tool: Payload) -> bool:
    return tool.get("type") == "image_generation"


def tool_units(response: Payload) -> dict[str, int | Decimal]:
    """Billable calls of built-in tools, which show up as output items."""
    units: dict[str, int | Decimal] = {}
    for item in items(response.get("output")):
        if (unit := tool_unit(mapping(item))) is not None:
            units[unit] = units.get(unit, 0) + 1
    searches = count(mapping(mapping(response.get("tool_usage")).get("web_search")).get("num_requests"))
    if searches is not None:
        units["web_searches"] = searches
    return {name: amount for name, amount in units.items() if amount > 0}


def tool_unit(item: Payload) -> str | None:
    """The unit that an output item bills, if any. Opening a page that a search found is not a search."""
    if mapping(item.get("action")).get("type") in _FREE_WEB_ACTIONS:
        return None
    kind = item.get("type")
    return _TOOL_CALLS.get(kind) if isinstance(kind, str) else None


# ── plain answers ────────────────────────────────────────────────────────────────────────────────────────────

_PLAIN_OUTPUT: Final = frozenset({"message", "reasoning", "function_call"})


def read_plain_chat(answer: Any) -> Plain | None:
    try:
        choices = answer["choices"]
        first = choices[0]
        if answer.get("error") or ("usage_breakdown" in answer and _ran_tools(answer["usage_breakdown"], first)):
            return None
        if (len(choices) > 1 or "error" in first or first["finish_reason"] == "tool_calls") and _tell_more(choices):
            return None
        if _SEARCH in answer["model"] or _FOUND in answer:
            return None
        return _CHAT_USAGES.read(answer, answer["usage"])
    except NOT_PLAIN:
        return None


def _ran_tools(breakdown: Any, choice: Any) -> bool:
    """Whether Groq, which always has a place for a breakdown, called other models or tools."""
    return bool(breakdown) or "executed_tools" in choice["message"]


def _tell_more(choices: Any) -> bool:
    """Whether choices tell more than what was written: an error (OpenRouter), a search. Asked of those that may."""
    return any(
        choice.get("error") or (choice.get("finish_reason") == "tool_calls" and _tools_run((choice,)))
        for choice in choices
    )


def read_plain_response(response: Any) -> Plain | None:
    try:
        if response.get("error") or response.get("status") != "completed" or "tool_usage" in response:
            return None
        for item in response["output"]:
            if item["type"] not in _PLAIN_OUTPUT:
                return None
        return _RESPONSE_USAGES.read(response, response["usage"])
    except NOT_PLAIN:
        return None


def chat_gist(answer: Any, body: str) -> str | None:
    try:
        usage = answer["usage"]
        if type(usage["prompt_tokens"]) is not int or answer.get("error") or "usage_breakdown" in answer:
            return None
        if _FOUND in answer:
            return None
        choices = answer["choices"]
        first = choices[0]
        if (len(choices) > 1 or "error" in first or first["finish_reason"] == "tool_calls") and _tell_more(choices):
            return None
        tier = answer.get("service_tier")
        tier = "" if tier is None else f',"service_tier":{quoted(tier)}'
        said = f'"id":{quoted(answer["id"])},"model":{quoted(answer["model"])}{tier}'
        return f'{{{said},"usage":{_chat_usage(usage, body)}}}'
    except NO_GIST:
        return None


def response_gist(response: Any, body: str) -> str | None:
    try:
        usage = response["usage"]
        if type(usage["input_tokens"]) is not int or response.get("error") or response["status"] != "completed":
            return None
        if "tool_usage" in response or "usage_breakdown" in response:
            return None
        for item in response["output"]:
            if item["type"] not in _PLAIN_OUTPUT:
                return None
        tier = response.get("service_tier")
        tier = "" if tier is None else f',"service_tier":{quoted(tier)}'
        said = f'"id":{quoted(response["id"])},"model":{quoted(response["model"])}{tier},"status":"completed"'
        return f'{{{said},"output":[],"usage":{_response_usage(usage, body)}}}'
    except NO_GIST:
        return None


_chat_usage: Final = UsageText().of
_response_usage: Final = UsageText().of

MOST_FORMS: Final = 256
"""Forms of usages that are remembered. Later ones are found out each time."""

LONGEST_FORM: Final = 1_024
"""Characters of all names in a form that is remembered."""

_NO_DETAILS: Final[dict[str, Any]] = {}
_DEEPER: Final = frozenset({_CACHED_BY_MODALITY, *_LIFETIMES})
"""Details that have counts an object deeper."""

_Pick: TypeAlias = Callable[[Any], tuple[Any, ...]]
_Names: TypeAlias = tuple[str, ...]


class _Form:
    """A plain usage that has certain names, in itself and in its details. They are the same in nearly every answer of a
    host, so where its counts are is settled once."""

    __slots__ = (
        "_cached",
        "_inputs",
        "_lifetimes",
        "_missing",
        "_of_input",
        "_of_output",
        "_pick",
        "_sizes",
        "_usage",
        "classes",
    )

    def __init__(self, names: _Names, usage: _Names, of_input: _Names, of_output: _Names) -> None:
        """`names` are those of the two wholes, of their total, and of the details of either."""
        self._usage: _Pick = itemgetter(*names)
        self._of_input = _values(of_input)
        self._of_output = _values(of_output)
        self._missing = {name: None for name in names if name not in usage}
        self._sizes = (len(usage), len(of_input), len(of_output))
        # In `counts` all values stand beside each other: the usage, and the details of the input and of the output.
        behind_usage = len(names)
        behind_input = behind_usage + (len(of_input) + 1 if of_input else 0)
        places = {"input_tokens": 0, **_parts(_INPUT_DETAILS, of_input, behind_usage)}
        self._inputs = len(places)
        places |= {"output_tokens": 1, **_parts(_OUTPUT_DETAILS, of_output, behind_input)}
        self.classes = (*places,)
        self._pick: _Pick = itemgetter(*places.values())
        cached = tuple(self.classes.index(name) for name in CACHE_PARTS if name in places)
        self._cached = cached if len(cached) > 1 else ()
        self._lifetimes = _WRITTEN in of_input

    def counts(self, usage: Any) -> tuple[int, ...] | None:
        """The counts of `classes`. None when the usage has other names, or is not plain: whole numbers, parts inside
        their wholes, and nothing outside the two that make the total."""
        try:
            said = self._usage({**self._missing, **usage} if self._missing else usage)
            read, written, total, of_input, of_output = said
            of_input, of_output = of_input or _NO_DETAILS, of_output or _NO_DETAILS
            if (len(usage), len(of_input), len(of_output)) != self._sizes:
                return None
            if self._lifetimes and _kept_long(of_input[_WRITTEN]):
                return None
            counts = self._pick((*said, *self._of_input(of_input), *self._of_output(of_output)))
        except KeyError:
            return None
        inputs = self._inputs
        if {*map(type, counts)} != PLAIN_COUNT or min(counts) < 0:
            return None
        if max(counts[:inputs]) > read or max(counts[inputs:]) > written or read + written > LARGEST_COUNT:
            return None
        if total is not None and total != read + written:
            return None
        if self._cached and sum(map(counts.__getitem__, self._cached)) > read:
            return None
        return counts


def _kept_long(written: Any) -> bool:
    """Whether some of what was written to the cache is kept for longer than is usual."""
    return bool(written and written.get("ttl_12h_tokens"))


def _values(names: Sequence[str]) -> _Pick:
    """Takes the values of these names, and that of the first once more: of one name `itemgetter` makes no tuple."""
    return itemgetter(*names, names[0]) if names else tuple


def _parts(known: Mapping[str, str], said: _Names, at: int) -> dict[str, int]:
    """The token classes in details that have these names, whose values stand from `at` on, and where each stands."""
    places: dict[str, int] = {}
    for theirs, ours in known.items():
        if theirs in said:
            places.setdefault(ours, at + said.index(theirs))
    return places


class _PlainUsages:
    """Reads the plain usages of one dialect. What the latest one was like is tried first."""

    def __init__(self, *names: str) -> None:
        """Of the two wholes, of their total, and of the details of either."""
        self._names = names
        self._forms: dict[tuple[_Names, ...], _Form] = {}
        self._latest = _Form(names, names, (), ())

    def read(self, answer: Any, usage: Any) -> Plain | None:
        form: _Form | None = self._latest
        counts = self._latest.counts(usage)
        if counts is None:
            form = self._form_of(usage)
            counts = None if form is None else form.counts(usage)
        if form is None or counts is None:
            return None
        self._latest = form
        return told(answer, answer.get("service_tier"), form.classes, counts)

    def _form_of(self, usage: Any) -> _Form | None:
        """None when no plain usage has such names."""
        *_, input_name, output_name = names = self._names
        said = (*usage,), (*(usage.get(input_name) or ()),), (*(usage.get(output_name) or ()),)
        form = self._forms.get(said)
        if form is None:
            if not {*names[:2]} <= {*said[0]} <= {*names} or not _DEEPER.isdisjoint(said[1]):
                return None
            form = _Form(names, *said)
            if len(self._forms) < MOST_FORMS and sum(map(len, chain(*said))) <= LONGEST_FORM:
                self._forms[said] = form
        return form


_CHAT_USAGES: Final = _PlainUsages(
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"
)
_RESPONSE_USAGES: Final = _PlainUsages(
    "input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"
)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────

_CHAT_TEXT: Final = b'"delta":{"content":"'


class ChatStream:
    """Chunks of a chat completion, or of a text completion: they differ in where the text is."""

    def __init__(self, request: RequestFacts | None) -> None:
        self._awaits_usage = request is None or request.asks_for_stream_usage
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._error: str | None = None
        self._usage: Payload = {}
        self._breakdown: object = None
        self._searches = 0
        self._run: dict[object, str] = {}
        self._open: frozenset[int] = frozenset()
        self._ended: frozenset[int] = frozenset()
        self._usage_came_alone = False
        self._done = False
        self._characters = 0
        self.content_started = False

    @property
    def finished(self) -> bool:
        """`[DONE]`; or every choice stopped and then, without choices, the usage that was asked for. Nothing follows.

        Usage beside a choice ends nothing: hosts that repeat it may still begin another choice.
        """
        return self._done or (self._stopped_everywhere and self._awaits_usage and self._usage_came_alone)

    @property
    def _complete(self) -> bool:
        """Whether this may be the end. Client libraries swallow `[DONE]`, and some hosts never send it."""
        if self.finished or self._usage_came_alone:
            return True
        return self._stopped_everywhere and (not self._awaits_usage or bool(self._usage))

    @property
    def _stopped_everywhere(self) -> bool:
        return bool(self._ended) and not self._open

    def skim(self, data: bytes) -> bool:
        """The common chunk, one piece of plain text and nothing else, is measured without decoding it."""
        start = data.find(_CHAT_TEXT)
        if start < 0:
            self._done = self._done or data == b"[DONE]"
            return data == b"[DONE]"
        if self._model is None or b'"error"' in data or data.count(b'"delta"') != 1:
            return False
        if not only_null(data, b'"usage":') or not only_null(data, b'"finish_reason":'):
            return False
        start += len(_CHAT_TEXT)
        end = string_end(data, start)
        written = string_characters(data, start, end)
        if not written or data[end + 1 : end + 2] != b"}":
            return False
        self._write(written)
        return True

    def take(self, event: Payload) -> None:
        self._model = text(event.get("model")) or self._model
        self._id = text(event.get("id")) or self._id
        self._tier = text(event.get("service_tier")) or self._tier
        self._error = error_type(200, event) or self._error
        # Groq repeats the usage, or gives it only, in an object of its own.
        beside = mapping(event.get("x_groq"))
        usage = mapping(event.get("usage")) or mapping(beside.get("usage"))
        self._breakdown = event.get("usage_breakdown") or beside.get("usage_breakdown") or self._breakdown
        if _FOUND in event:
            self._searches = self._searches or int(_found_in_the_web(event))
        choices = items(event.get("choices"))
        self._usage_came_alone = bool(usage) and not choices
        for choice in map(mapping, choices):
            usage = usage or mapping(choice.get("usage"))  # Moonshot
            if "error" in choice:
                self._error = error_type(200, choice) or self._error
            self._take_choice(choice)
        self._usage = usage or self._usage

    def _take_choice(self, choice: Payload) -> None:
        index = count(choice.get("index")) or 0
        # One that has ended may come again, with its usage (Azure, LiteLLM) or with what a filter says of it.
        if 0 <= index < MOST_CHOICES and index not in self._open and index not in self._ended:
            self._open |= {index}
        if choice.get("finish_reason"):  # some hosts write "" while it goes on
            self._open -= {index}
            self._ended |= {index if 0 <= index < MOST_CHOICES else 0}
        delta = mapping(choice.get("delta"))
        if "tool_calls" in delta:
            self._searches += _searches(delta)
        if "executed_tools" in delta:
            self._take_tools(index, items(delta["executed_tools"]))
        written, heard = _delta_text(delta)
        plain = choice.get("text")
        self._write(written + (len(plain) if isinstance(plain, str) else 0), heard)

    def _take_tools(self, choice: int, tools: Sequence[object]) -> None:
        """Groq tells of a tool when it begins and once more when it is done."""
        for tool in map(mapping, tools):
            unit = _executed(tool)
            if unit is not None and len(self._run) < MOST_TOOLS:
                self._run = {**self._run, (choice, count(tool.get("index"))): unit}

    def _write(self, characters_more: int, heard: bool = False) -> None:
        self._characters += characters_more
        if characters_more or heard:
            self.content_started = True

    def _units(self) -> dict[str, int | Decimal]:
        units: dict[str, int | Decimal] = {"web_searches": self._searches} if self._searches else {}
        for unit in self._run.values() if self._usage else ():
            units[unit] = units.get(unit, 0) + 1
        return units

    def reading(self) -> Reading:
        usage, conflict = usage_in(self._usage, self._units())
        reading = Reading(
            response_model=self._model,
            usage=usage,
            usage_conflict=conflict,
            not_billed=self._error is not None and not usage.known and not self.content_started,
            service_tier=self._tier or text(self._usage.get("service_tier")),
            response_id=self._id,
            error_type=self._error,
            reported_cost_usd=reported_cost(self._usage),
            finished=self._complete,
            output_characters=self._characters,
        )
        return _shared_out(_with_its_search(reading) if self._usage else reading, self._breakdown)


def _delta_text(delta: Payload) -> tuple[int, bool]:
    """Characters of text in a delta, and whether there was something other than text (audio)."""
    written = characters(delta.get("content")) + characters(delta.get("refusal"))
    # Hosts that name reasoning in two ways repeat it.
    written += max(characters(delta.get("reasoning_content")), characters(delta.get("reasoning")))
    for call in items(delta.get("tool_calls")):
        written += characters(mapping(call).get("function"))
    written += characters(delta.get("function_call"))
    audio = mapping(delta.get("audio"))
    return written + characters(audio.get("transcript")), "data" in audio


_RESPONSE_TYPE: Final = b'"type":"response.'
_RESPONSE_TEXT: Final = b'"delta":"'
_TELLING: Final = frozenset({"created", "in_progress", "queued", "completed", "incomplete", "failed", "cancelled"})
_TERMINAL: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})
_MEDIA_DELTAS: Final = frozenset({"audio.delta", "output_audio.delta"})


class ResponsesStream:
    """Events of a response: the last one repeats the whole response, with its usage."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._response = NOTHING_READ
        self._units: dict[str, int | Decimal] = {}
        self._error: str | None = None
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes) -> bool:
        """Deltas of plain text are measured without decoding, and events that only repeat are passed over."""
        start = data.find(_RESPONSE_TYPE)
        if start < 0 or data.find(b"{", 1, start) >= 0:  # not there, or the type of something inside
            return False
        start += len(_RESPONSE_TYPE)
        kind = data[start : data.find(b'"', start)]
        if kind.endswith(b".delta"):
            return kind.decode("ascii", "replace") not in _MEDIA_DELTAS and self._measured(data)
        if kind == b"output_item.done":
            return b'_call"' not in data
        return kind.decode("ascii", "replace") not in _TELLING

    def _measured(self, data: bytes) -> bool:
        start = data.find(_RESPONSE_TEXT)
        if start < 0 or data.count(b'"delta":') != 1:
            return False
        start += len(_RESPONSE_TEXT)
        written = string_characters(data, start, string_end(data, start))
        if written is None:
            return False
        self._write(written)
        return True

    def take(self, event: Payload) -> None:
        named = event.get("type")
        if named == "error":
            # Either {"type": "error", "error": {"type", "code"}} or the code beside the type.
            self._error = error_type(200, event) or text(event.get("code")) or "error"
        if not isinstance(named, str) or not named.startswith("response."):
            return
        kind = named.removeprefix("response.")
        if kind in _TELLING:
            self._error = error_type(200, event) or self._error  # Perplexity's agents fail with an error alone
            self._take_response(kind, mapping(event.get("response")))
        elif kind == "output_item.done":
            self._take_item(mapping(event.get("item")))
        elif kind in _MEDIA_DELTAS:
            self.content_started = True
        elif kind.endswith(".delta"):
            delta = event.get("delta")
            self._write(len(delta) if isinstance(delta, str) else 0)

    def _take_response(self, kind: str, response: Payload) -> None:
        self.finished = self.finished or kind in _TERMINAL
        reading = read_responses_answer(200, response)
        if "output" not in response and self._units and not reading.usage.units:
            reading = replace(reading, usage=replace(reading.usage, units=self._units))
        self._response = reading

    def _take_item(self, item: Payload) -> None:
        if (unit := tool_unit(item)) is not None:
            self._units = {**self._units, unit: self._units.get(unit, 0) + 1}

    def _write(self, characters_more: int) -> None:
        self._characters += characters_more
        if characters_more:
            self.content_started = True

    def reading(self) -> Reading:
        response = self._response
        usage = response.usage if self.finished else Usage(units=self._units)
        error = response.error_type or self._error
        return Reading(
            response_model=response.response_model,
            usage=usage,
            usage_conflict=response.usage_conflict,
            by_model=response.by_model if self.finished else (),
            not_billed=error is not None and not usage.known and not self.content_started,
            service_tier=response.service_tier,
            response_id=response.response_id,
            error_type=error,
            reported_cost_usd=response.reported_cost_usd,
            finished=self.finished,
            output_characters=self._characters,
        )


def _chat_stream(request: RequestFacts | None) -> StreamState:
    return ChatStream(request)


def _responses_stream(request: RequestFacts | None) -> StreamState:
    return ResponsesStream(request)


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

CHAT: Final = Flavour(
    name="openai.chat",
    operation="chat",
    read_request=read_chat_request,
    read_body=read_chat_answer,
    read_plain=read_plain_chat,
    gist=chat_gist,
    open_stream=_chat_stream,
)
COMPLETIONS: Final = Flavour(
    name="openai.completions",
    operation="text_completion",
    read_request=read_completions_request,
    read_body=read_chat_answer,
    read_plain=read_plain_chat,
    gist=chat_gist,
    open_stream=_chat_stream,
)
RESPONSES: Final = Flavour(
    name="openai.responses",
    operation="chat",
    read_request=read_responses_request,
    read_body=read_responses_answer,
    read_plain=read_plain_response,
    gist=response_gist,
    open_stream=_responses_stream,
)
DECISIONS: Final = Flavour(
    name="openai.decisions",
    operation="chat",
    read_request=read_decisions_request,
    read_body=read_decisions_answer,
)
EMBEDDINGS: Final = Flavour(
    name="openai.embeddings",
    operation="embeddings",
    read_request=read_embeddings_request,
    read_body=read_embeddings_answer,
)

_MODEL: Final = "(?P<model>[^/]+)"
"""Azure names a deployment in the path; for compatible hosts it is what the body would say."""

ROUTES: Final = (
    route("POST", f"deployments/{_MODEL}/chat/completions", CHAT),
    route("POST", f"deployments/{_MODEL}/completions", COMPLETIONS),
    route("POST", f"deployments/{_MODEL}/embeddings", EMBEDDINGS),
    route("POST", "chat/completions", CHAT),
    route("POST", "v1/chat", CHAT),  # Writer
    route("POST", "agents/completions", CHAT),  # Mistral
    route("POST", "completions", COMPLETIONS),
    route("POST", f"serving-endpoints/{_MODEL}/invocations", CHAT),  # Databricks
    route("POST", f"publishers/(?:mistralai|ai21)/models/{_MODEL}:(?:rawPredict|streamRawPredict)", CHAT),  # Vertex AI
    route("POST", "responses", RESPONSES),
    route("POST", "v1/agent", RESPONSES),  # Perplexity, and the next
    route("POST", "v1/sonar", CHAT),
    route("POST", "responses/compact", RESPONSES),
    route("POST", "decisions", DECISIONS),
    route("POST", "embeddings", EMBEDDINGS),
    route("POST", "moderations", free("openai.moderations")),
    route("POST", "responses/input_tokens", free("openai.responses.input_tokens")),
    route("POST", "responses/[^/]+/cancel", free("openai.responses.cancel")),
    route("POST", "chat/completions/[^/]+", free("openai.chat.metadata")),
    route("POST", "realtime/calls/[^/]+/accept", free("openai.realtime.calls", charged_later=True)),
    route("POST", "realtime/calls/[^/]+/(?:hangup|refer|reject)", free("openai.realtime.calls")),
    route("POST", "organization/.*", free("openai.organization")),
    route("POST", "files", free("openai.files")),
    route("POST", "uploads(?:/.*)?", free("openai.uploads")),
    route("GET", "models(?:/.*)?", free("openai.models")),
)
