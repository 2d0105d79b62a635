"""Anthropic's messages dialect.

`input_tokens` leaves out what was read from or written to the cache; our input total is the sum of the three.
Thinking lies inside `output_tokens`.
"""

from __future__ import annotations

from typing import Any, Final

from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.extract.counts import believable, cache_apart, summed, units_in
from taximeter.extract.flavour import Flavour, error_type, free, route
from taximeter.extract.gist import NO_GIST, UsageText, quoted
from taximeter.extract.payload import Payload, characters, count, items, mapping, text, usd
from taximeter.extract.plain import NOT_PLAIN, Plain, is_count, told
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.skim import string_characters, string_end
from taximeter.extract.stream import StreamState

_SERVER_TOOLS: Final = {"web_search_requests": "web_searches", "web_fetch_requests": "web_fetches"}
_NO_REGION: Final = "not_available"

_REFUSAL: Final = "refusal"
_CHARGED_REFUSALS: Final = ("bio", "frontier_llm", "reasoning_extraction")
"""Categories of refusals that are charged for although nothing was written; all others are not.
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, as of September 2026."""
_FALLBACK: Final = "fallback"
_FALLBACK_TURN: Final = "fallback_message"

MOST_ITERATIONS: Final = 1_000
"""Inner turns of one message that are read."""


def read_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="chat",
        model=text(body.get("model")),
        stream=body.get("stream") is True,
        max_output_tokens=count(body.get("max_tokens")),
        input_characters=sum(characters(body[key]) for key in ("system", "messages", "tools") if key in body),
    )


FAST: Final = "fast"
"""The speed that has a price of its own, so that it is a tier to us."""


def read_answer(status: int, payload: object) -> Reading:
    error = error_type(status, payload)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, dict))
    if not isinstance(payload, dict):
        return NOTHING_READ
    refused = _refused_for_free(payload, wrote=any(map(_is_content, items(payload.get("content")))))
    return _reading(payload, mapping(payload.get("usage")), error, refused=refused, finished=True)


def _refused_for_free(ending: Payload, *, wrote: bool) -> bool:
    """Whether a message ends as a refusal that is not charged: its counts are told all the same."""
    if wrote or ending.get("stop_reason") != _REFUSAL:
        return False
    return mapping(ending.get("stop_details")).get("category") not in _CHARGED_REFUSALS


def _is_content(block: object) -> bool:
    """A block that only says where another model took over is nothing that was written."""
    return mapping(block).get("type") != _FALLBACK


def _reading(
    message: Payload, usage: Payload, error: str | None, *, refused: bool, finished: bool, written: int = 0
) -> Reading:
    model, cost_usd = text(message.get("model")), usd(usage.get("cost"))
    refused = refused and not cost_usd  # a host that names a price charges for it, whatever Anthropic does
    turns = [mapping(turn) for turn in items(usage.get("iterations"))[:MOST_ITERATIONS]]
    charged = _charged(turns, refused=refused)
    by_model, conflict = _usage_by_model(usage, charged or turns, model or "")
    total = NOTHING_COUNTED
    for share in by_model.values():
        total, odd = summed(total, share)
        conflict = conflict or odd
    region = text(usage.get("inference_geo"))
    return Reading(
        response_model=model,
        usage=total,
        usage_conflict=conflict,
        by_model=() if by_model.keys() <= {model or ""} else tuple(by_model.items()),
        not_billed=(refused and not charged) or (error is not None and not total.known),
        service_tier=FAST if usage.get("speed") == FAST else text(usage.get("service_tier")),
        region=None if region == _NO_REGION else region,
        response_id=text(message.get("id")),
        error_type=error,
        reported_cost_usd=cost_usd,
        finished=finished,
        output_characters=written or (0 if total.known else characters(message.get("content"))),
    )


_PLAIN_USAGE: Final = frozenset(
    {
        *("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "output_tokens"),
        *("service_tier", "server_tool_use", "inference_geo"),
    }
)


def read_plain_answer(message: Any) -> Plain | None:
    """The message of one model that called no tools of the provider, in no region that is named."""
    try:
        usage = message["usage"]
        if message.get("error") or message.get("stop_reason") == _REFUSAL or not usage.keys() <= _PLAIN_USAGE:
            return None
        if usage.get("server_tool_use") is not None or usage.get("inference_geo") not in (None, _NO_REGION):
            return None
        counts = _plain_counts(usage)
        if counts is None:
            return None
        return told(message, usage.get("service_tier"), (*counts,), (*counts.values(),))
    except NOT_PLAIN:
        return None


def message_gist(message: Any, body: str) -> str | None:
    try:
        usage = message["usage"]
        if type(usage["input_tokens"]) is not int or message.get("error") or "iterations" in usage:
            return None
        if message.get("stop_reason") == _REFUSAL:
            return None
        said = f'"id":{quoted(message["id"])},"model":{quoted(message["model"])}'
        return f'{{{said},"usage":{_message_usage(usage, body)}}}'
    except NO_GIST:
        return None


_message_usage: Final = UsageText().of


def _plain_counts(usage: dict[str, Any]) -> dict[str, int] | None:
    plain, output = usage.get("input_tokens"), usage.get("output_tokens")
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    if not is_count(plain) or not is_count(output) or not is_count(read) or not is_count(written):
        return None
    if not is_count(whole := plain + read + written):
        return None
    counts: dict[str, int] = {
        "input_tokens": whole,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": written,
        "output_tokens": output,
    }
    split = usage.get("cache_creation")
    if split is None:
        return counts
    hour = split.get("ephemeral_1h_input_tokens") if type(split) is dict else None
    if type(hour) is not int or not 0 <= hour <= written:
        return None
    if hour and hour != written and split.get("ephemeral_5m_input_tokens") == 0:
        return None
    counts["cache_write_5m_tokens"] -= hour
    counts["cache_write_1h_tokens"] = hour
    return counts


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def _charged(turns: list[Payload], *, refused: bool) -> list[Payload]:
    """The inner turns that are charged for. A model that declined before it wrote anything left the turn to the next
    one, and the last turn of all is the refusal where the message is one."""
    last = max((at for at, turn in enumerate(turns) if turn.get("type") == _FALLBACK_TURN), default=0)
    kept = [turn for at, turn in enumerate(turns) if at >= last or not _declined(turn)]
    return kept[:-1] if refused else kept


def _declined(turn: Payload) -> bool:
    return turn.get("type") == "message" and turn.get("output_tokens") == 0


def _usage_by_model(usage: Payload, turns: list[Payload], model: str) -> tuple[dict[str, Usage], bool]:
    """What each model used, the answering one first, and whether the numbers contradicted themselves.

    `iterations` lists the inner turns: those of an adviser belong to another model and are missing from the top
    level, as is a turn that compacted the conversation. Where the list is there, its sum is what was used.
    """
    if not usage:
        return {}, False
    shares: dict[str, dict[str, int | None]] = {model: {}}
    contradicts = False
    last = model
    for turn in turns or [usage]:
        counts, odd = _counts(turn)
        contradicts = contradicts or odd
        last = text(turn.get("model")) or model if turns else model
        _add_counts(shares.setdefault(last, {}), counts)
    # Thinking and server tools are told at the top level only; they are the answering model's, which its turns may
    # name in another way.
    if not shares[model]:
        del shares[model]
        model = last
    _tell_once(shares.setdefault(model, {}), "reasoning_tokens", _thinking(usage))
    units = units_in(usage.get("server_tool_use"), _SERVER_TOOLS)
    by_model: dict[str, Usage] = {}
    for name, counts in shares.items():
        share, odd = believable(counts, units if name == model else {})
        contradicts = contradicts or odd
        if share.known:
            by_model[name] = share
    return by_model, contradicts


def _counts(usage: Payload) -> tuple[dict[str, int | None], bool]:
    """One usage object under our names. Without a split by lifetime, writes to the cache live five minutes."""
    plain, read = count(usage.get("input_tokens")), count(usage.get("cache_read_input_tokens"))
    split = mapping(usage.get("cache_creation"))
    hour = count(split.get("ephemeral_1h_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    if written is None and split:
        written = (hour or 0) + (count(split.get("ephemeral_5m_input_tokens")) or 0)
    elif written is not None and hour and written > hour and split.get("ephemeral_5m_input_tokens") == 0:
        hour = written  # a stream splits only what its first turn wrote; its tools' turns write in the same way
    return cache_apart(plain, read, written, hour, count(usage.get("output_tokens")))


def _thinking(usage: Payload) -> int | None:
    return count(mapping(usage.get("output_tokens_details")).get("thinking_tokens"))


def _add_counts(into: dict[str, int | None], counts: dict[str, int | None]) -> None:
    for name, number in counts.items():
        if number is not None:
            into[name] = (into.get(name) or 0) + number


def _tell_once(counts: dict[str, int | None], name: str, number: int | None) -> None:
    if number is not None:
        counts[name] = number


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────

_DELTA: Final = b'{"type":"content_block_delta"'
_PASSED_OVER: Final = (b'{"type":"content_block_stop"', b'{"type":"ping"', b'{"type": "ping"')
_TEXTS: Final = (
    b'"type":"text_delta","text":"',
    b'"type":"input_json_delta","partial_json":"',
    b'"type":"thinking_delta","thinking":"',
)
_TEXT_KEYS: Final = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}


class MessageStream:
    """Events of a message: the start brings the input side, the delta near the end what it came to."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._message: Payload = {}
        self._usage: dict[str, object] = {}
        self._error: str | None = None
        self._characters = 0
        self._wrote = False
        self._refused = False
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes) -> bool:
        """Deltas of plain text are measured without decoding them."""
        if not data.startswith(_DELTA):
            return data.startswith(_PASSED_OVER)
        for shape in _TEXTS:
            start = data.find(shape)
            if start >= 0:
                start += len(shape)
                written = string_characters(data, start, string_end(data, start))
                self._write(written or 0)
                return written is not None
        return False

    def take(self, event: Payload) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._take_delta(mapping(event.get("delta")))
        elif kind == "message_start":
            message = mapping(event.get("message"))
            self._message = {"model": message.get("model"), "id": message.get("id")}
            self._take_usage(mapping(message.get("usage")))
        elif kind == "message_delta":
            self._take_usage(mapping(event.get("usage")))
            ending = mapping(event.get("delta"))
            if ending.get("stop_reason") is not None:
                self._refused = _refused_for_free(ending, wrote=self._wrote or self._characters > 0)
        elif kind == "content_block_start":
            self._take_block(mapping(event.get("content_block")))
        elif kind == "message_stop":
            self.finished = True
        elif kind == "error":
            self._error = error_type(200, event) or "error"

    def _take_block(self, block: Payload) -> None:
        """A block begins: of content, or of what another model goes on to write."""
        if _is_content(block):
            self._wrote = True
        elif (model := text(mapping(block.get("to")).get("model"))) is not None:
            self._message = {**self._message, "model": model}

    def _take_delta(self, delta: Payload) -> None:
        kind = delta.get("type")
        written = delta.get(_TEXT_KEYS.get(kind, "")) if isinstance(kind, str) else None
        self._write(len(written) if isinstance(written, str) else 0)

    def _take_usage(self, usage: Payload) -> None:
        """Counts are cumulative: the last value of each field is the one that counts. A zero that comes late says
        nothing: some compatible hosts write it at the end for what they said at the beginning."""
        told = {key: value for key, value in usage.items() if value or (value == 0 and key not in self._usage)}
        self._usage = {**self._usage, **told}

    def _write(self, characters_more: int) -> None:
        self._characters += characters_more
        if characters_more:
            self.content_started = True

    def reading(self) -> Reading:
        return _reading(
            self._message,
            self._usage,
            self._error,
            refused=self._refused,
            finished=self.finished,
            written=self._characters,
        )


def _stream(request: RequestFacts | None) -> StreamState:
    return MessageStream(request)


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

MESSAGES: Final = Flavour(
    name="anthropic.messages",
    operation="chat",
    read_request=read_request,
    read_body=read_answer,
    read_plain=read_plain_answer,
    gist=message_gist,
    open_stream=_stream,
)

_VERTEX: Final = "publishers/anthropic/models"

ROUTES: Final = (
    route("POST", f"{_VERTEX}/count-tokens:rawPredict", free("anthropic.count_tokens")),
    route("POST", f"{_VERTEX}/(?P<model>[^/:]+):(?:rawPredict|streamRawPredict)", MESSAGES),
    route("POST", "messages", MESSAGES),
    route("POST", "messages/count_tokens", free("anthropic.count_tokens")),
    route("POST", "messages/batches", free("anthropic.batches", charged_later=True)),
    route("GET", "models(?:/.*)?", free("anthropic.models")),
)
