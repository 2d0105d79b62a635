"""Links in messages that do something: signed, for one purpose, for a time, once.

A token is `PAYLOAD.SIGNATURE`, both in URL-safe base64 without padding: the deed as a JSON array, and its HMAC-SHA256
under a key that only servers of the same metadata know. Whoever has a link may do what it says, without signing in.
What is behind it only shows what would be done; doing it takes a POST from there, since chat programs open links too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from taximeter.alerts.actions import scope_of
from taximeter.alerts.message import DeedLink, Message
from taximeter.clock import Clock
from taximeter.errors import TaximeterError

Purpose = Literal["acknowledge", "silence", "act", "undo"]

PATH: Final = "/alert"
"""Where the links lead."""

PRESSED_PATH: Final = "/alert/pressed/"
"""Where a channel tells of a button that was pressed in it; its name follows."""

MOST_CHARACTERS: Final = 4096
"""Of a token; ours have a tenth of that."""

_KIND: Final = b"taximeter alert link 1\n"
"""What the signed bytes begin with, so that nothing else that is ever signed with the key can be a link."""


class LinkRefusedError(TaximeterError):
    """A link that is none of ours, or was changed."""

    code = "link_refused"
    http_status = 403


class LinkOverError(TaximeterError):
    """A link that has expired, or was used."""

    code = "link_over"
    http_status = 410


class Deed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What a link does. `told` is the notification it was sent with; `name` is what `undo` undoes."""

    purpose: Purpose
    incident_id: str
    told: str
    expires_at_us: int
    name: str = ""

    @property
    def key(self) -> str:
        """What is used up: a message that is delivered again has the same link once more."""
        return "/".join((self.purpose, self.told, self.name))


class Signer:
    """Makes tokens of deeds and deeds of tokens."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, deed: Deed) -> str:
        payload = msgspec.json.encode(deed)
        return f"{_text(payload)}.{_text(self._signature(payload))}"

    def deed(self, token: str, now_us: int) -> Deed:
        """Raises LinkRefusedError for what was not signed here, LinkOverError for what has expired."""
        payload, _, signature = token[:MOST_CHARACTERS].partition(".")
        signed = _bytes(payload)
        if signed is None or not hmac.compare_digest(_bytes(signature) or b"", self._signature(signed)):
            raise LinkRefusedError("this link is not one of ours, or was changed", hint="use the one in the message")
        deed = msgspec.json.decode(signed, type=Deed)
        if now_us >= deed.expires_at_us:
            raise LinkOverError("this link has expired", hint="sign in, or use the newest message")
        return deed

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, _KIND + payload, hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    """None for what is not the one way to write some bytes."""
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if _text(raw) == text else None


@dataclass(frozen=True, slots=True)
class DeedLinks:
    """The links that a message is sent with. `signer` may read the key from a store: it raises StoreError."""

    signer: Callable[[], Signer]
    purposes: Sequence[Purpose]
    public_url: Callable[[], str]
    clock: Clock
    lasts_us: int

    def __call__(self, message: Message, notification_id: str) -> tuple[DeedLink, ...]:
        url = self.public_url()
        purposes = [one for one in self.purposes if url and message.open and _fits(one, message)]
        return tuple(self._link(url, one, message, notification_id) for one in purposes)

    def _link(self, url: str, purpose: Purpose, message: Message, notification_id: str) -> DeedLink:
        deed = Deed(
            purpose=purpose,
            incident_id=message.dedup_key,
            told=notification_id,
            expires_at_us=self.clock.now_us() + self.lasts_us,
        )
        token = self.signer().token(deed)
        return DeedLink(TEXTS[purpose], f"{url}{PATH}?token={token}", purpose, token)


TEXTS: Final[dict[Purpose, str]] = {
    "acknowledge": "Take it",
    "silence": "Silence",
    "act": "Limit or pause",
    "undo": "Undo",
}
"""What people call them."""


def _fits(purpose: Purpose, message: Message) -> bool:
    """Whether there is something to do: an incident can be taken once, and acted on when it is about somebody."""
    if purpose == "acknowledge":
        return message.event != "acknowledged"
    return purpose != "act" or bool(scope_of(message.labels))
