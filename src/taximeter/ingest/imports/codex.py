"""Codex's rollouts: `~/.codex/sessions/**/rollout-*.jsonl`.

`token_count` lines carry the sum of the session so far and the counts of the last call, and come again whenever a
rate limit moves. A call is what the sum has grown by; the first one of a file, and one after the sum has begun anew,
is told by its own counts. The model is the one of the turn. Cached input lies inside the input, reasoning inside the
output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Final, TypeAlias

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage, clamped
from taximeter.ingest.imports.cells import instant_us, known, nested, text, whole
from taximeter.ingest.imports.row import Options, Outcome, Row, Values, draft, import_id
from taximeter.ingest.otlp.emitters import provider_of

_LINES: Final = frozenset({"session_meta", "turn_context", "event_msg", "response_item", "compacted"})
_COUNTS: Final = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")

_Counts: TypeAlias = tuple[int, ...]
"""By `_COUNTS`."""


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
        self._sum: _Counts | None = None

    def read(self, row: Row) -> Iterator[Outcome]:
        payload = nested(row.values, "payload")
        kind = row.values.get("type")
        if kind == "session_meta":
            self._session = self._session or payload
        elif kind == "turn_context":
            self._turn = payload
        elif kind == "event_msg" and payload.get("type") == "token_count":
            info = nested(payload, "info")
            counts = self._grown_by(info)
            if any(counts):
                yield draft(row.place, self._event(row.values, info, counts))

    def finish(self) -> Iterable[Outcome]:
        return ()

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

    def _event(self, line: Values, info: Values, counts: _Counts) -> UsageEvent:
        started_at_us = instant_us(line, "timestamp")
        model = text(info, "model") or text(self._turn, "model") or text(self._session, "model")
        folder = text(self._turn, "cwd") or text(self._session, "cwd")
        usage, conflict = clamped(
            Usage(
                input_tokens=counts[0],
                cache_read_tokens=counts[1],
                output_tokens=counts[2],
                reasoning_tokens=counts[3],
            )
        )
        return UsageEvent(
            event_id=import_id(started_at_us, "codex", *(self._sum or ()), *counts),
            started_at_us=started_at_us,
            source="import",
            status="ok",
            provider=provider_of(text(self._session, "model_provider") or "openai", None, model),
            request_model=model,
            operation="chat",
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


def _counts(info: Values, name: str) -> _Counts | None:
    """Some of these may be absent in early releases; the input and the output never are."""
    said = nested(info, name)
    return tuple(whole(said, count) or 0 for count in _COUNTS) if said else None
