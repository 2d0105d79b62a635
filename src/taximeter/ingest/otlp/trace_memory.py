"""Which spans are calls, decided per trace: each call once, whoever else repeats its numbers.

- A *call* counts at once. Not when it is the same call as one below or above it (a framework's span around the
  client library's): the inner one is kept, the outer one gives its names, and the two are folded.
- An *aggregate* (an agent's run with the sum of its calls) is held, and counts only if nothing below it does.
- A call that went well and names no usage is held as well: the span around it may know more.

What counted is never taken back. So a call that comes too late, below an aggregate that has counted, is folded
into that. All of this is remembered for a while and up to a number of spans; `settle` asks for what is older.

Nothing here has an effect outside: spans and the time go in, events and what to hold come out. The same spans again
(a sender that repeats a batch) lead to the same decisions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import msgspec

from taximeter.core.ids import LONGEST_CHANCE_ID
from taximeter.ingest.otlp.attributes import LENT, fill
from taximeter.ingest.otlp.calls import (
    Call,
    call_of,
    complete,
    complete_event,
    lent_by,
    role_of,
    take_counts,
    take_parts,
)
from taximeter.ingest.otlp.span import TRACE_ID_BYTES, Span
from taximeter.ingest.wire import WireEvent

GRACE_SECONDS: Final = 60
"""How long an aggregate waits for calls below it."""

MOST_SPANS: Final = 200_000
"""Spans remembered, about 130 MB; when they are more, the older half is forgotten."""

MEMORY_SECONDS: Final = 600
"""Spans are forgotten after this time, or up to twice of it."""

MOST_HELD: Final = 20_000
"""Spans held back; beyond it the oldest do not wait any longer."""

DEEPEST: Final = 64
"""Spans looked at on the way up a tree; also what ends a circle."""

MOST_BELOW: Final = 64
"""Calls remembered below one span, for comparison."""

MOST_TWINS: Final = 4
"""Calls with the same numbers that are remembered, for comparison."""

MOST_UNKNOWN_TWINS: Final = 16
"""The same for calls without numbers, which all look alike."""

LAZY_SCOPES: Final = frozenset({"openinference.instrumentation.llama_index"})
"""Scopes whose span of a stream ends when its generator is made, before anybody asks the provider."""

LATEST_START_SECONDS: Final = 10
"""How long after such a span the call itself may begin."""

_TwinKey: TypeAlias = tuple[Any, tuple[int | None, int | None]]
Verdict: TypeAlias = Literal["counted", "aggregate", "held", "folded", "covered"]


class _Facts(msgspec.Struct, gc=False):
    """What is remembered of a call, to recognise it in another span."""

    models: tuple[str, ...]
    numbers: tuple[int | None, int | None]
    raw_numbers: tuple[int | None, int | None]
    response_id: str | None
    start_ns: int
    end_ns: int
    known: bool
    failed: bool
    scope: str
    partner: bytes = b""
    """The span that it was folded with."""
    twins: tuple[str, ...] = ()
    """Scopes that have told of it from elsewhere in the tree."""


class _Node(msgspec.Struct, gc=False):
    """A place in a tree. `parent` is None while the span itself has not come, b"" at a root."""

    parent: bytes | None = None
    lends: Mapping[str, Any] | None = None
    facts: _Facts | None = None
    below: list[bytes] | None = None
    covered: bool = False
    verdict: Verdict | None = None


@dataclass(slots=True)
class Held:
    """A span that waits. `call` is None when it was read back after a restart. `caller` is whoever sent it."""

    key: bytes
    event: WireEvent
    until_us: int
    caller: Any
    call: Call | None = None
    is_aggregate: bool = True
    doubtful: bool = False
    """It is older than the memory: whether calls below it counted has to be asked elsewhere."""

    @property
    def trace_id(self) -> str:
        return self.key[:TRACE_ID_BYTES].hex()


@dataclass(slots=True)
class Taken:
    """What spans lead to: events to keep now, what is newly held, and the keys of what is held no longer."""

    ready: list[tuple[WireEvent, Any]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    released: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What became of spans, since the start."""

    calls: int = 0
    aggregates: int = 0
    folded: int = 0
    twins: int = 0
    covered: int = 0
    other: int = 0


class TraceMemory:
    """The spans of late, and what was decided about them."""

    def __init__(self, now_us: int, *, most_spans: int = MOST_SPANS, most_held: int = MOST_HELD) -> None:
        self._half = most_spans // 2
        self._most_held = most_held
        self._young: dict[bytes, _Node] = {}
        self._old: dict[bytes, _Node] = {}
        self._young_since_us = self._old_since_us = now_us
        self._young_twins: dict[_TwinKey, tuple[tuple[bytes, _Facts], ...]] = {}
        self._old_twins: dict[_TwinKey, tuple[tuple[bytes, _Facts], ...]] = {}
        self._held: dict[bytes, Held] = {}
        self._drafts: dict[bytes, Call] = {}
        self.tally = Tally()

    @property
    def held(self) -> int:
        """Spans that wait."""
        return len(self._held)

    def next_us(self) -> int | None:
        """When the first of those that wait is ripe."""
        return min((one.until_us for one in self._held.values()), default=None)

    # ── spans come in ─────────────────────────────────────────────────────────────────────────────────────────

    def take(self, spans: Sequence[Span], caller: Any, now_us: int) -> Taken:
        """Decide about spans that came together, from `caller`."""
        self._forget(now_us)
        taken = Taken()
        self._drafts = {}
        candidates: dict[bytes, Call] = {}
        aggregates: set[bytes] = set()
        for span in spans:
            if span.found.get("logfire_type") == "pending_span":
                continue
            role, operation = role_of(span)
            complete(span.found)
            self._plant(span, role == "call", taken)
            if role == "other":
                self.tally.other += 1
                continue
            call = call_of(span, operation)
            if role == "aggregate" and not call.known:
                self.tally.other += 1
                continue
            if span.key not in candidates or call.known:
                candidates[span.key] = call
            if role == "aggregate":
                aggregates.add(span.key)
        for call in sorted(candidates.values(), key=_inner_first):
            self._judge(call, call.span.key in aggregates, caller, now_us, taken)
        taken.ready += [(self._event(call), caller) for call in self._drafts.values()]
        return taken

    def take_details(self, spans: Sequence[Span], caller: Any, now_us: int) -> Taken:
        """Hold what log events say of calls, each under the key of its span: it counts if the span never comes."""
        taken = Taken()
        for span in spans:
            node = self._node(span.key)
            role, operation = role_of(span)
            if role == "other" or node.covered or node.verdict not in (None, "held"):
                continue
            complete(span.found)
            call = call_of(span, operation)
            call.tags["otlp_signal"] = "log"
            if call.known and span.key not in self._held:
                self._hold(call, node, True, caller, now_us, taken)
        return taken

    def resume(self, held: Iterable[Held]) -> None:
        """Wait on for what was held before a restart."""
        for one in held:
            one.doubtful = True
            self._held[one.key] = one
            self._node(one.key).verdict = "held"

    def _plant(self, span: Span, is_call: bool, taken: Taken) -> None:
        """Give a span its place in the tree, and what is known to be below it to the spans above."""
        node = self._node(span.key)
        was_known = node.parent is not None
        node.parent = span.parent_key
        lends = lent_by(span.found)
        if not span.parent_id and not is_call:
            lends["root_name"] = span.name
        if lends:
            node.lends = lends
        if not was_known and (node.below or node.covered):
            self._tell(node.below or (), node.covered, node.parent, taken)

    def _judge(self, call: Call, is_aggregate: bool, caller: Any, now_us: int, taken: Taken) -> None:
        key = call.span.key
        node = self._node(key)
        if node.verdict in ("folded", "covered"):
            kept = self._drafts.get(node.facts.partner) if node.facts else None
            if kept is not None:
                _give(kept, call)
            return
        if node.verdict in ("counted", "aggregate"):
            self._drafts[key] = call  # the same event id again
            return
        if is_aggregate:
            self._judge_aggregate(call, node, caller, now_us, taken)
            return
        self._take_over(call)
        node.facts = _facts_of(call)
        if self._fold_into_inner(call, node, taken) or self._fold_into_outer(call, node, taken):
            node.verdict = "folded"
            self.tally.folded += 1
            self._release(key, taken)
        elif _may_have_a_twin(call) and self._fold_into_twin(call, node.facts):
            node.verdict = "folded"
            self.tally.twins += 1
            self._release(key, taken)
            self._tell((key,), call.known, node.parent, taken)
        elif call.known or call.failed:
            self._release(key, taken)
            self._count(call, node, taken)
        else:
            self._hold(call, node, False, caller, now_us, taken)
            if call.models:
                self._note_for_twins(call, node.facts)
            self._tell((key,), False, node.parent, taken)

    def _judge_aggregate(self, call: Call, node: _Node, caller: Any, now_us: int, taken: Taken) -> None:
        if node.covered:
            node.verdict = "covered"
            self.tally.covered += 1
        else:
            self._hold(call, node, True, caller, now_us, taken)

    def _count(self, call: Call, node: _Node, taken: Taken) -> None:
        node.verdict = "counted"
        self.tally.calls += 1
        self._drafts[call.span.key] = call
        if node.facts is not None and _may_have_a_twin(call):
            self._note_for_twins(call, node.facts)
        if node.parent:
            self._tell((call.span.key,), call.known, node.parent, taken)

    def _cover(self, key: bytes, taken: Taken) -> None:
        """An aggregate that waits has got a call below it."""
        held = self._held.get(key)
        if held is not None and held.is_aggregate:
            self._release(key, taken)
            self._node(key).verdict = "covered"
            self.tally.covered += 1

    def _hold(self, call: Call, node: _Node, is_aggregate: bool, caller: Any, now_us: int, taken: Taken) -> None:
        node.verdict = "held"
        key = call.span.key
        if is_aggregate and "otlp_signal" not in call.tags:
            call.tags["otlp_aggregate"] = "only"
        doubtful = call.span.start_ns // 1000 < self._old_since_us
        until_us = now_us + GRACE_SECONDS * 1_000_000
        held = Held(key, self._event(call), until_us, caller, call, is_aggregate, doubtful)
        self._held[key] = held
        taken.held.append(held)

    def _release(self, key: bytes, taken: Taken) -> None:
        if self._held.pop(key, None) is not None:
            taken.released.append(key)

    # ── the same call in two spans ────────────────────────────────────────────────────────────────────────────

    def _take_over(self, call: Call) -> None:
        """What was held under its very key (a log event of the same call) may know the usage that it does not."""
        waiting = self._held.get(call.span.key)
        if waiting is not None and waiting.call is not None and waiting.call.known and not call.known:
            take_counts(call.event, waiting.call.event)

    def _fold_into_inner(self, call: Call, node: _Node, taken: Taken) -> bool:
        """Whether a span below is this very call. That one gets the names, and the usage if it lacks it."""
        mine = node.facts
        if mine is None or not node.below:
            return False
        inner = [(key, facts) for key in node.below if (facts := self._facts_at(key)) is not None]
        for key, facts in inner:
            if _same(mine, facts) and self._keep_inner(key, facts, call, taken):
                mine.partner = key
                return True
        return len(inner) > 1 and len(node.below) < MOST_BELOW and _sum_of(mine, [facts for _, facts in inner])

    def _keep_inner(self, key: bytes, facts: _Facts, call: Call, taken: Taken) -> bool:
        """Fold an outer call into the inner one at `key`. Not when the usage would be lost: when the outer one alone
        knows it and the inner one has gone out without."""
        draft = self._drafts.get(key)
        if call.known and not facts.known:
            waiting = self._held.get(key)
            self._release(key, taken)
            if waiting is None or waiting.call is None:
                return False
            draft = waiting.call
            take_counts(draft.event, call.event)
            facts.known = True
            self._count(draft, self._node(key), taken)
        if draft is not None:
            _give(draft, call)
        return True

    def _fold_into_outer(self, call: Call, node: _Node, taken: Taken) -> bool:
        """Whether a span above has counted as this very call, or as an aggregate that holds it."""
        if not node.parent:
            return False
        mine, path = node.facts, [b"", call.span.key]
        for key, above in self._above(node.parent):
            facts = above.facts
            if above.verdict == "aggregate":
                return call.known or not call.failed
            if mine is not None and facts is not None and facts.partner in path and _same(facts, mine):
                if above.verdict == "counted" and (facts.known or not call.known):
                    facts.partner, mine.partner = call.span.key, key
                    return True
                if above.verdict == "held" and call.known:
                    self._swap(key, above, call, taken)
            path.append(key)
        return False

    def _fold_into_twin(self, call: Call, mine: _Facts) -> bool:
        """Whether another instrumentation has told of this call, from a span that is neither above nor below."""
        number = _twin_key(call, mine)
        for key, other in (*self._young_twins.get(number, ()), *self._old_twins.get(number, ())):
            if _are_twins(mine, other) and key != call.span.key and mine.scope not in other.twins:
                other.twins = (*other.twins, mine.scope)
                mine.partner = key
                if key in self._drafts:
                    _give(self._drafts[key], call)
                return True
        return False

    def _note_for_twins(self, call: Call, facts: _Facts) -> None:
        number = _twin_key(call, facts)
        same, most = self._young_twins.get(number, ()), MOST_TWINS if facts.known else MOST_UNKNOWN_TWINS
        self._young_twins[number] = (*same[-most + 1 :], (call.span.key, facts))

    def _swap(self, key: bytes, above: _Node, call: Call, taken: Taken) -> None:
        """The outer span waits without usage, and here is the inner one with it."""
        waiting = self._held.get(key)
        if waiting is not None and waiting.call is not None:
            _give(call, waiting.call)
        self._release(key, taken)
        above.verdict = "folded"
        self.tally.folded += 1

    # ── what waited is ripe ───────────────────────────────────────────────────────────────────────────────────

    def ripe(self, now_us: int) -> list[Held]:
        """Those that have waited long enough, or are too many. `settle` decides about them."""
        too_many = len(self._held) - self._most_held
        return [one for place, one in enumerate(self._held.values()) if place < too_many or one.until_us <= now_us]

    def settle(self, ripe: Sequence[Held], traces_with_calls: Collection[str]) -> Taken:
        """What becomes of them. `traces_with_calls`: of the doubtful ones, the traces in which calls have counted."""
        taken = Taken()
        for one in ripe:
            if self._held.get(one.key) is not one:
                continue
            node = self._node(one.key)
            self._release(one.key, taken)
            if one.doubtful and one.is_aggregate and one.trace_id in traces_with_calls:
                node.verdict = "covered"
                self.tally.covered += 1
            elif not one.is_aggregate and self._has_aggregate_above(node):
                node.verdict = "folded"
                self.tally.folded += 1
            else:
                self._settle_alone(one, node, taken)
        return taken

    def _settle_alone(self, one: Held, node: _Node, taken: Taken) -> None:
        taken.ready.append((one.event, one.caller))
        node.verdict = "aggregate" if one.is_aggregate else "counted"
        if one.is_aggregate:
            self.tally.aggregates += 1
            self._tell((), True, node.parent, taken)
        else:
            self.tally.calls += 1

    def _has_aggregate_above(self, node: _Node) -> bool:
        return any(
            above.verdict == "aggregate" or ((held := self._held.get(key)) is not None and held.is_aggregate)
            for key, above in self._above(node.parent)
        )

    # ── the tree ──────────────────────────────────────────────────────────────────────────────────────────────

    def _event(self, call: Call) -> WireEvent:
        """The event of a call, with what spans above and the resource say where the call does not."""
        found = call.span.found
        root_name = None
        if call.span.parent_id:
            for _, above in self._above(call.span.parent_key):
                if above.lends:
                    fill(found, above.lends, LENT)
                    root_name = above.lends.get("root_name")
        fill(found, call.span.origin.shared)
        if "route" in found:
            found.setdefault("endpoint", found["route"])
        if root_name:
            found.setdefault("feature", root_name)
        return complete_event(call)

    def _above(self, parent: bytes | None) -> Iterator[tuple[bytes, _Node]]:
        """The known spans above, the nearest first."""
        for _ in range(DEEPEST):
            if not parent:
                return
            node = self._young.get(parent) or self._old.get(parent)
            if node is None:
                return
            yield parent, node
            parent = node.parent

    def _tell(self, keys: Iterable[bytes], covers: bool, parent: bytes | None, taken: Taken) -> None:
        """Tell the spans above of calls below them, as far up as the tree is known, and one that has yet to come.

        `covers`: there is usage in them, so that no aggregate above may count.
        """
        for _ in range(DEEPEST):
            if not parent:
                return
            node = self._node(parent)
            below = node.below if node.below is not None else []
            below += [key for key in keys if key not in below]
            node.below = below[-MOST_BELOW:] or None
            if covers:
                node.covered = True
                self._cover(parent, taken)
            parent = node.parent

    def _node(self, key: bytes) -> _Node:
        node = self._young.get(key)
        if node is None:
            node = self._young[key] = self._old.pop(key) if key in self._old else _Node()
        return node

    def _facts_at(self, key: bytes) -> _Facts | None:
        node = self._young.get(key) or self._old.get(key)
        return node.facts if node is not None else None

    def _forget(self, now_us: int) -> None:
        full = len(self._young) >= self._half
        if full or now_us - self._young_since_us > MEMORY_SECONDS * 1_000_000:
            self._old, self._old_since_us = self._young, self._young_since_us
            self._young, self._young_since_us = {}, now_us
            self._old_twins, self._young_twins = self._young_twins, {}


def _inner_first(call: Call) -> tuple[int, int]:
    return -call.span.start_ns, call.span.end_ns


def _facts_of(call: Call) -> _Facts:
    span, event = call.span, call.event
    return _Facts(
        call.models,
        (event.input_tokens, event.output_tokens),
        (span.found.get("input"), span.found.get("output")),
        span.found.get("response_id"),
        span.start_ns,
        span.end_ns,
        call.known,
        call.failed,
        span.origin.scope_name,
    )


def _same(outer: _Facts, inner: _Facts) -> bool:
    """Whether two spans, one inside the other, tell of one call: by its response id, else by model and numbers."""
    if inner.failed and not inner.known and outer.known:
        return False  # an attempt of its own, which the span around it has outlived
    if outer.response_id and outer.response_id == inner.response_id:
        return True
    if not _models_agree(outer.models, inner.models) or not _overlap(outer, inner):
        return False
    if not outer.known or not inner.known:
        return not (outer.known and inner.known)
    return outer.numbers == inner.numbers or outer.raw_numbers == inner.raw_numbers


def _models_agree(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """`gpt-4o` and `gpt-4o-2024-08-06` are one model; a span without a model agrees with any."""
    if not some or not others:
        return True
    return any(one.startswith(other) or other.startswith(one) for one in some for other in others)


def _overlap(outer: _Facts, inner: _Facts) -> bool:
    return outer.start_ns <= inner.end_ns and inner.start_ns <= outer.end_ns


def _twin_key(call: Call, facts: _Facts) -> _TwinKey:
    return call.span.origin.shared.get("service"), facts.numbers


def _may_have_a_twin(call: Call) -> bool:
    """Whether its numbers say enough to know it by: an output. Without any numbers, time and model have to do."""
    return bool(call.event.output_tokens) or (not call.known and bool(call.models))


def _are_twins(mine: _Facts, other: _Facts) -> bool:
    """Whether two calls with the same numbers, of one service but not one inside the other, are one: the same answer,
    or told by different instrumentations and the one within the time of the other."""
    if mine.response_id and other.response_id:
        same = mine.response_id == other.response_id and len(mine.response_id) > LONGEST_CHANCE_ID
    else:
        same = mine.scope != other.scope and (
            _within(mine, other) or _within(other, mine) or _streams_from(mine, other) or _streams_from(other, mine)
        )
    return same and mine.failed == other.failed and _models_agree(mine.models, other.models)


def _within(inner: _Facts, outer: _Facts) -> bool:
    return outer.start_ns <= inner.start_ns and inner.end_ns <= outer.end_ns


def _streams_from(client: _Facts, framework: _Facts) -> bool:
    """Whether a call may be the stream that a framework's span has made ready."""
    if framework.scope not in LAZY_SCOPES or client.start_ns < framework.start_ns:
        return False
    return client.start_ns - framework.end_ns <= LATEST_START_SECONDS * 1_000_000_000


def _sum_of(outer: _Facts, inner: Sequence[_Facts]) -> bool:
    """Whether a span says nothing but the sum of the calls below it."""
    inputs, outputs = (sum(facts.numbers[side] or 0 for facts in inner) for side in (0, 1))
    return outer.known and outer.numbers == (inputs, outputs)


def _give(to: Call, other: Call) -> None:
    """Names, user, parts of the counts, time to the first token and reported cost of a folded span, where the one that
    is kept has none."""
    fill(to.span.found, other.span.found, LENT | _GIVEN)
    take_parts(to, other)


_GIVEN: Final = frozenset({"response_id", "time_to_first_token_ms", "first_token_at", "service_tier", "reported_cost"})
