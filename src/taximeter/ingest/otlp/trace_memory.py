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
from taximeter.ingest.otlp.one_call import Facts, Matching, facts_of, same_on_a_line
from taximeter.ingest.otlp.span import TRACE_ID_BYTES, Span
from taximeter.ingest.wire import WireEvent

GRACE_SECONDS: Final = 60
"""How long an aggregate waits for calls below it."""

MOST_SPANS: Final = 200_000
"""Spans remembered, up to 180 MB; when they are more, the older half is forgotten."""

MEMORY_SECONDS: Final = 600
"""Spans are forgotten after this time, or up to twice of it."""

MOST_HELD: Final = 20_000
"""Spans held back; beyond it the oldest do not wait any longer."""

DEEPEST: Final = 64
"""Spans looked at on the way up a tree; also what ends a circle."""

MOST_BELOW: Final = 64
"""Calls remembered below one span, for comparison."""

Verdict: TypeAlias = Literal["counted", "aggregate", "held", "folded", "covered"]


class _Node(msgspec.Struct, gc=False):
    """A place in a tree. `parent` is None while the span itself has not come, b"" at a root."""

    parent: bytes | None = None
    lends: Mapping[str, Any] | None = None
    facts: Facts | None = None
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
    """What spans lead to: events to keep now, what is newly held, and the keys of what is held no longer.

    `waited`: of `ready`, those that were held. Should they not be kept, the same spans again do not lead to them.
    """

    ready: list[tuple[WireEvent, Any]] = field(default_factory=list)
    waited: list[tuple[WireEvent, Any]] = field(default_factory=list)
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
        self._matching = Matching(self._facts_at)
        self._held: dict[bytes, Held] = {}
        self._drafts: dict[bytes, Call] = {}
        self._folded: list[Call] = []
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
        self._drafts, self._folded = {}, []
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
        self._name_after_folded()
        taken.ready += [(self._event(call), caller) for call in self._drafts.values()]
        if taken.released:
            keys = set(taken.released)
            taken.waited += [one for key, one in zip(self._drafts, taken.ready, strict=True) if key in keys]
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
            self._folded.append(call)
            return
        if node.verdict in ("counted", "aggregate"):
            self._drafts[key] = call  # the same event id again
            return
        if is_aggregate:
            self._judge_aggregate(call, node, caller, now_us, taken)
            return
        self._take_over(call)
        before, node.facts = node.facts, facts_of(call)
        if before is not None:
            self._matching.leave_out(before)
            node.facts.line, node.facts.call, node.facts.scopes = before.line, before.call, before.scopes
        if self._fold(call, node, node.facts, taken):
            node.verdict = "folded"
            self._folded.append(call)
            self._release(key, taken)
            self._tell((key,), call.known, node.parent, taken)
        elif call.known or call.failed:
            self._release(key, taken)
            self._count(call, node, taken)
        else:
            self._hold(call, node, False, caller, now_us, taken)
            self._tell((key,), False, node.parent, taken)
        self._matching.note(node.facts)

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

    def _fold(self, call: Call, node: _Node, mine: Facts, taken: Taken) -> bool:
        """Whether a call needs no event of its own, because others have told of it."""
        if mine.call:
            return False  # it waits, for others as well, and has come again
        below = self._call_below(call, node, mine) if node.below else None
        if below is None and node.below and self._is_sum(mine, node.below):
            self.tally.folded += 1
            return True
        above = None
        for _, one in self._above(node.parent):
            if one.verdict == "aggregate" and (call.known or not call.failed):
                self.tally.folded += 1
                return True
            facts = one.facts
            if facts is None or facts is mine:
                continue
            if same_on_a_line(facts, mine) and self._is_on_line(mine, facts) and self._may_tell(facts, call):
                above = facts
                break
        if below is None and above is None:
            twin = self._matching.find_twin(mine)
            self.tally.twins += twin
            return twin
        return self._fold_on_line(call, mine, below, above, taken)

    def _fold_on_line(self, call: Call, mine: Facts, below: Facts | None, above: Facts | None, taken: Taken) -> bool:
        """As `_fold`, of a call that is the same as one below or above it. What waits there without usage gets it or
        gives way, unless another call, which was taken for the same one until now, has no other event."""
        waiting_above = self._without_usage(above) if above else None
        waiting_below = self._without_usage(below) if below else None
        outermost_first = [one for one in (waiting_above, waiting_below) if one is not None]
        if waiting_above is waiting_below:
            del outermost_first[1:]
        knows_first = call.known and (below is None or waiting_below is not None)
        more = self._matching.bind(mine, [one for one in (below, above) if one is not None])
        twin = False
        if knows_first and outermost_first and len(mine.call) == len(mine.line):
            twin = self._matching.find_twin(mine)
            more -= twin
        while more < 0 and outermost_first:  # more events than calls
            self._replace(outermost_first.pop(0), call, taken)
            more += 1
        if more == 0 and knows_first and outermost_first and not twin:
            innermost = outermost_first[-1]
            if innermost is waiting_below and innermost.call is not None:
                self._count_with_usage_of(call, mine, innermost.call, taken)
            else:
                self._replace(innermost, call, taken)
                return False
        self.tally.twins += twin
        self.tally.folded += more <= 0 and not twin
        return more <= 0

    def _call_below(self, call: Call, node: _Node, mine: Facts) -> Facts | None:
        """A span below that is this very call."""
        for key in node.below or ():
            facts = self._facts_at(key)
            if facts is None or facts is mine:
                continue
            if same_on_a_line(mine, facts) and self._is_on_line(mine, facts) and self._may_tell(facts, call):
                return facts
        return None

    def _may_tell(self, facts: Facts, call: Call) -> bool:
        """Whether no usage would be lost by folding a call into another: not where that has gone out without."""
        return not call.known or self._is_known(facts) or self._waiting(facts) is not None

    def _count_with_usage_of(self, outer: Call, known: Facts, waiting: Call, taken: Taken) -> None:
        """The inner span waits without usage, and here is the outer one with it."""
        self._release(waiting.span.key, taken)
        take_counts(waiting.event, outer.event)
        node = self._node(waiting.span.key)
        if node.facts is not None:
            self._matching.leave_out(node.facts)
            node.facts.known, node.facts.numbers, node.facts.twin_key = True, known.numbers, known.twin_key
            self._matching.note(node.facts)
        self._count(waiting, node, taken)

    def _replace(self, waiting: Held, call: Call, taken: Taken) -> None:
        """The outer span waits without usage, and here is the inner one with it."""
        if waiting.call is not None:
            _give(call, waiting.call)
        self._release(waiting.key, taken)
        self._node(waiting.key).verdict = "folded"
        self.tally.folded += 1

    def _waiting(self, facts: Facts) -> Held | None:
        """What waits for the usage of a call."""
        waiting = (self._held.get(one.key) for one in self._matching.spans_of(facts))
        return next((one for one in waiting if one is not None and not one.is_aggregate), None)

    def _without_usage(self, facts: Facts) -> Held | None:
        """What waits for the usage of a call that nobody has told of yet."""
        return None if self._is_known(facts) else self._waiting(facts)

    def _is_known(self, facts: Facts) -> bool:
        return facts.known or any(one.known for one in self._matching.spans_of(facts))

    def _is_on_line(self, mine: Facts, other: Facts) -> bool:
        """Whether a call is above or below all the spans that are one call with another that is."""
        return all(
            key == other.key or self._is_above(key, mine.key) or self._is_above(mine.key, key) for key in other.line
        )

    def _is_above(self, key: bytes, lower: bytes) -> bool:
        node = self._young.get(lower) or self._old.get(lower)
        return node is not None and any(above == key for above, _ in self._above(node.parent))

    def _is_sum(self, outer: Facts, below: Sequence[bytes]) -> bool:
        """Whether a span says nothing but the sum of the calls below it, each taken once."""
        inner = [facts for key in below if (facts := self._facts_at(key)) is not None]
        calls = {facts.call or (facts.key,): facts.numbers for facts in inner}
        if not outer.known or len(calls) < 2 or len(below) >= MOST_BELOW:
            return False
        inputs, outputs = (sum(numbers[side] or 0 for numbers in calls.values()) for side in (0, 1))
        return outer.numbers == (inputs, outputs)

    def _name_after_folded(self) -> None:
        """Give the calls of this request what those know that were folded into them."""
        for call in self._folded:
            facts = self._node(call.span.key).facts
            if facts is not None:
                drafts = (self._drafts.get(one.key) for one in self._matching.spans_of(facts))
                if (kept := next((one for one in drafts if one is not None), None)) is not None:
                    _give(kept, call)

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

    def _facts_at(self, key: bytes) -> Facts | None:
        node = self._young.get(key) or self._old.get(key)
        return node.facts if node is not None else None

    def _forget(self, now_us: int) -> None:
        full = len(self._young) >= self._half
        if full or now_us - self._young_since_us > MEMORY_SECONDS * 1_000_000:
            self._old, self._old_since_us = self._young, self._young_since_us
            self._young, self._young_since_us = {}, now_us
            self._matching.forget()


def _inner_first(call: Call) -> tuple[int, int]:
    return -call.span.start_ns, call.span.end_ns


def _give(to: Call, other: Call) -> None:
    """Names, user, parts of the counts, time to the first token and reported cost of a folded span, where the one that
    is kept has none."""
    fill(to.span.found, other.span.found, LENT | _GIVEN)
    take_parts(to, other)


_GIVEN: Final = frozenset({"response_id", "time_to_first_token_ms", "first_token_at", "service_tier", "reported_cost"})
