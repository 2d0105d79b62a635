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

from bisect import bisect_left, insort_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from taximeter.core.ids import LONGEST_CHANCE_ID
from taximeter.ingest.otlp.calls import Call
from taximeter.ingest.otlp.span import TRACE_ID_BYTES

MOST_COMPARED: Final = 16
"""Calls of one instrumentation with the same numbers that are compared: so many that end next before, and after."""

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
    noted: bool = False
    """Whether later ones are compared with it."""


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


class _Told(msgspec.Struct, gc=False):
    """Spans with the same numbers that one instrumentation has sent, in the order of their ends: those of calls that no
    other tells of yet, and those of calls that another tells of as well."""

    scope: str
    unpaired: list[Facts]
    paired: list[Facts]

    def like(self, facts: Facts) -> list[Facts]:
        return self.paired if len(facts.scopes) > 1 else self.unpaired


class _Wish(msgspec.Struct, gc=False):
    """A line that looks for a place: that of another, which would stay with `staying` if it were not for it."""

    line: Sequence[Facts]
    staying: Sequence[Facts] = ()
    leaving_for: _Wish | None = None


class Matching:
    """Spans matched to calls. `facts_at` says what is remembered of a span."""

    def __init__(self, facts_at: Callable[[bytes], Facts | None]) -> None:
        self._facts_at = facts_at
        self._young: dict[TwinKey, tuple[_Told, ...]] = {}
        self._old: dict[TwinKey, tuple[_Told, ...]] = {}

    def note(self, facts: Facts) -> None:
        """Remember a span for later ones to be compared with: together with others of its scope."""
        number = facts.twin_key
        if number is None or facts.noted:
            return
        facts.noted = True
        noted = self._young.get(number, ())
        told = next((one for one in noted if one.scope == facts.scope), None)
        if told is None:
            told = _Told(facts.scope, [], [])
            self._young[number] = (*noted, told)
        insort_right(told.like(facts), facts, key=_end_ns)

    def leave_out(self, facts: Facts) -> None:
        """Compare no later span with this one."""
        if facts.noted:
            self._take_out(facts)
            facts.noted = False

    def _take_out(self, facts: Facts) -> _Told | None:
        """Take a span out of those it was noted with; which they are, unless they are forgotten."""
        for noted in (self._young, self._old):
            for told in noted.get(facts.twin_key, ()) if facts.twin_key else ():
                if told.scope == facts.scope and _removed(facts, told.like(facts)):
                    return told
        return None

    def _join(self, spans: Sequence[Facts]) -> None:
        """Make spans those of one call."""
        alone = len(spans) == 1
        call = () if alone else tuple(one.key for one in spans)
        scopes = () if alone else tuple({one.scope for one in spans})
        for one in spans:
            moves = one.noted and (len(one.scopes) > 1) != (len(scopes) > 1)
            told = self._take_out(one) if moves else None
            one.call, one.scopes = call, scopes
            if told is not None:
                insort_right(told.like(one), one, key=_end_ns)

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
        self._join(together)
        for twins in separated:
            self._join(twins)
        alone = sum(not self._seat(twins, {one.key for one in twins}) for twins in separated)
        return 1 + alone - len(calls)

    def _seat(self, line: Sequence[Facts], asked: set[bytes]) -> bool:
        """Give a line a place in a call that others tell of and that lacks it. `asked`: who has been asked already.
        Where there is none, the nearest are asked to change their places, and then those whom they would ask."""
        others = self._told_by_others(line)
        if not others:
            return False
        if self._seat_at_once(line, others, asked):
            return True
        if len({told.scope for _, told in others}) > 1 or not any(told.unpaired for _, told in others):
            return False  # of three instrumentations, whoever is nearest has to do
        wishes = deque([_Wish(line)])
        while wishes:
            wish = wishes.popleft()
            near = [(one, other) for one, told in self._told_by_others(wish.line) for other in _near(one, told.paired)]
            for other in self._likely(near):
                if other.key in asked:
                    continue
                asked.update(other.call)
                lines = list(self._lines(other.call))
                in_the_way = [each for each in lines if not _fit(wish.line, each)]
                if len(lines) == 1 or len(in_the_way) != 1 or len(asked) > MOST_MOVES:
                    continue
                staying = [one for each in lines if each is not in_the_way[0] for one in each]
                leaving = _Wish(in_the_way[0], staying, wish)
                if self._seat_at_once(leaving.line, self._told_by_others(leaving.line), asked):
                    self._let_change(leaving)
                    return True
                wishes.append(leaving)
        return False

    def _seat_at_once(self, line: Sequence[Facts], others: Sequence[tuple[Facts, _Told]], asked: Set[bytes]) -> bool:
        """Give a line a place that is free."""
        scopes = {one.scope for one in line}
        near = [(one, other) for one, told in others for other in _near(one, told.unpaired)]
        near += [
            (one, other) for one, told in others for other in _near(one, told.paired) if scopes.isdisjoint(other.scopes)
        ]
        for other in self._likely(near):
            call = self._all(other.call or (other.key,))
            if other.key not in asked and all(_fit(line, each) for each in self._lines(one.key for one in call)):
                self._join([*line, *call])
                return True
        return False

    def _let_change(self, leaving: _Wish) -> None:
        """Give each the place that it wished for, as the last of them has found one."""
        while leaving.leaving_for is not None:
            self._join([*leaving.leaving_for.line, *leaving.staying])
            leaving = leaving.leaving_for

    def _likely(self, near: Iterable[tuple[Facts, Facts]]) -> list[Facts]:
        """Of spans and others that end at about that time, an other of each call that may be theirs, the likeliest
        first: those of the same trace, and those that end and begin nearest."""
        found = [
            (one.key[:TRACE_ID_BYTES] != other.key[:TRACE_ID_BYTES], *_distance_ns(one, other), other)
            for one, other in near
            if _are_twins(one, other) and self._facts_at(other.key) is other
        ]
        if len(found) > 1:
            found.sort(key=_by_likeliness)
            return list({one[-1].call or (one[-1].key,): one[-1] for one in reversed(found)}.values())[::-1]
        return [one[-1] for one in found]

    def _told_by_others(self, line: Iterable[Facts]) -> list[tuple[Facts, _Told]]:
        """Spans with the same numbers as one of a line, by the other instrumentations that have told of them."""
        return [
            (one, told)
            for one in line
            if one.twin_key is not None
            for noted in (self._young, self._old)
            for told in noted.get(one.twin_key, ())
            if told.scope != one.scope
        ]

    def _lines(self, keys: Iterable[bytes]) -> Iterable[list[Facts]]:
        """Spans by the lines that they are of."""
        lines: dict[tuple[bytes, ...], list[Facts]] = {}
        for one in self._all(keys):
            lines.setdefault(one.line or (one.key,), []).append(one)
        return lines.values()

    def _all(self, keys: Iterable[bytes]) -> list[Facts]:
        return [facts for key in keys if (facts := self._facts_at(key)) is not None]


def _removed(facts: Facts, noted: list[Facts]) -> bool:
    """Take a span out of a list in the order of ends; whether it was there."""
    place = bisect_left(noted, facts.end_ns, key=_end_ns)
    while place < len(noted) and noted[place].end_ns == facts.end_ns:
        if noted[place] is facts:
            del noted[place]
            return True
        place += 1
    return False


def _near(facts: Facts, others: Sequence[Facts]) -> Iterable[Facts]:
    """Of others in the order of their ends, those that end next before and after a span and lie within its time or it
    in theirs, or that have the same answer."""
    if not others:
        return ()
    place = bisect_left(others, facts.end_ns, key=_end_ns)
    first, last = max(0, place - MOST_COMPARED), place + MOST_COMPARED
    if facts.scope in LAZY_SCOPES or others[0].scope in LAZY_SCOPES:
        return others[first:last]
    start = facts.start_ns
    begun = bisect_left(others, start, first, place, key=_end_ns)
    near = [one for one in others[begun:place] if one.start_ns >= start]
    near += [one for one in others[place:last] if one.start_ns <= start or one.end_ns == facts.end_ns]
    if (answer := facts.response_id) is not None:
        near = [one for one in near if one.response_id is None]
        near += [one for one in others[first:last] if one.response_id == answer]
    return near


_end_ns = attrgetter("end_ns")


def _fit(line: Sequence[Facts], other: Sequence[Facts]) -> bool:
    """Whether two lines may be one call: no instrumentation tells of it in both."""
    if any(_compete(one, each) for one in line for each in other):
        return False
    return any(_are_twins(one, each) for one in line for each in other)


def _compete(one: Facts, other: Facts) -> bool:
    """Whether two spans of different lines cannot be one call: an instrumentation tells of it once."""
    return one.scope == other.scope


def _by_likeliness(found: tuple[bool, int, int, Facts]) -> tuple[bool, int, int]:
    return found[:3]


def _distance_ns(one: Facts, other: Facts) -> tuple[int, int]:
    """The ends first: a framework takes longer over what it asks than over what it is answered."""
    return abs(one.end_ns - other.end_ns), abs(one.start_ns - other.start_ns)


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
