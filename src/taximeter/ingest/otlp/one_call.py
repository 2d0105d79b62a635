"""Which spans tell of one call: those on one line of a tree, and those that another instrumentation told apart from it.

A call is told by *lines*: spans one above the other that say the same. Two lines of different instrumentations may be
one call as well (*twins*). What speaks for that, the same numbers and the one within the time of the other, often
speaks for several: of ten equal calls at a time, any client's span lies within several frameworks' spans. So lines are
not given to the first that fits. They are matched one to one, and those matched before change places where that makes
room for one more: between two instrumentations the number of calls is the least that the spans can tell of, and the
same in whatever order they come. Where both tell of all calls, that is the number of real ones, whoever was taken for
whose twin.

A tree is proof and numbers are not: where the two contradict, a twin gives way and looks for another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from taximeter.core.ids import LONGEST_CHANCE_ID
from taximeter.ingest.otlp.calls import Call
from taximeter.ingest.otlp.span import TRACE_ID_BYTES

MOST_TWINS: Final = 64
"""Calls of one instrumentation with the same numbers that are remembered, for comparison."""

MOST_UNKNOWN_COMPARED: Final = 4
"""Of those without numbers, which all look alike, the ones compared with: so many that began next before, and after."""

MOST_MOVES: Final = 24
"""Spans that may be asked to change places for one more."""

LAZY_SCOPES: Final = frozenset({"openinference.instrumentation.llama_index"})
"""Scopes whose span of a stream ends when its generator is made, before anybody asks the provider."""

LATEST_START_SECONDS: Final = 10
"""How long after such a span the call itself may begin."""

TwinKey: TypeAlias = tuple[Any, bool, int | None, int | None]
"""The service, whether it failed, and the counts of input and output."""


class Facts(msgspec.Struct, gc=False):
    """What is remembered of a call's span, to recognise the call in another. It refers to others by their keys."""

    key: bytes
    models: tuple[str, ...]
    numbers: tuple[int | None, int | None]
    raw_numbers: tuple[int | None, int | None]
    response_id: str | None
    start_ns: int
    end_ns: int
    known: bool
    failed: bool
    scope: str
    twin_key: TwinKey | None
    """What its twins have in common with it; None when it says too little to have any."""
    line: tuple[bytes, ...] = ()
    """The spans of this call that are above and below each other, this one among them; empty when it is alone."""
    call: tuple[bytes, ...] = ()
    """All spans of this call, likewise."""
    scopes: tuple[str, ...] = ()
    """Their scopes; empty when it is alone."""


def facts_of(call: Call) -> Facts:
    span, event = call.span, call.event
    numbers = event.input_tokens, event.output_tokens
    may_have_twins = bool(event.output_tokens) or (not call.known and bool(call.models))
    return Facts(
        span.key,
        call.models,
        numbers,
        (span.found.get("input"), span.found.get("output")),
        span.found.get("response_id"),
        span.start_ns,
        span.end_ns,
        call.known,
        call.failed,
        span.origin.scope_name,
        (span.origin.shared.get("service"), call.failed, *numbers) if may_have_twins else None,
    )


class Matching:
    """Spans matched to calls. `facts_at` says what is remembered of a span."""

    def __init__(self, facts_at: Callable[[bytes], Facts | None]) -> None:
        self._facts_at = facts_at
        self._young: dict[TwinKey, tuple[tuple[Facts, ...], ...]] = {}
        self._old: dict[TwinKey, tuple[tuple[Facts, ...], ...]] = {}

    def note(self, facts: Facts) -> None:
        """Remember a span for later ones to be compared with: together with others of its scope."""
        number = facts.twin_key
        if number is None:
            return
        noted = self._young.get(number)
        if noted is None:
            self._young[number] = ((facts,),)
            return
        own: tuple[Facts, ...] = ()
        others = []
        for of_scope in noted:
            if of_scope[0].scope == facts.scope:
                own = of_scope
            else:
                others.append(of_scope)
        self._young[number] = (*others, _with(facts, own))

    def forget(self) -> None:
        """Forget what was noted before the last time."""
        self._old, self._young = self._young, {}

    def spans_of(self, facts: Facts) -> Sequence[Facts]:
        """All spans of a call that are still remembered."""
        return self._all(facts.call) if facts.call else (facts,)

    def find_twin(self, facts: Facts) -> bool:
        """Make a span, with its line, one of a call that another instrumentation has told of, if one lacks it."""
        return self._seat(self._all(facts.line) if facts.line else (facts,), {facts.key, *facts.call})

    def bind(self, facts: Facts, others: Sequence[Facts]) -> int:
        """Make spans that are above or below each other one line; by how many calls there are more of now. `others`
        are those that came before, of one or two lines."""
        calls = {other.call or (other.key,) for other in others}
        line = [facts, *self._all(dict.fromkeys(key for other in others for key in other.line or (other.key,)))]
        together, separated = list(line), []
        for twins in self._lines(key for call in calls for key in call if all(one.key != key for one in line)):
            if any(_compete(one, other) for one in twins for other in together):
                separated.append(twins)
            else:
                together += twins
        for one in line:
            one.line = tuple(each.key for each in line)
        _join(together)
        for twins in separated:
            _join(twins)
        alone = sum(not self._seat(twins, {one.key for one in twins}) for twins in separated)
        return 1 + alone - len(calls)

    def _seat(self, line: Sequence[Facts], asked: set[bytes]) -> bool:
        """Give a line a place in a call that others tell of and that lacks it. `asked`: who has been asked already."""
        others = [(one, of_scope) for one in line for of_scope in self._noted(one)]
        scopes = {one.scope for one in line}
        with_room = [(one, _to_compare(one, _lacking(scopes, of_scope))) for one, of_scope in others]
        if not any(room for _, room in with_room):
            return False
        for other in self._likely(with_room, asked):
            if all(_fit(line, each) for each in self._lines(other.call or (other.key,))):
                _join([*line, *self._all(other.call or (other.key,))])
                return True
        if len({of_scope[0].scope for _, of_scope in others}) > 1:
            return False  # of three instrumentations, whoever is nearest has to do
        for other in self._likely(others, asked):
            lines = list(self._lines(other.call))
            asked.update(other.call)
            in_the_way = [each for each in lines if not _fit(line, each)]
            if len(lines) == 1 or len(in_the_way) != 1 or len(asked) > MOST_MOVES:
                continue
            staying = [one for each in lines if each is not in_the_way[0] for one in each]
            _join(in_the_way[0])
            _join(staying)
            if self._seat(in_the_way[0], asked):
                _join([*line, *staying])
                return True
            _join([*in_the_way[0], *staying])
        return False

    def _likely(self, others: Iterable[tuple[Facts, Sequence[Facts]]], asked: set[bytes]) -> list[Facts]:
        """A span of each call that may be that of another, of those noted with it, the likeliest first: those of the
        same trace, and those that begin and end nearest."""
        found = [
            (one.key[:TRACE_ID_BYTES] != other.key[:TRACE_ID_BYTES], _distance_ns(one, other), other)
            for one, noted in others
            if noted
            for other in _about_the_time_of(one, noted)
            if other.key not in asked and _are_twins(one, other) and self._facts_at(other.key) is other
        ]
        if len(found) > 1:
            found.sort(key=_by_likeliness)
            return list({other.call or (other.key,): other for _, _, other in reversed(found)}.values())[::-1]
        return [other for _, _, other in found]

    def _noted(self, facts: Facts) -> Iterator[Sequence[Facts]]:
        """Calls with the same numbers, by the other instrumentations that have told of them."""
        if facts.twin_key is None:
            return
        for noted in (self._young.get(facts.twin_key, ()), self._old.get(facts.twin_key, ())):
            for of_scope in noted:
                if of_scope[0].scope != facts.scope:
                    yield of_scope

    def _lines(self, keys: Iterable[bytes]) -> Iterable[list[Facts]]:
        """Spans by the lines that they are of."""
        lines: dict[tuple[bytes, ...], list[Facts]] = {}
        for one in self._all(keys):
            lines.setdefault(one.line or (one.key,), []).append(one)
        return lines.values()

    def _all(self, keys: Iterable[bytes]) -> list[Facts]:
        return [facts for key in keys if (facts := self._facts_at(key)) is not None]


def _join(spans: Sequence[Facts]) -> None:
    """Make spans those of one call."""
    alone = len(spans) == 1
    call = () if alone else tuple(one.key for one in spans)
    scopes = () if alone else tuple({one.scope for one in spans})
    for one in spans:
        one.call, one.scopes = call, scopes


def _with(facts: Facts, own: tuple[Facts, ...]) -> tuple[Facts, ...]:
    """Calls of one scope, in the order of their starts, with one more. Of too many the farthest from it is left out:
    those of a request come latest first, those of several earliest first."""
    place = bisect_left(own, facts.start_ns, key=_start_ns)
    first = 1 if len(own) >= MOST_TWINS and place > MOST_TWINS // 2 else 0
    return (*own[first:place], facts, *own[place : MOST_TWINS - 1 + first])


def _about_the_time_of(facts: Facts, others: Sequence[Facts]) -> Iterable[Facts]:
    """Those of one scope, in the order of their starts, that lie within the time of a span or it in theirs, or that
    have the same answer."""
    start, end = facts.start_ns, facts.end_ns
    place = bisect_left(others, start, key=_start_ns)
    if facts.scope in LAZY_SCOPES or others[0].scope in LAZY_SCOPES:
        return others
    near = [one for one in others[:place] if one.end_ns >= end]
    for one in others[place:]:
        if one.start_ns > end:
            break
        if one.end_ns <= end or (one.start_ns == start and one.end_ns >= end):
            near.append(one)
    if facts.response_id is not None:
        near += [one for one in others if one.response_id == facts.response_id]
    return near


def _lacking(scopes: Set[str], others: Sequence[Facts]) -> list[Facts]:
    """Those whose calls none of these scopes has told of."""
    if len(scopes) > 1:
        return [one for one in others if scopes.isdisjoint(one.scopes)]
    (scope,) = scopes
    return [one for one in others if scope not in one.scopes]


def _to_compare(facts: Facts, others: Sequence[Facts]) -> Sequence[Facts]:
    """Of calls with the same numbers, those to compare: all, or of those without numbers the nearest."""
    if facts.known:
        return others
    place = bisect_left(others, facts.start_ns, key=_start_ns)
    return others[max(0, place - MOST_UNKNOWN_COMPARED) : place + MOST_UNKNOWN_COMPARED]


_start_ns = attrgetter("start_ns")


def _fit(line: Sequence[Facts], other: Sequence[Facts]) -> bool:
    """Whether two lines may be one call: no instrumentation tells of it in both."""
    if any(_compete(one, each) for one in line for each in other):
        return False
    return any(_are_twins(one, each) for one in line for each in other)


def _compete(one: Facts, other: Facts) -> bool:
    """Whether two spans of different lines cannot be one call: an instrumentation tells of it once."""
    return one.scope == other.scope


def _by_likeliness(found: tuple[bool, int, Facts]) -> tuple[bool, int]:
    return found[:2]


def _distance_ns(one: Facts, other: Facts) -> int:
    return abs(one.start_ns - other.start_ns) + abs(one.end_ns - other.end_ns)


# ── two spans ───────────────────────────────────────────────────────────────────────────────────────────────────


def same_on_a_line(outer: Facts, inner: Facts) -> bool:
    """Whether two spans, one inside the other, tell of one call: by its response id, else by model and numbers."""
    if inner.failed and not inner.known and (outer.known or not outer.failed):
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
    if some is others or not some or not others:
        return True
    return any(one.startswith(other) or other.startswith(one) for one in some for other in others)


def _overlap(outer: Facts, inner: Facts) -> bool:
    return outer.start_ns <= inner.end_ns and inner.start_ns <= outer.end_ns


def _are_twins(mine: Facts, other: Facts) -> bool:
    """Whether two calls with the same numbers, of one service but not one inside the other, may be one: the same
    answer, or told by different instrumentations and the one within the time of the other."""
    if mine.twin_key is None or mine.twin_key != other.twin_key:
        return False
    if mine.scope == other.scope:
        return False
    if mine.response_id and other.response_id:
        same = mine.response_id == other.response_id and len(mine.response_id) > LONGEST_CHANCE_ID
    else:
        same = _within(mine, other) or _within(other, mine) or _streams_from(mine, other) or _streams_from(other, mine)
    return same and _models_agree(mine.models, other.models)


def _within(inner: Facts, outer: Facts) -> bool:
    return outer.start_ns <= inner.start_ns and inner.end_ns <= outer.end_ns


def _streams_from(client: Facts, framework: Facts) -> bool:
    """Whether a call may be the stream that a framework's span has made ready."""
    if framework.scope not in LAZY_SCOPES or client.start_ns < framework.start_ns:
        return False
    return client.start_ns - framework.end_ns <= LATEST_START_SECONDS * 1_000_000_000
