"""Codex's rollouts: `~/.codex/sessions/**/rollout-*.jsonl`.

`token_count` lines carry the sum of the session so far and the counts of the last call, and come again whenever a
rate limit moves. A call is what the sum has grown by; the first one of a file, and one after the sum has begun anew,
is told by its own counts. The model is the one of the turn. What the cache read and wrote lies inside the input,
reasoning inside the output.

What the provider's server is asked to compact is in no sum. Releases since 0.154 record it beside them, and then name
the answer that has taken the place of the history. It is a call, unless the sum grows by it after all.

The tier (`priority` is the Fast mode) is a setting of the session, told whenever its settings change: each time all of
them, and none where none is set. It is what was asked for; which one served a call stands nowhere.

A forked session, and that of a subagent, begins with a copy of its parent's lines, whose times are those of the fork.
What they count was counted in the parent: only the sums are taken from them. The copy ends where a turn begins that is
not older than the session. The id of a turn says when it began (UUIDv7), or its `started_at`; where neither is there,
the copy, which is written at once, ends with the first pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Final, TypeAlias

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.ids import unix_ms_of
from taximeter.core.usage import Usage, clamped
from taximeter.ingest.imports.cells import instant_us, known, maybe_instant_us, nested, text, whole
from taximeter.ingest.imports.row import LeftOut, Options, Outcome, Row, Values, draft, import_id
from taximeter.ingest.otlp.emitters import provider_of

_LINES: Final = frozenset({"session_meta", "turn_context", "event_msg", "response_item", "compacted"})
_COUNTS: Final = (
    ("input_tokens",),
    ("cached_input_tokens",),
    ("output_tokens",),
    ("reasoning_output_tokens",),
    ("cache_write_input_tokens", "cache_creation_input_tokens"),
)
_KNOWN_BY: Final = 4
"""A call is known by so many of its counts; later releases tell more of the same calls."""

_TURN_BEGINS: Final = ("task_started", "turn_started")
_SETTINGS: Final = "thread_settings_applied"
_RECORD: Final = "token_usage_record"
_COMPACTED: Final = "compacted"

_OWN_WORDS: Final = {"fast": "priority", "standard": "default"}

_Counts: TypeAlias = tuple[int, ...]
"""By `_COUNTS`."""

PAUSE_US: Final = 500_000
"""Between two lines of a copy there is less."""


class Codex:
    name = "codex"
    title = "Codex rollout"

    def recognises(self, values: Values) -> bool:
        kind = values.get("type")
        return isinstance(kind, str) and kind in _LINES and "payload" in values and "timestamp" in values

    def reader(self, _options: Options) -> _Reader:
        return _Reader()


class _Reader:
    def __init__(self) -> None:
        self._session: Values = {}
        self._turn: Values = {}
        self._settings: Values = {}
        self._sum: _Counts | None = None
        self._copy: _Copy | None = None
        self._recorded: Row | None = None
        self._compaction: tuple[_Counts, Outcome] | None = None

    def read(self, row: Row) -> Iterator[Outcome]:
        payload = nested(row.values, "payload")
        kind = row.values.get("type")
        if kind == "session_meta" and not self._session:
            self._session, self._copy = payload, _copy_in(row.values, payload)
        if self._copy is not None and self._copy.ends_at(row.values, payload):
            self._copy = None
        if kind == "turn_context":
            self._turn = payload
        elif kind == "event_msg" and payload.get("type") == _SETTINGS:
            self._settings = nested(payload, "thread_settings")
        elif kind == _RECORD:
            self._recorded = row
        elif kind == _COMPACTED:
            yield from self.finish()
            self._compaction = self._compacted_by(text(payload, "compaction_response_id"))
        elif kind == "event_msg" and payload.get("type") == "token_count":
            info = nested(payload, "info")
            counts = self._grown_by(info)
            if any(counts):
                yield from self._before(counts, _counts(info, "last_token_usage") or ())
                known_by = *(self._sum or ())[:_KNOWN_BY], *counts[:_KNOWN_BY]
                yield self._counted(row, info, counts, *known_by)

    def _counted(
        self, row: Row, info: Values, counts: _Counts, *known_by: object, answer: str | None = None
    ) -> Outcome:
        if self._copy is not None:
            return LeftOut(row.place, "a call of the session that this one was forked from", wrong=False)
        return draft(row.place, self._event(row.values, info, counts, known_by, answer))

    def _compacted_by(self, answer: str | None) -> tuple[_Counts, Outcome] | None:
        """The call of that answer, if it was the last that was recorded."""
        row = self._recorded
        record = {} if row is None else nested(row.values, "payload")
        counts = _counts(record, "usage")
        if row is None or answer is None or answer != text(record, "response_id") or not counts:
            return None
        return counts, self._counted(row, {}, counts, "compaction", answer, answer=answer)

    def _before(self, grown: _Counts, last: _Counts) -> Iterable[Outcome]:
        """The compaction before a call, unless what the sum has grown by holds it."""
        waiting, self._compaction = self._compaction, None
        if waiting is None:
            return ()
        with_it = tuple(map(sum, zip(waiting[0], last, strict=False)))
        return () if grown and grown in (waiting[0], with_it) else (waiting[1],)

    def finish(self) -> Iterable[Outcome]:
        return self._before((), ())

    def _grown_by(self, info: Values) -> _Counts:
        """What the last call added; nothing when the same is told again."""
        total, last = _counts(info, "total_token_usage"), _counts(info, "last_token_usage")
        before = self._sum
        if total is None:
            return last or ()
        if total == before:
            return ()
        self._sum = total
        if before is None or any(now < then for now, then in zip(total, before, strict=True)):
            return last if last is not None else total
        return tuple(now - then for now, then in zip(total, before, strict=True))

    def _event(
        self, line: Values, info: Values, counts: _Counts, known_by: tuple[object, ...], answer: str | None
    ) -> UsageEvent:
        started_at_us = instant_us(line, "timestamp")
        told = (info, self._turn, self._settings, self._session)
        model = next(filter(None, (text(one, "model") for one in told)), None)
        folder = text(self._turn, "cwd") or text(self._session, "cwd")
        usage, conflict = clamped(
            Usage(
                input_tokens=counts[0],
                cache_read_tokens=counts[1],
                output_tokens=counts[2],
                reasoning_tokens=counts[3],
                cache_write_5m_tokens=counts[4] or None,
            )
        )
        return UsageEvent(
            event_id=import_id(started_at_us, "codex", *known_by),
            started_at_us=started_at_us,
            source="import",
            status="ok",
            provider=provider_of(text(self._session, "model_provider") or "openai", None, model),
            request_model=model,
            operation="chat",
            service_tier=_tier(self._settings),
            response_id=answer,
            attribution=Attribution(
                session_id=text(self._session, "id"),
                service="codex",
                service_version=text(self._session, "cli_version"),
                tags=known(
                    agent="codex",
                    project=PurePath(folder).name if folder else None,
                    git_branch=text(nested(self._session, "git"), "branch"),
                ),
            ),
            usage=usage,
            usage_conflict=conflict,
        )


def _tier(settings: Values) -> str | None:
    """`default`, `priority` or `flex`; `fast` and `standard` are the app's words."""
    tier = text(settings, "service_tier")
    return _OWN_WORDS.get(tier or "", tier)


class _Copy:
    """The history of another session at the beginning of this one, which began at `since_us`."""

    def __init__(self, since_us: int) -> None:
        self._since_us = since_us
        self._latest_us: int | None = None
        self._turn_is_old = False

    def ends_at(self, line: Values, payload: Values) -> bool:
        """Whether this line is the session's own."""
        at_us, before_us = maybe_instant_us(line, "timestamp"), self._latest_us
        paused = at_us is not None and before_us is not None and at_us - before_us >= PAUSE_US
        self._latest_us = at_us or before_us
        if not _begins_turn(line, payload):
            return paused and not self._turn_is_old
        began_us = _turn_began_us(payload)
        if began_us is None:
            return paused
        self._turn_is_old = began_us < self._since_us
        return not self._turn_is_old


def _copy_in(line: Values, session: Values) -> _Copy | None:
    """None for a session that begins with nothing."""
    spawned = "thread_spawn" in nested(nested(session, "source"), "subagent")
    if not spawned and not text(session, "forked_from_id"):
        return None
    began_us = _us_of(text(session, "id")) or maybe_instant_us(session, "timestamp")
    return _Copy(began_us or instant_us(line, "timestamp"))


def _begins_turn(line: Values, payload: Values) -> bool:
    kind = line.get("type")
    return kind == "turn_context" or (kind == "event_msg" and payload.get("type") in _TURN_BEGINS)


def _turn_began_us(payload: Values) -> int | None:
    """Of a second the end: in doubt a turn is the session's own."""
    began_us = _us_of(text(payload, "turn_id"))
    if began_us is not None:
        return began_us
    second_us = maybe_instant_us(payload, "started_at")
    return None if second_us is None else second_us + 999_999


def _us_of(uuid: str | None) -> int | None:
    """When an id was made, to the millisecond; None for an id of another kind."""
    try:
        made_ms = unix_ms_of(uuid or "")
    except ValueError:
        return None
    return None if made_ms is None else made_ms * 1_000


def _counts(info: Values, name: str) -> _Counts | None:
    """Some of these may be absent in early releases; the input and the output never are."""
    said = nested(info, name)
    return tuple(whole(said, *names) or 0 for names in _COUNTS) if said else None
