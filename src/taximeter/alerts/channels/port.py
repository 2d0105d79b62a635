"""The port of channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from taximeter.alerts.message import Message
from taximeter.errors import TaximeterError


class DeliveryError(TaximeterError):
    """A message was not delivered.

    `permanent`: it will not be either when it is tried again as it is (a wrong key, a channel that is gone).
    `retry_after_seconds` is what the service asked for, None when it said nothing.
    """

    code = "delivery_failed"
    http_status = 502

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after_seconds: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Press:
    """A button with a token that somebody pressed within a channel."""

    token: str
    by: str
    reply_to: str = ""
    """Where whoever pressed can be told something; empty when there is no such place."""


@runtime_checkable
class Pressable(Protocol):
    """A channel whose own buttons do what their tokens are for, without a page in between."""

    def pressed(self, headers: Mapping[str, str], body: bytes) -> Press | None:
        """What a request of its service tells; None for a button that is nothing but a link. The names of `headers`
        are in small letters. Raises LinkRefusedError for a request that is not its service's own."""
        ...

    def reply(self, press: Press, text: str) -> None:
        """Tell whoever pressed, and nobody else. What does not get through is not tried again."""
        ...


class Channel(Protocol):
    """One place to tell."""

    def deliver(self, message: Message, notification_id: str) -> str | None:
        """Tell it. Blocks, at most some seconds. Raises DeliveryError.

        What it gives back is what the channel calls this message, where it can be found again there: the first of an
        incident comes back as `message.thread` with those after it.

        It may be called again with the same `notification_id` when it is not known whether the first call went
        through: a service that can keep apart what it has seen is given `message.dedup_key` or that id.
        """
        ...
