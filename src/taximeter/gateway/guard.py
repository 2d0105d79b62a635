"""The one place where our own mistakes are kept from the caller's request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from taximeter.gateway.refusals import Refusal

T = TypeVar("T")

_log: Final = logging.getLogger("taximeter.gateway")


class Guard:
    """Runs our reading and recording; counts by reason what failed. The counters are shown in the product."""

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}

    def count(self, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def __call__(self, reason: str, function: Callable[..., T], *args: Any) -> T | None:
        """The function's result, or None and one more failure of this `reason`."""
        try:
            return function(*args)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not break somebody's call
            self._failed(reason, error)
            return None

    async def awaited(self, reason: str, waited_for: Awaitable[T]) -> T | None:
        """The same for what has to be awaited. A Refusal is an answer, and passes."""
        try:
            return await waited_for
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours must not break somebody's call
            self._failed(reason, error)
            return None

    def _failed(self, reason: str, error: Exception) -> None:
        self.count(reason)
        _log.warning("%s failed: %s", reason, _where(error))


def _where(error: Exception) -> str:
    """Type and place of an error. Not its message, which may quote a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + place
