"""Claude Code's transcripts: `~/.claude/projects/**/*.jsonl`.

An answer is written once for each of its blocks while it streams, every time with the message's id and the usage so
far; the line with most output has all of it. So the lines of a message are put together, also where results of tools,
or other agents, have written between them. Sessions that were resumed or branched repeat messages of the one before:
the same message has the same event id.

A message is finished when it says why it stopped, when its agent has been answered or has gone on, or when nothing has
come for a while: some releases never say why an answer stopped, and the last one of a session is followed by nothing.

`input_tokens` leaves out what the cache read and wrote, as in every answer of Anthropic. Not every answer is one of
Anthropic: those of its clouds have ids of their own, and what stands behind a relay has another model. Some relays give
all their answers the same id, and no id to requests: then what read something else than the one before is another
answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, TypeAlias

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.extract import Reading, flavour_for
from taximeter.ingest.imports.cells import instant_us, known, nested, text, usd
from taximeter.ingest.imports.row import LeftOut, Options, Outcome, Row, RowError, Values, draft, import_id
from taximeter.ingest.otlp.emitters import UNKNOWN_PROVIDER, provider_of

MOST_UNFINISHED: Final = 256
"""Messages of a file to which lines may be added; the one that was there first is finished when there are more."""

QUIET_US: Final = 3_600_000_000
"""An answer whose latest line is older than this is not written to any more."""

_SYNTHETIC: Final = "<synthetic>"
_CLOUDS: Final = {"msg_bdrk_": "aws-bedrock", "msg_vrtx_": "google-vertex"}
"""How the ids of answers begin that Bedrock and Vertex gave."""

_Branch: TypeAlias = tuple[Any, Any]


class ClaudeCode:
    name = "claude-code"
    title = "Claude Code transcript"

    def recognises(self, values: Values) -> bool:
        message = values.get("message")
        told = values.get("type") in ("assistant", "user") and "sessionId" in values
        return told and isinstance(message, dict) and "parts" not in message

    def reader(self, options: Options) -> _Reader:
        return _Reader(options.now_us)


@dataclass(slots=True)
class _Message:
    """A message so far: its first line without what was said, and the usage of the line that told most. `declined`: no
    line of it has to be paid."""

    place: int
    first: Values
    started_at_us: int
    reading: Reading
    latest_us: int
    declined: bool
    finished: bool = False


class _Reader:
    def __init__(self, now_us: int) -> None:
        self._quiet_since_us = now_us - QUIET_US
        self._messages: dict[str, _Message] = {}
        self._read_answer = _answers()

    def read(self, row: Row) -> Iterator[Outcome]:
        message = nested(row.values, "message")
        kind = row.values.get("type")
        if kind != "assistant" or not nested(message, "usage"):
            if kind == "user":
                self._finish_in(_branch(row.values))
            return
        if message.get("model") == _SYNTHETIC:
            return
        key = text(message, "id") or text(row.values, "requestId", "uuid")
        if key is None:
            raise RowError("a message without an id")
        reading = self._read_answer(200, message)
        if not reading.usage.known:
            raise RowError("usage that cannot be read")
        if key in self._messages and _is_another(self._messages[key], row.values, reading):
            yield self._event_of(key, self._messages.pop(key))
        self._add(key, row, reading)
        self._messages[key].finished |= message.get("stop_reason") is not None
        if len(self._messages) > MOST_UNFINISHED:
            oldest = next(iter(self._messages))
            yield self._event_of(oldest, self._messages.pop(oldest))

    def finish(self) -> Iterator[Outcome]:
        """The last message may still be written to: what it will have cost in the end is not known yet."""
        for key, message in self._messages.items():
            if message.finished or message.latest_us < self._quiet_since_us:
                yield self._event_of(key, message)
            else:
                yield LeftOut(message.place, "an answer that is not finished: import it again later", wrong=False)
        self._messages.clear()

    def _add(self, key: str, row: Row, reading: Reading) -> None:
        """One more line of a message."""
        at_us = instant_us(row.values, "timestamp")
        message = self._messages.get(key)
        if message is None:
            self._finish_in(_branch(row.values))
            line = {name: value for name, value in row.values.items() if name != "message"}
            self._messages[key] = _Message(row.place, line, at_us, reading, at_us, reading.not_billed)
            return
        message.latest_us = max(message.latest_us, at_us)
        message.declined &= reading.not_billed
        if (reading.usage.output_tokens or 0) >= (message.reading.usage.output_tokens or 0):
            message.reading = reading

    def _finish_in(self, branch: _Branch) -> None:
        """What an agent said before it was answered, or said the next thing, is finished."""
        for message in reversed(self._messages.values()):
            if _branch(message.first) == branch:
                message.finished = True
                return

    def _event_of(self, key: str, message: _Message) -> Outcome:
        return draft(message.place, _event(key, message))


def _is_another(message: _Message, line: Values, reading: Reading) -> bool:
    """Whether a line with the id of a message is the beginning of another one."""
    if not message.finished or text(line, "requestId") or text(message.first, "requestId"):
        return False
    before, now = message.reading.usage.input_tokens, reading.usage.input_tokens
    return bool(before and now) and before != now


def _provider(message_id: str, model: str | None) -> str:
    """Who served a call: a cloud, the maker of another model, or Anthropic, whose protocol it is."""
    for beginning, cloud in _CLOUDS.items():
        if message_id.startswith(beginning):
            return cloud
    found = provider_of(None, None, model)
    return "anthropic" if found == UNKNOWN_PROVIDER else found


def _branch(values: Values) -> _Branch:
    return values.get("isSidechain") or False, values.get("agentId")


def _answers() -> Any:
    flavour = flavour_for("anthropic", "POST", "/v1/messages")
    assert flavour is not None
    return flavour.read_answer


def _event(key: str, message: _Message) -> UsageEvent:
    line, reading = message.first, message.reading
    folder = text(line, "cwd")
    return UsageEvent(
        event_id=import_id(message.started_at_us, "claude-code", key),
        started_at_us=message.started_at_us,
        source="import",
        status="ok",
        provider=_provider(key, reading.response_model),
        response_model=reading.response_model,
        operation="chat",
        service_tier=reading.service_tier,
        region=reading.region,
        request_id=text(line, "requestId"),
        response_id=reading.response_id,
        attribution=Attribution(
            session_id=text(line, "sessionId"),
            service="claude-code",
            service_version=text(line, "version"),
            tags=known(
                agent="claude-code",
                project=PurePath(folder).name if folder else None,
                git_branch=text(line, "gitBranch"),
                sidechain="true" if line.get("isSidechain") is True else None,
            ),
        ),
        usage=reading.usage,
        by_model=reading.by_model,
        usage_conflict=reading.usage_conflict,
        not_billed=message.declined,
        reported_cost_usd=usd(line, "costUSD"),
    )
