"""When alerting itself fails: what it cannot keep it cannot tell, since messages go through the metadata store.

An evaluation that has failed for a minute is told past the outbox, straight to the channels that hear of a critical
trouble of the meter: once each, from this process's memory, and once more when evaluations succeed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from taximeter.alerts.channels.port import Channel, DeliveryError
from taximeter.alerts.message import TITLES, Message, minute_in_words
from taximeter.alerts.notify import Event
from taximeter.alerts.routing import Route, routes_for
from taximeter.alerts.states import SECOND_US
from taximeter.clock import Clock, rfc3339

FAILING_US: Final = 60 * SECOND_US
"""So long an evaluation has to fail: a store that is restarted is no reason to wake anybody."""

KIND: Final = "store_unavailable"

_log = logging.getLogger(__name__)


class Lifeline:
    """Evaluates, and watches over it. `key` makes its messages one incident for those who receive them."""

    def __init__(
        self, evaluate: Callable[[], None], channels: Mapping[str, Channel], root: Route, clock: Clock, key: str
    ) -> None:
        labels = {"family": "meter", "kind": KIND, "rule": "meter", "severity": "critical"}
        heard = {name for route in routes_for(root, labels) for name in route.channels}
        self._evaluate, self._clock, self._key = evaluate, clock, key
        self._channels = {name: channel for name, channel in channels.items() if name in heard}
        self._failing_since_us: int | None = None
        self._told: set[str] = set()

    def turn(self) -> None:
        """One evaluation. Raises what it raises."""
        try:
            self._evaluate()
        except Exception as error:  # whatever it was, nobody was told anything
            self._failed(str(error))
            raise
        self._works()

    def _failed(self, error: str) -> None:
        now_us = self._clock.now_us()
        since_us = self._failing_since_us = now_us if self._failing_since_us is None else self._failing_since_us
        if now_us - since_us >= FAILING_US:
            self._told |= self._told_now("opened", set(self._channels) - self._told, since_us, error)

    def _works(self) -> None:
        if self._failing_since_us is not None:
            told = "it can be kept again; what happened meanwhile is told now"
            self._told -= self._told_now("resolved", self._told, self._failing_since_us, told)
            if not self._told:
                self._failing_since_us = None

    def _told_now(self, event: Event, names: set[str], since_us: int, summary: str) -> set[str]:
        """Those of the channels that took it; the others are tried again with the next turn."""
        message = self._message(event, since_us, summary)
        return {name for name in sorted(names) if self._delivered(name, message)}

    def _delivered(self, name: str, message: Message) -> bool:
        try:
            self._channels[name].deliver(message, f"{self._key}/{name}/{message.event}")
        except DeliveryError as error:
            _log.warning("%s: %s", name, error)
            return False
        return True

    def _message(self, event: Event, since_us: int, summary: str) -> Message:
        since = rfc3339(since_us)
        return Message(
            event=event,
            dedup_key=self._key,
            severity="critical",
            kind=KIND,
            title=f"{TITLES[KIND]}: alerts cannot be kept",
            summary=summary,
            started_at=since,
            at=rfc3339(self._clock.now_us()),
            labels={"trouble": KIND},
            facts=(("Since", minute_in_words(since)),),
            runbook="pipeline-loss",
        )
