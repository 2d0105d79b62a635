"""Limits that are counted in this process, and forgotten with it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from taximeter.clock import Clock
from taximeter.config.limits import Limit, LimitProblems, read_limits
from taximeter.errors import UsageError
from taximeter.extract.reading import Reading
from taximeter.limits.amounts import Amounts, nano_usd
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, Verdict

_PRICES = "taximeter.pricing"
_HIGHEST = "taximeter.limits.priced"


class LocalLimits:
    """`Limiter` by limits of one's own."""

    blocks = False

    def __init__(self, definitions: Sequence[Any], clock: Clock) -> None:
        """Raises UsageError with all that is wrong with the definitions."""
        limits = _read(definitions)
        self._clock = clock
        self._book = _price_book() if any(limit.measure == "cost_usd" for limit in limits) else None
        rates = None if self._book is None else import_module(_HIGHEST).HighestRates(lambda: self._book)
        self._guard = LimitGuard(Rules(limits), MemoryCounters(), rates)

    def decide(self, ask: Ask) -> Verdict:
        return self._guard.decide(ask, self._clock.now_us())

    def settle(self, admitted: Admitted, reading: Reading, estimated: bool, http_status: int | None) -> None:
        came_to = self._came_to(admitted.ask, reading, http_status)
        usage = reading.usage
        if came_to is not None and not estimated:
            self._guard.learn(admitted, usage.input_tokens, usage.output_tokens)
        self._guard.settle(admitted, came_to, self._clock.now_us(), seen=not estimated)

    def void(self, admitted: Admitted) -> None:
        self._guard.void(admitted)

    def _came_to(self, ask: Ask, reading: Reading, http_status: int | None) -> Amounts | None:
        """What a call came to; None when nobody knows, and the provider may have charged for it."""
        usage = reading.usage
        if reading.not_billed or (http_status is not None and http_status >= 400 and not usage.known):
            return Amounts()
        if not usage.known:
            return None
        cost = 0 if self._book is None else self._cost(ask, reading)
        return None if cost is None else Amounts(cost, usage.input_tokens or 0, usage.output_tokens or 0)

    def _cost(self, ask: Ask, reading: Reading) -> int | None:
        assert self._book is not None
        call = import_module(_PRICES).Priceable(
            ask.kind.provider,
            reading.response_model or ask.kind.model,
            ask.at_us,
            reading.usage,
            ask.kind.model,
            reading.service_tier,
            reading.region,
            by_model=reading.by_model,
            team=ask.kind.team,
            tenant=ask.kind.tenant,
        )
        total = getattr(self._book.price(call), "total", None)
        return None if total is None else nano_usd(total)


def _read(definitions: Sequence[Any]) -> tuple[Limit, ...]:
    try:
        return read_limits(list(definitions))
    except LimitProblems as found:
        raise UsageError(f"limits: {found}", field="limits") from None


def _price_book() -> Any:
    """Prices are no part of the small base install, so they are named and not imported."""
    try:
        return import_module(_PRICES).load_price_book(None, Path())
    except ImportError:
        raise UsageError(
            "a limit in USD needs prices, which are not installed",
            hint="pip install 'taximeter[server]', let the server decide (admission=), or limit tokens",
        ) from None
