"""The guard: the only place that catches everything of ours, because we live inside somebody else's call.

Whatever taximeter does while a provider's client is at work goes through `Guard.run`, or, where each call comes by and
would feel one frame more, through a `try` that hands everything to `Guard.caught`. A failure in there is counted by its
reason and logged at most once a minute; the caller sees nothing of it.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar, TypeVarTuple

from taximeter.clock import Clock, SystemClock

LOG: Final = logging.getLogger("taximeter")

QUIET_SECONDS: Final = 60.0
"""Between two log lines about failures of ours."""

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Guard:
    """Runs our code so that none of its errors reaches the host. Safe to use from many threads.

    `failures` counts what went wrong, by reason.
    """

    def __init__(self, clock: Clock) -> None:
        self.failures: Counter[str] = Counter()
        self._clock = clock
        self._quiet_until: float | None = None

    def run(self, reason: str, function: Callable[[*Ts], T], /, *args: *Ts) -> T | None:
        """What `function` returns, or None when it failed. `reason` names the failure in counters and logs."""
        try:
            return function(*args)
        except Exception as error:  # noqa: BLE001 - the host is protected here, and nowhere else
            self.caught(reason, error)
            return None

    def run_or(
        self, reason: str, function: Callable[[*Ts], object], otherwise: Callable[[*Ts], object], /, *args: *Ts
    ) -> None:
        """Runs `function`, and when that failed `otherwise` in its place, guarded as well."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - as above
            self.caught(reason, error)
            self.run(reason, otherwise, *args)

    def caught(self, reason: str, error: Exception) -> None:
        """What a failure of ours comes to: a count and a line in the log."""
        with suppress(Exception):  # a logging handler of the host may fail too
            self._note(reason, error)

    def lost(self, reason: str, message: str) -> None:
        """Counts and logs, as rarely, something that went wrong without an exception."""
        with suppress(Exception):
            self._note(reason, message)

    def lost_for_good(self, reason: str, count: int, message: str) -> None:
        """Counts so many, and logs it however little time has passed: nobody will say it later."""
        with suppress(Exception):
            self.failures[reason] += count
            LOG.warning("%s", message)

    def _note(self, reason: str, what: Exception | str) -> None:
        self.failures[reason] += 1
        if sys.is_finalizing():  # our modules are going, which is no fault; an open call has its begin record
            return
        now = self._clock.monotonic()
        if self._quiet_until is not None and now < self._quiet_until:
            return
        self._quiet_until = now + QUIET_SECONDS
        totals = ", ".join(f"{name}: {count}" for name, count in sorted(self.failures.items()))
        trace = what if isinstance(what, Exception) else None
        LOG.warning("%s: %s; your calls are not affected (so far %s)", reason, what, totals, exc_info=trace)


GUARD: Final = Guard(SystemClock())
"""The guard of this process."""
