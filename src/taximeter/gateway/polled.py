"""Calls whose cost is told later: the answers of background responses, batches, runs and videos, fetched with GET, or
with a POST that is for nothing else.

Such an answer may be fetched any number of times, so its event has an id made of the provider and of what it tells
about (`Reading.usage_id`, or the answer's own id; in a file of results also the place of the line): each poll, before
and after a restart, is the same event, and the first one stays. What was counted already is not counted again:

- a response that was no background one, and a stored chat completion, told their usage in the answer to their POST
- what a POST or its stream told is remembered by its id (`MOST_COUNTED`, the oldest are forgotten first), and looked up
  in the store under the answer's id, where there is a store
- a batch and the file of its results tell the same: the one fetched first counts; what was stored before this process
  started is looked up in the store, where there is one

An answer that does not say what was asked for (`Flavour.begins_job`) is read with what this process remembers of that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from taximeter.core.event import UsageEvent
from taximeter.core.ids import derived_id, usage_event_id
from taximeter.extract import Flavour, Reading, StreamReader
from taximeter.gateway.heads import first
from taximeter.gateway.identities import in_time
from taximeter.gateway.tap import Inflater, UnreadableError, decode_json, inflater, read_json

if TYPE_CHECKING:
    from taximeter.gateway.tools import Tools
    from taximeter.gateway.upstream import Answer

MOST_COUNTED: Final = 65_536

FETCHED_AGAIN: Final = frozenset({"openai.responses", "openai.assistants.run", "gemini.interactions"})
"""Flavours of calls that can be fetched later and may have no other carrier: their ids are remembered."""

_TOLD_BY_POST: Final = frozenset({"openai.chat.retrieve"})
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_LEAST_OF_A_VIDEO: Final = 1_024
"""Characters of base64 one after the other in which nothing is said: no name is so long."""


def may_tell(flavour: Flavour) -> bool:
    """Whether answers of this flavour tell what nobody else tells."""
    return flavour.polled and flavour.name not in _TOLD_BY_POST


KnownAnswers = Callable[[str, str], bool]
"""Whether a call with usage is stored that a provider (the first) answered under an id (the second). It blocks, and is
called in a thread; it may raise TaximeterError."""


class Counted:
    """Ids of usages that have an event, by provider. `known_answers` None leaves out the question for what was stored
    before this process started."""

    def __init__(self, known_answers: KnownAnswers | None = None) -> None:
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._known_answers = known_answers

    def add(self, provider: str, usage_id: str) -> None:
        self._ids[provider, usage_id] = None
        if len(self._ids) > MOST_COUNTED:
            self._ids.popitem(last=False)

    def has(self, provider: str, usage_id: str) -> bool:
        return (provider, usage_id) in self._ids

    async def is_stored(self, provider: str, response_id: str | None) -> bool:
        """Whether the store has a call that told this answer's usage, such as the stream of its POST."""
        if self._known_answers is None or response_id is None:
            return False
        return await in_time(self._known_answers, provider, response_id) or False


class Poll:
    """One request that may tell what an earlier call cost. `known` is what the request says, as fields of an event."""

    def __init__(self, flavour: Flavour, target: str, known: dict[str, Any], limit_bytes: int) -> None:
        self.provider: str = known["provider"]
        self._flavour = flavour
        self._target = target
        self._known = known
        self._limit_bytes = limit_bytes
        self._reader: StreamReader | None = None
        self._unpack: Inflater | None = None
        self._body = bytearray()
        self._may_hold_videos = flavour.read_job is not None

    def begin(self, content_type: str, encoding: bytes | None) -> bool:
        """The answer is there. Always True; raises UnreadableError."""
        of_lines = self._flavour.several and "application/json" not in content_type
        if of_lines or self._flavour.streams(content_type):
            self._reader = self._flavour.stream(decode=decode_json)
        self._unpack = inflater(encoding, self._limit_bytes)
        return True

    def feed(self, chunk: bytes) -> bool:
        """Take in bytes of the answer. Always True; raises UnreadableError."""
        data = chunk if self._unpack is None else self._unpack.feed(chunk)
        if self._reader is None:
            self._keep(data)
            return True
        self._reader.feed(data)
        return True

    @property
    def finished(self) -> bool:
        """Whether a stream has said all that counts."""
        return self._reader is not None and not self._flavour.several and self._reader.finished

    def _keep(self, data: bytes) -> None:
        kept = without_videos(data) if self._may_hold_videos else data
        if self._unpack is not None:
            self._unpack.is_let_go(len(data) - len(kept))
        self._body += kept
        if len(self._body) > self._limit_bytes:
            raise UnreadableError("too large")

    def reading(self) -> Reading | None:
        """What the whole answer tells; None when that is nothing that counts. Raises UnreadableError."""
        if self._reader is not None:
            self._reader.end()
            told = self._reader.reading()
        else:
            told = self._flavour.read_answer(200, read_json(bytes(self._body), None, self._limit_bytes))
        if self._flavour.several:
            return told if told.items else None
        return told if self._flavour.tells(told) else None

    def usage_id(self, told: Reading) -> str:
        """Under which id this usage is told, here and elsewhere."""
        return told.usage_id or self._flavour.usage_id or told.response_id or self._target

    def event_ids(self, usage_id: str) -> tuple[str, str]:
        """The ids under which this usage is stored if it was counted before: as one, and as the first of several."""
        return usage_event_id(self.provider, usage_id), derived_id("usage", self.provider, usage_id, "0")

    def events(self, told: Reading) -> Iterator[UsageEvent]:
        """The events: one, or one for each item."""
        usage_id = self.usage_id(told)
        if not self._flavour.several:
            yield self._event(self.event_ids(usage_id)[0], told)
        for index, item in enumerate(told.items):
            yield self._event(derived_id("usage", self.provider, usage_id, str(index)), item)

    def _event(self, event_id: str, told: Reading) -> UsageEvent:
        return UsageEvent(
            event_id=event_id,
            source="gateway",
            status="ok" if told.error_type is None else "error",
            http_status=200,
            operation=self._flavour.operation,
            error_type=told.error_type,
            response_model=told.response_model,
            response_id=told.response_id,
            service_tier=told.service_tier,
            region=told.region,
            usage=told.usage,
            by_model=told.by_model,
            usage_estimated=told.usage_estimated,
            usage_conflict=told.usage_conflict,
            not_billed=told.not_billed,
            reported_cost_usd=told.reported_cost_usd,
            **self._known,
        )


def without_videos(data: bytes) -> bytes:
    """A part of an answer in JSON; of what is in it in base64 and long, a video of many megabytes, one letter."""
    return b'"'.join(
        b"A" if len(piece) >= _LEAST_OF_A_VIDEO and not piece.translate(None, _BASE64) else piece
        for piece in data.split(b'"')
    )


class PollReader:
    """Reads one answer along, and counts what it tells. Whatever is wrong with it, the answer goes on."""

    def __init__(self, tools: Tools, poll: Poll) -> None:
        self._tools = tools
        self._poll: Poll | None = poll

    def begin(self, answer: Answer) -> None:
        poll = self._poll
        if poll is None:
            return
        content_type = (first(answer.headers, b"content-type") or b"").decode("latin-1")
        encoding = first(answer.headers, b"content-encoding")
        whole = answer.status == 200  # of a part (206) the lines cannot be counted
        if not whole or not self._tools.guard("poll_unread", poll.begin, content_type, encoding):
            self._poll = None

    def feed(self, chunk: bytes) -> None:
        poll = self._poll
        if poll is not None and chunk and not self._tools.guard("poll_unread", poll.feed, chunk):
            self._poll = None

    @property
    def finished(self) -> bool:
        """Whether it can be counted before it is over."""
        return self._poll is not None and self._poll.finished

    async def count(self) -> None:
        """All was told: write the events of it, unless they were written before."""
        poll, guard, counted = self._poll, self._tools.guard, self._tools.counted
        self._poll = None
        told = None if poll is None else guard("poll_unread", poll.reading)
        if poll is None or told is None:
            return
        usage_id = poll.usage_id(told)
        if counted.has(poll.provider, usage_id):
            return
        stored = await self._tools.identities.stored(poll.event_ids(usage_id))
        if (
            stored
            or await counted.is_stored(poll.provider, told.response_id)
            or guard("event_unrecorded", self._write, poll, told)
        ):
            counted.add(poll.provider, usage_id)

    def _write(self, poll: Poll, told: Reading) -> bool:
        """Whether all of it was written; what was not is written when it is fetched again."""
        written = [self._tools.recorder.end(event) for event in poll.events(told)]
        for _ in range(written.count(False)):
            self._tools.guard.count("event_lost")
        return all(written)
