"""The words a query may use: dimensions to group and filter by, and measures to ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, Literal

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.attribution import SHORT_NAMES
from taximeter.core.cost import COMPONENTS
from taximeter.core.event import Kind
from taximeter.core.money import exact, format_usd
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.errors import UsageError
from taximeter.store.events.bins import middle_ms
from taximeter.store.events.columns import COLUMNS
from taximeter.store.events.durations import DURATION, FIRST_TOKEN, Timing

TAG_PREFIX: Final = "tags."
"""`tags.NAME` is the free tag NAME."""

MODEL: Final = "model"
"""The model that answered, otherwise the one asked for. A column of the view `calls`, not of an event."""

MODEL_FAMILY: Final = "model_family"
"""What that model is a version or a size of, by `families`; a model that none of them knows is its own family."""

FILTERABLE: Final[Mapping[str, Kind]] = {
    **{column.name: column.kind for column in COLUMNS if column.kind not in ("json", "texts", "units", "timestamp")},
    MODEL: "text",
    MODEL_FAMILY: "text",
}
"""What can be filtered by, besides tags, and its kind."""

_NUMBERS_WORTH_GROUPING: Final = ("attempt", "http_status")
GROUPABLE: Final = tuple(
    name
    for name, kind in FILTERABLE.items()
    if (kind in ("text", "flag") and name != "event_id") or name in _NUMBERS_WORTH_GROUPING
)
"""What can be grouped by, besides tags."""


def dimension(name: str, *, field: str, allowed: tuple[str, ...] = GROUPABLE) -> str:
    """The full name of a dimension that may have been given by a short one. `field` names the place in the request.

    Raises UsageError when there is no such dimension.
    """
    full = SHORT_NAMES.get(name, name)
    if full in allowed or (full.startswith(TAG_PREFIX) and len(full) > len(TAG_PREFIX)):
        return full
    raise UsageError(
        f"unknown dimension {name!r} in {field}",
        hint="allowed: " + ", ".join((*allowed, f"{TAG_PREFIX}NAME")),
        field=field,
        allowed=[*allowed, f"{TAG_PREFIX}NAME"],
    )


PartKind = Literal["sum", "whole"]
Number = Any
"""int, Decimal, float or None, as the store answered."""


@dataclass(frozen=True, slots=True)
class Part:
    """One aggregate a store is asked for. A `sum` of two groups is the sum of their sums; a `whole` is not."""

    name: str
    kind: PartKind


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: the parts it is made of, and how they become the value in the answer.

    An amount of `money` is null where the parts of `cost_is_known` say that nothing is known.
    """

    name: str
    parts: tuple[Part, ...]
    finish: Callable[[tuple[Number, ...]], Any]
    about: str
    money: bool = False

    @property
    def kind(self) -> str:
        """What its values are, as `columnar_file` names it."""
        return _KIND_OF[self.finish]

    def value(self, values: Mapping[str, Number]) -> Any:
        """The value in the answer, given those of all parts by name."""
        if self.money and not cost_is_known(values):
            return None
        return self.finish(tuple(values[part.name] for part in self.parts))


COST: Final = Part("cost_usd", "sum")
UNPRICED: Final = Part("unpriced_calls", "sum")
UNPRICED_TOKENS: Final = Part("unpriced_tokens", "sum")


def cost_is_known(values: Mapping[str, Number]) -> bool:
    """Whether a group's cost is known, at least in part. Unknown is not zero: calls that cost nothing (errors, calls
    that are not billed) say nothing of those whose price is missing."""
    return bool(values[COST.name]) or not values[UNPRICED.name]


def _count(parts: tuple[Number, ...]) -> int:
    return int(parts[0] or 0)


def _money(parts: tuple[Number, ...]) -> str | None:
    return None if parts[0] is None else format_usd(parts[0])


_DIVISION: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def _money_per_call(parts: tuple[Number, ...]) -> str | None:
    cost, calls = parts
    return format_usd(exact(_DIVISION.divide(cost, Decimal(calls)))) if calls else None


def _money_per_thousand(parts: tuple[Number, ...]) -> str | None:
    cost, tokens = parts
    return format_usd(exact(_DIVISION.divide(cost * 1000, Decimal(tokens)))) if tokens and cost is not None else None


def _ratio(parts: tuple[Number, ...]) -> float | None:
    part, whole = parts
    return int(part or 0) / int(whole) if whole else None


def _moment(parts: tuple[Number, ...]) -> str | None:
    return None if parts[0] is None else rfc3339(to_unix_us(parts[0].replace(tzinfo=UTC)))


def _share_of_cost(parts: tuple[Number, ...]) -> float | None:
    *some, cost = parts
    part = sum((amount for amount in some if amount is not None), Decimal(0))
    return float(_DIVISION.divide(part, cost)) if cost else None


def _milliseconds(parts: tuple[Number, ...]) -> float | None:
    return None if parts[0] is None else middle_ms(int(parts[0]))


_KIND_OF: Final[Mapping[Callable[[tuple[Number, ...]], Any], str]] = {
    _count: "count",
    _money: "sum",
    _money_per_call: "sum",
    _money_per_thousand: "sum",
    _ratio: "number",
    _share_of_cost: "number",
    _milliseconds: "milliseconds",
    _moment: "timestamp",
}


def _sum(name: str) -> tuple[Part, ...]:
    return (Part(name, "sum"),)


def _whole(name: str) -> tuple[Part, ...]:
    return (Part(name, "whole"),)


COST_MEASURES: Final = {f"cost_{component}_usd": component for component in COMPONENTS}
CACHE_MEASURES: Final = {
    "cache_read_saving_usd": "what reading from the cache saved: the tokens x (input rate - read rate); of a call "
    "answered from the response cache all that it would have cost",
    "cache_write_surcharge_usd": "what writing to the cache cost more than plain input",
    "cache_saving_usd": "what caching saved: the one less the other",
}
MOMENTS: Final = {"first_seen": "when the first call began", "last_seen": "when the last one did"}
INPUT_COSTS: Final = ("cost_input_usd", "cost_cache_read_usd", "cost_cache_write_usd")
FAILED: Final = ("error", "interrupted")
"""The statuses of a call that did not bring its answer."""

PERCENTILES: Final[Mapping[str, tuple[Timing, int]]] = {
    f"{measure}_p{percent}": (timing, percent)
    for measure, timing in (("latency_ms", DURATION), ("time_to_first_token_ms", FIRST_TOKEN))
    for percent in (50, 90, 95, 99)
}
"""Measure → what is timed, and how many of a hundred calls were at least as fast (nearest rank, told by its bin)."""

_ALL: Final = (
    Measure("calls", _sum("calls"), _count, "calls; every attempt is one"),
    Measure("cost_usd", (COST,), _money, "cost of the priced calls; null when it is not known", money=True),
    *(
        Measure(name, _sum(name), _money, f"the {part} part of the cost", money=True)
        for name, part in COST_MEASURES.items()
    ),
    Measure("retry_cost_usd", _sum("retry_cost_usd"), _money, "cost of attempts after the first", money=True),
    Measure("failed_cost_usd", _sum("failed_cost_usd"), _money, "cost of the failed calls", money=True),
    Measure("cancelled_cost_usd", _sum("cancelled_cost_usd"), _money, "cost of abandoned calls", money=True),
    *(Measure(name, _sum(name), _count, "tokens that were counted") for name in TOKEN_CLASSES),
    Measure("total_tokens", _sum("total_tokens"), _count, "input and output tokens"),
    Measure("errors", _sum("errors"), _count, "calls with status error"),
    Measure("failed_calls", _sum("failed_calls"), _count, "calls with status error or interrupted"),
    Measure("cancelled_calls", _sum("cancelled_calls"), _count, "calls that the caller abandoned"),
    Measure("refused", _sum("refused"), _count, "calls refused by a limit"),
    Measure("cached_calls", _sum("cached_calls"), _count, "calls answered from the response cache"),
    Measure("retries", _sum("retries"), _count, "attempts after the first"),
    Measure("unpriced_calls", (UNPRICED,), _count, "calls without a known cost"),
    Measure("unpriced_tokens", (UNPRICED_TOKENS,), _count, "input and output tokens of those"),
    Measure("estimated_calls", _sum("estimated_calls"), _count, "calls whose usage was counted by us"),
    Measure(
        "cost_per_call",
        (COST, *_sum("priced_calls")),
        _money_per_call,
        "cost divided by the priced calls, USD to 12 digits",
        money=True,
    ),
    Measure(
        "cost_per_1000_output_tokens_usd",
        (COST, *_sum("priced_output_tokens")),
        _money_per_thousand,
        "cost of 1,000 output tokens, all else included, over the priced calls",
        money=True,
    ),
    Measure(
        "input_cost_share",
        (*(part for name in INPUT_COSTS for part in _sum(name)), COST),
        _share_of_cost,
        "the part of the cost that is input, cached or not",
        money=True,
    ),
    Measure(
        "retry_cost_share",
        (*_sum("retry_cost_usd"), COST),
        _share_of_cost,
        "the part of the cost that is attempts after the first",
        money=True,
    ),
    Measure("error_rate", _sum("errors") + _sum("calls"), _ratio, "errors as a share of all calls"),
    Measure("retry_rate", _sum("retries") + _sum("calls"), _ratio, "retries as a share of all calls"),
    Measure(
        "input_tokens_per_call",
        _sum("input_tokens") + _sum("calls_telling_input"),
        _ratio,
        "over calls that report their input",
    ),
    Measure(
        "output_tokens_per_call",
        _sum("output_tokens") + _sum("calls_telling_output"),
        _ratio,
        "over calls that report their output",
    ),
    Measure(
        "cache_hit_rate",
        _sum("cache_read_tokens") + _sum("input_tokens"),
        _ratio,
        "input tokens read from a cache, as a share of all input tokens",
    ),
    Measure("cache_hits", _sum("cache_hits"), _count, "calls that read from the provider's cache"),
    Measure(
        "cache_hit_calls_rate",
        (*_sum("cache_hits"), *_sum("calls_with_input")),
        _ratio,
        "calls that read from the provider's cache, as a share of those with input tokens",
    ),
    *(Measure(name, _sum(name), _money, about, money=True) for name, about in CACHE_MEASURES.items()),
    *(
        Measure(name, _whole(name), _milliseconds, "nearest rank within 1 %, over calls that report it")
        for name in PERCENTILES
    ),
    *(Measure(name, _whole(name), _moment, about) for name, about in MOMENTS.items()),
    Measure("users", _whole("users"), _count, "distinct users"),
)
MEASURES: Final = {measure.name: measure for measure in _ALL}
MEASURE_ALIASES: Final = {
    "cost": "cost_usd",
    **{f"cost.{component}": name for name, component in COST_MEASURES.items()},
}


def measure(name: str, *, field: str = "measures") -> Measure:
    """Raises UsageError when there is no such measure."""
    found = MEASURES.get(MEASURE_ALIASES.get(name, name))
    if found is None:
        raise UsageError(
            f"unknown measure {name!r} in {field}",
            hint="allowed: " + ", ".join(MEASURES),
            field=field,
            allowed=list(MEASURES),
        )
    return found


def sum_parts() -> tuple[Part, ...]:
    """Every part that adds up, once each."""
    parts = (part for measure in _ALL for part in measure.parts if part.kind == "sum")
    return tuple(dict.fromkeys((*parts, *COVERAGE)))


COVERAGE: Final = (UNPRICED, UNPRICED_TOKENS, Part("estimated_calls", "sum"), Part("late_calls", "sum"))
"""What every answer says about how complete it is."""
