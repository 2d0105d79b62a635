"""Langfuse: observations, exported from its page (CSV, JSON), to blob storage (CSV, JSON, JSON lines), or answered by
its API. Generations and embeddings are calls; spans, events and traces are not.

Agents, tools, chains, retrievers, evaluators and guardrails may have a model and usage as well
(`GenerationLikeObservationTypes` of Langfuse). Some instrumentations give an agent the sum of the calls below it, so
one of these is a call when nothing below it has usage. Whether it has is known after the last file, since exports are
cut by the time at which an observation began, and only where they say what lies below what.

`usageDetails` has free keys that exclude each other and add up, as over OTLP.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.ingest.imports.cells import (
    between_ms,
    instant_us,
    known,
    listed,
    maybe_instant_us,
    nested,
    text,
    usd,
    whole,
)
from taximeter.ingest.imports.row import (
    AcrossFiles,
    Draft,
    LeftOut,
    Options,
    Outcome,
    Row,
    RowError,
    Skipped,
    Values,
    draft,
    import_id,
)
from taximeter.ingest.otlp.calls import usage_of
from taximeter.ingest.otlp.emitters import provider_of

_CALLS: Final = {"generation": "chat", "embedding": "embeddings"}
_MAYBE_CALLS: Final = frozenset({"agent", "tool", "chain", "retriever", "evaluator", "guardrail"})
_PARENTS: Final = ("parentObservationId", "parent_observation_id")

MOST_REMEMBERED: Final = 200_000
"""Observations whose place below others is remembered; of more, the earlier half is forgotten."""


class Langfuse(AcrossFiles):
    name = "langfuse"
    title = "Langfuse observations"

    def recognises(self, values: Values) -> bool:
        starts = "startTime" in values or "start_time" in values
        traced = "traceId" in values or "trace_id" in values
        return starts and traced and "type" in values and "id" in values

    def reader(self, _options: Options) -> _Reader:
        return _Reader()


class _Reader:
    """`_parents`: observation → the one above it. `_held`: what is a call unless something below it is one."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._with_usage: dict[int, None] = {}
        self._held: dict[int, Draft] = {}

    def read(self, row: Row) -> Iterator[Outcome]:
        kind = _kind(row.values)
        own = hash(text(row.values, "id"))
        parent = text(row.values, *_PARENTS)
        if parent is not None:
            self._parents[own] = hash(parent)
        if max(len(self._parents), len(self._with_usage)) > MOST_REMEMBERED:
            yield from self._sums()
            self._forget()
        if kind not in _CALLS and not _may_be_call(kind, row.values):
            raise Skipped(f"an observation of the type {kind or 'unknown'} is no call of a model")
        made = draft(row.place, event_of(row.values))
        if kind in _CALLS:
            if _has_usage(row.values):
                self._with_usage[own] = None
            yield made
            return
        self._held[own] = made
        if len(self._held) > MOST_REMEMBERED:
            yield from self.finish()

    def finish(self) -> Iterator[Outcome]:
        yield from self._sums()
        yield from self._held.values()
        self._held = {}

    def _sums(self) -> Iterator[Outcome]:
        """What is held and turned out to be no call."""
        above = {one for known in (self._with_usage, self._held) for own in known for one in self._above(own)}
        for own in [own for own in self._held if own in above]:
            place = self._held.pop(own).place
            yield LeftOut(place, "an observation whose usage is that of the calls below it", wrong=False)

    def _forget(self) -> None:
        """The earlier half, at once: what it tells of those above is looked up before."""
        for remembered in (self._parents, self._with_usage):
            for own in [*remembered][: max(0, len(remembered) - MOST_REMEMBERED // 2)]:
                del remembered[own]

    def _above(self, own: int) -> Iterator[int]:
        seen = {own}
        while (own := self._parents.get(own, own)) not in seen:
            seen.add(own)
            yield own


def _kind(values: Values) -> str:
    return (text(values, "type") or "").lower()


def _model(values: Values) -> str | None:
    return text(values, "model", "providedModelName", "provided_model_name", "providedModel", "modelName")


def _may_be_call(kind: str, values: Values) -> bool:
    placed = any(name in values for name in _PARENTS)
    return kind in _MAYBE_CALLS and placed and _model(values) is not None and _has_usage(values)


def _has_usage(values: Values) -> bool:
    found = _found(values)
    return any(found.get("langfuse_usage", found).values())


def event_of(values: Values) -> UsageEvent:
    observation = text(values, "id")
    if observation is None:
        raise RowError("id is missing")
    start_us = instant_us(values, "startTime", "start_time")
    end_us = maybe_instant_us(values, "endTime", "end_time")
    first_us = maybe_instant_us(values, "completionStartTime", "completion_start_time")
    model = _model(values)
    provider = provider_of(None, None, model)
    tags: dict[str, str] = {}
    usage, conflict = usage_of(_found(values), "langfuse.keys", provider, model, tags)
    failed = text(values, "level") == "ERROR"
    return UsageEvent(
        event_id=import_id(start_us, "langfuse", observation),
        started_at_us=start_us,
        source="import",
        status="error" if failed else "ok",
        provider=provider,
        request_model=model,
        operation=_CALLS.get(_kind(values), "chat"),
        duration_ms=between_ms(start_us, end_us),
        time_to_first_token_ms=None if first_us is None else between_ms(start_us, first_us),
        error_type="error" if failed else None,
        trace_id=_hex(text(values, "traceId", "trace_id"), 32),
        span_id=_hex(observation, 16),
        attribution=Attribution(
            user_id=text(values, "userId", "user_id"),
            session_id=text(values, "sessionId", "session_id"),
            feature=text(values, "traceName", "trace_name"),
            environment=text(values, "environment"),
            service_version=text(values, "release"),
            prompt_version=_prompt(values),
            tags=tags | dict.fromkeys(listed(values, "tags", "traceTags", "trace_tags"), "true") | _named(values),
        ),
        usage=usage,
        usage_conflict=conflict,
        not_billed=failed and not usage.known,
        reported_cost_usd=_cost(values),
    )


def _named(values: Values) -> dict[str, str]:
    return known(observation=text(values, "name"))


def _found(values: Values) -> dict[str, Any]:
    """The counts under the names that the rules of OTLP know."""
    details = nested(values, "usageDetails", "usage_details", "usage")
    if details:
        return {"langfuse_usage": dict(details)}
    counts = {
        "input": whole(values, "inputUsage", "promptTokens", "inputTokens", "input_tokens"),
        "output": whole(values, "outputUsage", "completionTokens", "outputTokens", "output_tokens"),
    }
    return {name: value for name, value in counts.items() if value is not None}


def _cost(values: Values) -> Any:
    total = usd(nested(values, "costDetails", "cost_details"), "total")
    return total if total is not None else usd(values, "calculatedTotalCost", "totalCost", "total_cost")


def _prompt(values: Values) -> str | None:
    name, version = text(values, "promptName", "prompt_name"), text(values, "promptVersion", "prompt_version")
    return f"{name}@{version}" if name and version else name


def _hex(written: str | None, digits: int) -> str | None:
    """An id when it is one of W3C's."""
    whole_id = written is not None and len(written) == digits and all(c in "0123456789abcdef" for c in written)
    return written if whole_id else None
