"""From the outbox to the channels, at least once each.

1. Take the letters that are due.
2. Hand each to its channel. A crash after it repeats it: the channel is given the same id.
3. Note the delivery, or when to try again: after 5 s, 10 s, 20 s, ... up to 10 minutes, for a day. After that, and
   when a service says that it never will, the letter is dead: it stays to be seen, and is a trouble of its own.

Letters of one incident to one channel keep their order: while one waits, those behind it wait too. Channels do not
wait for each other: each is delivered to by a job of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import msgspec

from taximeter.alerts.channels.port import Channel, DeliveryError
from taximeter.alerts.message import DeedLink, Message
from taximeter.alerts.states import SECOND_US
from taximeter.clock import Clock
from taximeter.errors import StoreError
from taximeter.store.metadata import Letter

FIRST_RETRY_US: Final = 5 * SECOND_US
LONGEST_RETRY_US: Final = 600 * SECOND_US
GIVE_UP_US: Final = 24 * 3600 * SECOND_US

_log = logging.getLogger(__name__)


class Outbox(Protocol):
    """What delivery needs of the metadata store."""

    def due(self, now_us: int, channel: str | None = None, limit: int = 100) -> list[Letter]: ...

    def delivered(self, notification_id: str, at_us: int, receipt: str | None = None) -> None: ...

    def failed(self, notification_id: str, error: str, due_at_us: int | None) -> None: ...

    def first_receipt(self, incident_id: str, channel: str) -> str | None: ...

    def tidy(self) -> None: ...


@dataclass(slots=True)
class Delivery:
    """Delivers what is due. `counts` are by channel and outcome: delivered, failed, dead.

    `deeds` are the links that do something, for a message and its notification: they are made when it is sent, so
    that the outbox keeps none and none is old when it arrives.
    """

    outbox: Outbox
    channels: Mapping[str, Channel]
    clock: Clock
    deeds: Callable[[Message, str], Sequence[DeedLink]] = lambda _message, _notification_id: ()
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self, channel: str | None = None) -> None:
        """Everything that is due now, to one channel or to all. Raises StoreError when the outbox cannot be read or
        written."""
        held_up: set[tuple[str, str]] = set()
        for letter in self.outbox.due(self.clock.now_us(), channel):
            place = letter.channel, letter.incident_id
            if place not in held_up and not self._delivered(letter):
                held_up.add(place)

    def tidy(self) -> None:
        """Give up what is for channels that the configuration does not have any more, and forget what is old. Raises
        StoreError."""
        for letter in self.outbox.due(self.clock.now_us()):
            if letter.channel not in self.channels:
                self._delivered(letter)
        self.outbox.tidy()

    def _delivered(self, letter: Letter) -> bool:
        channel = self.channels.get(letter.channel)
        try:
            if channel is None:
                raise DeliveryError(f"there is no channel {letter.channel!r} any more", permanent=True)
            receipt = channel.deliver(self._message(letter), letter.notification_id)
        except DeliveryError as error:
            self._failed(letter, error)
            return False
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one letter that cannot be laid out must not silence its channel
            _log.exception("%s: %s cannot be sent", letter.channel, letter.notification_id)
            self._failed(letter, DeliveryError(f"{type(error).__name__}: {error}"))
            return False
        self.outbox.delivered(letter.notification_id, self.clock.now_us(), receipt)
        self._count(letter.channel, "delivered")
        return True

    def _message(self, letter: Letter) -> Message:
        """What a letter says, with what is only known when it is sent."""
        message = read_message(letter.content)
        thread = self.outbox.first_receipt(letter.incident_id, letter.channel)
        return replace(message, deeds=self.deeds(message, letter.notification_id), thread=thread)

    def _failed(self, letter: Letter, error: DeliveryError) -> None:
        again_at_us = None if error.permanent else self._next_try_us(letter, error)
        _log.warning("%s: %s", letter.channel, error)
        self.outbox.failed(letter.notification_id, str(error), again_at_us)
        self._count(letter.channel, "failed" if again_at_us is not None else "dead")

    def _next_try_us(self, letter: Letter, error: DeliveryError) -> int | None:
        now_us = self.clock.now_us()
        if now_us - letter.created_at_us >= GIVE_UP_US:
            return None
        asked_us = int((error.retry_after_seconds or 0) * SECOND_US)
        return now_us + max(asked_us, min(FIRST_RETRY_US << min(letter.tries, 20), LONGEST_RETRY_US))

    def _count(self, channel: str, outcome: str) -> None:
        self.counts[channel, outcome] = self.counts.get((channel, outcome), 0) + 1


def read_message(content: Mapping[str, object]) -> Message:
    """A message from the JSON it was kept as."""
    return msgspec.convert(content, Message)
