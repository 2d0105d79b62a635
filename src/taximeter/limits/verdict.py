"""What admission is asked, and what it answers: nouns without decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple

from taximeter.clock import rfc3339
from taximeter.config.limits import DIMENSIONS, Limit, shown_amount
from taximeter.limits.ahead import LEAST_TOKENS
from taximeter.limits.allowances import DEFAULT_ALLOWANCE, renamed, with_allowance
from taximeter.limits.amounts import NOTHING, Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters import Standing
from taximeter.limits.learnt import Learnt, Usual
from taximeter.limits.prompts import Prompt
from taximeter.limits.rules import NO_LIMITS, Applicable, Ruled, Subject, parts_of

NEVER_AGAIN_SECONDS: Final = 3600
"""Retry-After of a limit that does not reset by itself: it may be raised."""


class Rates(NamedTuple):
    """The most that is charged: pico-USD for a token read and for one written, nano-USD for the request and for a unit
    of search."""

    read: int
    written: int
    fee: int
    search: int = 0

    def searching(self, units: int) -> Rates:
        """The same, where the request brings so many units of search."""
        return self if not units or not self.search else self._replace(fee=self.fee + units * self.search)

    def nano_usd(self, input_tokens: int, output_tokens: int) -> int:
        """Whole nano-USD, rounded up."""
        return -(-(input_tokens * self.read + output_tokens * self.written) // 1000) + self.fee

    def affordable_output(self, nano_usd: int, input_tokens: int) -> int:
        """Output tokens that so much money pays for, beside the input; negative when that alone is too much."""
        left = (nano_usd - self.fee) * 1000 - input_tokens * self.read
        return left // self.written if self.written else DEFAULT_ALLOWANCE if left >= 0 else -1


NOT_PRICED: Final = Rates(0, 0, 0)


class CallKind(NamedTuple):
    """What a call's rates depend on."""

    provider: str | None
    model: str | None
    tier: str | None = None
    team: str | None = None
    tenant: str | None = None
    with_audio: bool = False
    caches_for_an_hour: bool = False
    others: tuple[str, ...] = ()
    """Models that may answer instead."""
    region: str | None = None
    """Where it is served, as far as its address tells."""


HighestRates = Callable[[CallKind, int, int], Rates | None]
"""The highest rates of a kind of call with at most so many input tokens, at an instant; None: no bound is known."""


@dataclass(slots=True)
class Ask:
    """A call that wants to be made. `size_bytes` is that of its JSON; `ahead_tokens` is how much its provider may have
    written beyond what was seen of its stream."""

    event_id: str
    at_us: int
    subject: Subject
    kind: CallKind
    bound: CallBound
    size_bytes: int = 0
    prompt: Prompt | None = None
    ahead_tokens: int = LEAST_TOKENS


@dataclass(slots=True)
class Admitted:
    """A call that may be made. What it holds ends with `settle` or `void`.

    `allowance` is the `max_tokens` that its request has to be given, None when it keeps its own. `leased` are the
    output tokens that a stream holds so far; None: all of them. `model` is the one to be called instead.
    `delay_seconds` is how long it has to queue first. `held` is held of limits that must not be overspent, `usual` of
    the others.
    """

    ask: Ask
    ruled: Applicable = NO_LIMITS
    held: Amounts = NOTHING
    rates: Rates = NOT_PRICED
    allowance: int | None = None
    leased: int | None = None
    most_output: int = 0
    usual: Amounts = NOTHING
    model: str | None = None
    delay_seconds: float = 0.0
    stopped_by: Ruled | None = None
    """The limit that had no more for a stream, which is cut."""
    uncounted: bool = False
    """The counters were away, and the policy let it through."""
    expires_us: int | None = None
    """When what it holds expires, unless it is put off by the process that makes the call; None: another makes it."""
    repeated: bool = False
    """A call of this id was admitted before, and nothing more is held for this one."""
    left: frozenset[str] = frozenset()
    """Buckets of limits that were removed while it is under way. It holds them still, should they be set again."""

    def covers(self, output_tokens: int) -> bool:
        """Whether so many output tokens are held."""
        return self.leased is None or output_tokens <= self.leased

    def allowed(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request's JSON with the allowance it has to be given; itself when it keeps its own."""
        key = self.ask.bound.allowance_key
        return payload if self.allowance is None or key is None else with_allowance(payload, key, self.allowance)

    def rewritten(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same, with the model it has to be given as well, where the body names it."""
        allowed = self.allowed(payload)
        return allowed if self.model is None else renamed({**allowed, "model": self.model}, self.model)

    def as_record(self) -> dict[str, int]:
        """What is held, for the begin record: a process that dies leaves it there."""
        return {
            "cost_nano_usd": self.held.cost,
            "input_tokens": self.held.input_tokens,
            "output_tokens": self.held.output_tokens,
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that may not be made, and why. `limit` None: the counters are away."""

    reason: Literal["limit", "no_bound", "no_price", "counters_away"]
    message: str
    limit: str | None = None
    scope: Mapping[str, str] = field(default_factory=dict)
    measure: str | None = None
    window: str | None = None
    amount: str | int | None = None
    spent: str | int | None = None
    held: str | int | None = None
    resets_at: str | None = None
    retry_after_seconds: int = 1
    used_up: Ruled | None = None
    """The limit of which too little is left for such a call, though all of it would do."""

    def facts(self) -> dict[str, Any]:
        """Everything but the message, for machines."""
        names = ("reason", "limit", "scope", "measure", "window", "amount", "spent", "held", "resets_at")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def as_record(self) -> dict[str, Any]:
        """What the SDK is told of it: all but `used_up`."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "used_up"}


@dataclass(frozen=True, slots=True)
class Wait:
    """Only what other calls hold stands in the way. `refused` is what holds when waiting has not helped."""

    refused: Refused


Verdict = Admitted | Refused | Wait


class Crossing(NamedTuple):
    """A threshold was reached. `percent` of `amount`, in a window (`slot`), by `value`."""

    limit: Limit
    value: str
    slot: str
    percent: int
    amount: int
    spent: int
    at_us: int


class Unseen(NamedTuple):
    """A call whose end nobody saw: `excess` stays spent beyond what its event says, because the bound stands."""

    event_id: str
    at_us: int
    subject: Subject
    excess: Amounts


def refusal(ruled: Ruled, at_us: int, standing: Standing, now_us: int, after_seconds: float | None = None) -> Refused:
    """The refusal of a call that began at `at_us`. `after_seconds`: when to try again, if not at the reset."""
    limit = ruled.limit
    resets_us = ruled.resets_at(at_us)
    if after_seconds is None and resets_us is not None:
        after_seconds = max(resets_us - now_us, 0) / 1_000_000
    amount, spent, held = (
        shown_amount(limit.measure, number) for number in (limit.amount_of(ruled.value, now_us), *standing)
    )
    scope = scope_of(ruled)
    whose = f" for {', '.join(f'{name} {value}' for name, value in scope.items())}" if scope else ""
    window = "at once" if limit.window.kind == "now" else limit.window.kind
    resets = "" if resets_us is None else f"; it resets at {rfc3339(resets_us)}"
    stands = f"{spent} spent, {held} held{resets}"
    return Refused(
        "limit",
        f"the limit '{limit.name}'{whose} allows {amount} {limit.measure} ({window}): {stands}",
        limit=limit.name,
        scope=scope,
        measure=limit.measure,
        window=limit.window.kind,
        amount=amount,
        spent=spent,
        held=held,
        resets_at=None if resets_us is None else rfc3339(resets_us),
        retry_after_seconds=NEVER_AGAIN_SECONDS if after_seconds is None else int(after_seconds) + 1,
    )


def scope_of(ruled: Ruled) -> dict[str, str]:
    """Whose spending a limit is about, as people write it."""
    names = {attribute: name for name, attribute in DIMENSIONS.items()}
    scope = {names.get(name, name): "|".join(sorted(values)) for name, values in ruled.limit.where}
    values = parts_of(ruled.value) if len(ruled.limit.each) > 1 else [ruled.value]
    for name, value in zip(ruled.limit.each, values, strict=False):
        scope[names.get(name, name)] = value
    return scope


def usual_of(learnt: Learnt, ask: Ask) -> Usual:
    """What calls like this one usually come to."""
    return learnt.of(ask.kind.provider, ask.kind.model, ask.subject.get("feature"))
