"""Claude Code's transcripts: `~/.claude/projects/**/*.jsonl`.

An answer is written once for each of its blocks while it streams, every time with the message's id and the usage so
far; only the last has all of it. So the lines of a message are put together, and the message counts when something
else has followed it, or when it says why it stopped. Sessions that were resumed repeat messages of the one before:
the same message has the same event id.

`input_tokens` leaves out what the cache read and wrote, as in every answer of Anthropic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.extract import Reading, flavour_for
from taximeter.ingest.imports.cells import instant_us, known, nested, text, usd
from taximeter.ingest.imports.row import LeftOut, Options, Outcome, Row, RowError, Values, draft, import_id

MOST_UNFINISHED: Final = 256
"""Messages of a file that may go on; the oldest is taken for finished when there are more."""

_SYNTHETIC: Final = "<synthetic>"


class ClaudeCode:
    name = "claude-code"
    title = "Claude Code transcript"

    def recognises(self, values: Values) -> bool:
        return values.get("type") == "assistant" and isinstance(values.get("message"), dict) and "sessionId" in values

    def reader(self, _options: Options) -> _Reader:
        return _Reader()


@dataclass(slots=True)
class _Message:
    """A message so far: its first line, and the usage of the line that told most."""

    place: int
    first: Values
    started_at_us: int
    reading: Reading
    stopped: bool


class _Reader:
    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}
        self._read_answer = _answers()

    def read(self, row: Row) -> Iterator[Outcome]:
        message = nested(row.values, "message")
        if row.values.get("type") != "assistant" or not nested(message, "usage"):
            yield from self._settled(row)
            return
        if message.get("model") == _SYNTHETIC:
            return
        key = text(message, "id") or text(row.values, "requestId", "uuid")
        if key is None:
            raise RowError("a message without an id")
        reading = self._read_answer(200, message)
        if not reading.usage.known:
            raise RowError("usage that cannot be read")
        stopped = message.get("stop_reason") is not None
        known_one = self._messages.get(key)
        if known_one is None:
            yield from self._settled(row)
            self._messages[key] = _Message(row.place, row.values, instant_us(row.values, "timestamp"), reading, stopped)
        else:
            known_one.stopped = known_one.stopped or stopped
            if (reading.usage.output_tokens or 0) >= (known_one.reading.usage.output_tokens or 0):
                known_one.reading = reading

    def finish(self) -> Iterator[Outcome]:
        """The last message may still be written to: what it will have cost in the end is not known yet."""
        for key, message in self._messages.items():
            if message.stopped:
                yield draft(message.place, _event(key, message))
            else:
                yield LeftOut(message.place, "an answer that is not finished: import it again later", wrong=False)
        self._messages.clear()

    def _settled(self, row: Row) -> Iterator[Outcome]:
        """Something follows: what was said before is finished, except what runs beside it in another agent."""
        branch = _branch(row.values)
        done = [key for key, message in self._messages.items() if _branch(message.first) == branch]
        crowded = list(self._messages)[: max(len(self._messages) - MOST_UNFINISHED, 0)]
        for key in dict.fromkeys([*done, *crowded]):
            message = self._messages.pop(key)
            yield draft(message.place, _event(key, message))


def _branch(values: Values) -> tuple[Any, Any]:
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
        provider="anthropic",
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
        reported_cost_usd=usd(line, "costUSD"),
    )
