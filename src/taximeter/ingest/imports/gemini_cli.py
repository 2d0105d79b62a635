"""Sessions of Gemini CLI (`~/.gemini/tmp/*/chats/`) and of Qwen Code, which came of it (`~/.qwen/projects/*/chats/`).

Gemini CLI keeps a session as one document or, since 2026, as lines: what the session is, its messages, and what was
changed of them. A message comes again whenever something is added to it, and a checkpoint (`$set`) has all of them
once more: of each the latest that tells of tokens counts. What was taken back (`$rewindTo`) was answered all the same.

Counts are those of Google: input holds what the cache read, thoughts lie beside the output, and what tools gave beside
the input. Qwen Code has the counts of other makers under the same names; its total says where thoughts lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage
from taximeter.ingest.imports.cells import first, instant_us, known, nested, text, whole
from taximeter.ingest.imports.row import (
    Draft,
    LeftOut,
    Options,
    Outcome,
    Row,
    RowError,
    Values,
    draft,
    import_id,
)
from taximeter.ingest.otlp.calls import usage_of
from taximeter.ingest.otlp.emitters import provider_of

GEMINI: Final = "gemini-cli"
QWEN: Final = "qwen-code"

MOST_OPEN: Final = 1_000
"""Messages of a session that may come again; the one that was there first is finished when there are more."""

_ANSWER: Final = "gemini"
_CHANGED: Final = "$set"


class GeminiCli:
    name = "gemini-cli"
    title = "session of Gemini CLI or Qwen Code"

    def recognises(self, values: Values) -> bool:
        return {"sessionId", "projectHash"} <= values.keys() or _is_qwens(values)

    def reader(self, _options: Options) -> _Reader:
        return _Reader()


class _Reader:
    def __init__(self) -> None:
        self._session: Values = {}
        self._open: dict[str, Draft] = {}

    def read(self, row: Row) -> Iterator[Outcome]:
        values = row.values
        if _is_qwens(values):
            yield draft(row.place, _of_qwen(values))
            return
        if "projectHash" in values:
            self._session = {name: value for name, value in values.items() if name != "messages"}
        for message in self._messages(values):
            try:
                self._take(row.place, message)
            except RowError as error:
                yield LeftOut(row.place, str(error))
        while len(self._open) > MOST_OPEN:
            yield self._open.pop(next(iter(self._open)))

    def finish(self) -> Iterable[Outcome]:
        return self._open.values()

    def _messages(self, values: Values) -> list[Values]:
        """Those that a row has, or the one that it is."""
        several = first(nested(values, _CHANGED), "messages") or values.get("messages")
        found = several if isinstance(several, list) else [values]
        return [one for one in found if isinstance(one, Mapping) and one.get("type") == _ANSWER and one.get("tokens")]

    def _take(self, place: int, message: Values) -> None:
        identity = text(message, "id")
        if identity is None:
            raise RowError("a message without an id")
        self._open[identity] = draft(place, _of_gemini(identity, message, self._session))


def _is_qwens(values: Values) -> bool:
    counted = isinstance(values.get("usageMetadata"), Mapping)
    return counted and values.get("type") == "assistant" and "sessionId" in values


def _of_gemini(identity: str, message: Values, session: Values) -> UsageEvent:
    tokens = nested(message, "tokens")
    counts = {
        "input": _sum(whole(tokens, "input"), whole(tokens, "tool")),
        "output": whole(tokens, "output"),
        "total": whole(tokens, "total"),
        "cache_read": whole(tokens, "cached"),
        "reasoning": whole(tokens, "thoughts"),
    }
    return _event(GEMINI, identity, message, counts, {"kind": text(session, "kind")}, text(session, "sessionId"))


def _of_qwen(line: Values) -> UsageEvent:
    tokens = nested(line, "usageMetadata")
    counts = {
        "input": whole(tokens, "promptTokenCount"),
        "output": whole(tokens, "candidatesTokenCount"),
        "total": whole(tokens, "totalTokenCount"),
        "cache_read": whole(tokens, "cachedContentTokenCount"),
        "reasoning": whole(tokens, "thoughtsTokenCount"),
    }
    identity = text(line, "uuid")
    if identity is None:
        raise RowError("an answer without an id")
    folder = text(line, "cwd")
    more = {"project": PurePath(folder).name if folder else None, "git_branch": text(line, "gitBranch")}
    return _event(QWEN, identity, line, counts, more, text(line, "sessionId"))


def _event(
    agent: str,
    identity: str,
    line: Values,
    counts: Mapping[str, int | None],
    more: Mapping[str, str | None],
    session: str | None,
) -> UsageEvent:
    started_at_us = instant_us(line, "timestamp")
    model = text(line, "model")
    provider = provider_of(None, None, model)
    tags: dict[str, str] = known(agent=agent, **more)
    usage, conflict = _usage(agent, counts, provider, model, tags)
    return UsageEvent(
        event_id=import_id(started_at_us, agent, identity),
        started_at_us=started_at_us,
        source="import",
        status="ok",
        provider=provider,
        response_model=model,
        operation="chat",
        attribution=Attribution(session_id=session, service=agent, service_version=text(line, "version"), tags=tags),
        usage=usage,
        usage_conflict=conflict,
    )


def _usage(
    agent: str, counts: Mapping[str, int | None], provider: str, model: str | None, tags: dict[str, Any]
) -> tuple[Usage, bool]:
    found: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    return usage_of(found, agent, provider, model, tags)


def _sum(*counts: int | None) -> int | None:
    said = [count for count in counts if count is not None]
    return sum(said) if said else None
