"""Where the links of messages lead: a page that says what would be done, with a button that does it.

    GET /alert?token=...    shows; it never does anything, since chat and mail programs open links by themselves
    POST /alert             does what the token of the form is for, once
    POST /alert/pressed/C   the same, of a button that was pressed within the channel C, as its service tells of it

The token is all the credential there is: it is checked before anything else is looked at. To do something,
  1. the link is used up            a crash after it leaves a link that does nothing: signing in is another way
  2. it is done
  3. or refused: then the link is given back
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast, get_args
from urllib.parse import parse_qs

import msgspec

from taximeter.alerts.actions import ActionKind, Wish
from taximeter.alerts.channels.port import Pressable
from taximeter.alerts.links import PATH, PRESSED_PATH, Deed, LinkOverError, LinkRefusedError, Purpose, Signer
from taximeter.errors import NotFoundError, TaximeterError, UsageError
from taximeter.server import deeds
from taximeter.server.alert_pages import SILENCE_SECONDS, asked, done_page, refusal
from taximeter.server.answers import Receive, Scope, Send, answer, answer_error
from taximeter.server.bodies import read_in_time
from taximeter.server.page import answer_html
from taximeter.server.parts import Parts
from taximeter.store.metadata import IncidentRecord

FORM_LIMIT_BYTES: Final = 16 * 1024
PRESSED_LIMIT_BYTES: Final = 256 * 1024
"""Slack repeats the whole message in what it tells of a press, up to eight bytes a character."""

NAME_CHARACTERS: Final = 100

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertLinks:
    """`signer` and what `parts` give block, so they are called in a thread."""

    parts: Parts
    signer: Callable[[], Signer]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path.startswith(PRESSED_PATH):
            await self._answer_press(path.removeprefix(PRESSED_PATH), scope, receive, send)
            return
        if path != PATH:
            await answer_error(send, NotFoundError(f"there is nothing at {path}"))
            return
        if method not in ("GET", "HEAD", "POST"):
            await answer(send, 405, b"", [(b"allow", b"GET, POST")])
            return
        try:
            if method == "POST":
                form = _fields(await read_in_time(scope, receive, FORM_LIMIT_BYTES))
                page = await asyncio.to_thread(self.do, form)
            else:
                page = await asyncio.to_thread(self.show, _fields(scope["query_string"]))
        except TaximeterError as error:
            await answer_html(send, error.http_status, refusal(error))
            return
        await answer_html(send, 200, page)

    async def _answer_press(self, channel: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A channel's service tells of a button. An error is what it shows beside the button."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            body = await read_in_time(scope, receive, PRESSED_LIMIT_BYTES)
            await asyncio.to_thread(self.press, channel, headers, body)
        except TaximeterError as error:
            await answer_error(send, error)
            return
        await answer(send, 200, b"")

    def press(self, name: str, headers: Mapping[str, str], body: bytes) -> None:
        """Do what a button that was pressed within a channel is for. Raises NotFoundError for a channel without."""
        channel: object = deeds.alerting_of(self.parts).delivery.channels.get(name)
        if not isinstance(channel, Pressable):
            raise NotFoundError(f"there is no channel {name!r} with buttons of its own")
        press = channel.pressed(headers, body)
        if press is None:
            return
        try:
            self.do({"token": press.token, "by": press.by, "for": next(iter(SILENCE_SECONDS))})
        except (LinkRefusedError, LinkOverError, NotFoundError) as error:
            if not press.reply_to:
                raise
            channel.reply(press, self._why_not(press.token, error))

    def _why_not(self, token: str, error: TaximeterError) -> str:
        """Why a press did nothing, for whoever pressed: who was faster, above all."""
        told = f"Nothing was done: {error}."
        with contextlib.suppress(LinkRefusedError, LinkOverError, NotFoundError):
            taken_by = self._incident(self._deed(token)).acknowledged_by
            told += f" The incident is taken by {taken_by}." if taken_by else ""
        return told

    def show(self, query: Form) -> bytes:
        """What the link would do."""
        token = query.get("token", "")
        deed = self._deed(token)
        if deeds.alerting_of(self.parts).links.used(deed.key):
            raise _used()
        record = self._incident(deed)
        return asked(deed, token, record, deeds.matching(record), deeds.whom(self.parts, deed.incident_id))

    def do(self, form: Form) -> bytes:
        """What the link is for."""
        deed = self._deed(form.get("token", ""))
        links, now_us = deeds.alerting_of(self.parts).links, self.parts.clock.now_us()
        if not links.use(deed.key, now_us, deed.expires_at_us):
            raise _used()
        try:
            return _DEEDS[deed.purpose](self, deed, form)
        except TaximeterError:
            links.give_back(deed.key)
            raise

    def _deed(self, token: str) -> Deed:
        if not token:
            raise LinkRefusedError("this link is not whole", hint="use the one in the message")
        return self.signer().deed(token, self.parts.clock.now_us())

    def _incident(self, deed: Deed) -> IncidentRecord:
        return deeds.alerting_of(self.parts).records.incident(deed.incident_id)

    # ── the four purposes ──────────────────────────────────────────────────────────────────────────────────

    def acknowledge(self, deed: Deed, form: Form) -> bytes:
        by = _by(deed, form)
        deeds.alerting_of(self.parts).watch.acknowledge(deed.incident_id, by)
        return done_page(f"Taken by {by}", "It is told again only if it gets graver.")

    def silence(self, deed: Deed, form: Form) -> bytes:
        lasts = form.get("for", "")
        if lasts not in SILENCE_SECONDS:
            raise UsageError("for how long?", hint=", ".join(SILENCE_SECONDS), field="for")
        until_us = self.parts.clock.now_us() + SILENCE_SECONDS[lasts] * 1_000_000
        match = deeds.matching(self._incident(deed))
        made = deeds.silenced(self.parts, match, None, until_us, _by(deed, form), "from a message")
        return done_page(f"Silent for {lasts}", f"To end it: taximeter alerts silence --end {made.silence_id}")

    def act(self, deed: Deed, form: Form) -> bytes:
        scope = deeds.whom(self.parts, deed.incident_id)
        wish = Wish(kind=_kind(form), scope=scope, usd=form.get("usd"), model=form.get("model"))
        done = deeds.acted(self.parts, deed.incident_id, wish, _by(deed, form))
        undo = self.signer().token(msgspec.structs.replace(deed, purpose="undo", name=done.limit.name))
        return done_page(f"In force: {wish.kind.replace('_', ' ')}, {deeds.in_words(scope)}", done.limit.name, undo)

    def undo(self, deed: Deed, form: Form) -> bytes:
        deeds.undone(self.parts, deed.incident_id, deed.name, _by(deed, form))
        return done_page("Undone", deed.name)


_DEEDS: Final[Mapping[Purpose, Callable[[AlertLinks, Deed, Form], bytes]]] = {
    "acknowledge": AlertLinks.acknowledge,
    "silence": AlertLinks.silence,
    "act": AlertLinks.act,
    "undo": AlertLinks.undo,
}


def _fields(encoded: bytes) -> Form:
    """The fields that are filled in, the last of several alike."""
    read = parse_qs(encoded.decode("latin-1"))
    return {name: stripped for name, values in read.items() if (stripped := values[-1].strip())}


def _by(deed: Deed, form: Form) -> str:
    """Who does it: the name that was given, and the way the link went (`ann, by a link to slack`)."""
    channel = deed.told.rsplit("/", 2)[-2]
    return f"{form.get('by', 'somebody')[:NAME_CHARACTERS]}, by a link to {channel}"


def _kind(form: Form) -> ActionKind:
    """Raises UsageError."""
    for kind in get_args(ActionKind):
        if form.get("kind") == kind:
            return cast(ActionKind, kind)
    raise UsageError("what is to be done?", hint=", ".join(get_args(ActionKind)), field="kind")


def _used() -> LinkOverError:
    return LinkOverError("this link was used already", hint="sign in, or use the newest message")
