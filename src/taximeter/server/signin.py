"""Signing in: a link with a short-lived token → a session cookie.

The link is for people who can see the server's terminal, as with Jupyter. It works until it expires or the server
ends. The answer to the link is a small page that leads on to `/`: a plain redirect would be part of the same
navigation, in which a browser that came from elsewhere does not send a `SameSite=Strict` cookie.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import parse_qs

from taximeter.clock import Clock
from taximeter.server.access import Access, Credentials, cookie_in
from taximeter.server.answers import Message, Receive, Scope, Send, answer
from taximeter.server.page import ICON_LINK, answer_html, sign_in_page

LINK_LIFETIME_SECONDS: Final = 12 * 3600
FORM_LIMIT_BYTES: Final = 4096

_ONWARD: Final = f"""<!doctype html><meta charset="utf-8"><title>taximeter</title>{ICON_LINK}
<meta http-equiv="refresh" content="0;url=/"><p>Signed in. <a href="/">Go on</a></p>
""".encode()


class Sessions(Credentials, Protocol):
    """Credentials, and the sessions of browsers that showed one."""

    @property
    def session_seconds(self) -> int: ...

    def open_session(self) -> str:
        """A new session's token."""
        ...

    def end_session(self, token: str) -> None: ...


class SignInLinks:
    """Tokens of sign-in links, known as hashes, forgotten when the server ends."""

    def __init__(self, clock: Clock, draw: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._clock = clock
        self._draw = draw
        self._expiry_of: dict[bytes, float] = {}

    def issue(self) -> str:
        """A new token; those that have expired are forgotten."""
        now = self._clock.monotonic()
        self._expiry_of = {known: expiry for known, expiry in self._expiry_of.items() if expiry > now}
        token = self._draw()
        self._expiry_of[_hashed(token)] = now + LINK_LIFETIME_SECONDS
        return token

    def admits(self, token: str) -> bool:
        given, now = _hashed(token), self._clock.monotonic()
        return any(hmac.compare_digest(given, known) and expiry > now for known, expiry in self._expiry_of.items())


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class SignIn:
    """`GET /signin?token=...` (the link), `POST /signin` (the form), `POST /signout`."""

    access: Access
    sessions: Sessions
    links: SignInLinks
    secure: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/signin":
            await answer_html(send, 404, sign_in_page("There is nothing here. Sign in:"))
        elif scope["method"] == "POST":
            await self._admit(send, _token_in(await _form(receive)), refused=401)
        elif scope["query_string"]:
            await self._admit(send, _token_in(scope["query_string"]), refused=401)
        else:
            await answer_html(send, 200, sign_in_page())

    async def _admit(self, send: Send, token: str, refused: int) -> None:
        if not (self.links.admits(token) or self._is_admin_key(token)):
            reason = "This link has expired or is wrong. Take the newest one."
            await answer_html(send, refused, sign_in_page(reason))
            return
        session = self._cookie(await asyncio.to_thread(self.sessions.open_session), self.sessions.session_seconds)
        await answer_html(send, 200, _ONWARD, [session])

    def _is_admin_key(self, token: str) -> bool:
        caller = self.sessions.key(token) if token else None
        return caller is not None and caller.may("admin")

    async def sign_out(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Ends the session of the cookie; for one that is not known it does nothing."""
        if scope["method"] != "POST":
            await answer(send, 405, b"", [(b"allow", b"POST")])
            return
        token = cookie_in(scope, self.access.cookie)
        if token:
            await asyncio.to_thread(self.sessions.end_session, token)
        await answer_html(send, 200, sign_in_page("You are signed out."), [self._cookie("", 0)])

    def _cookie(self, value: str, seconds: int) -> tuple[bytes, bytes]:
        text = f"{self.access.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        return b"set-cookie", (text + "; Secure" if self.secure else text).encode()


async def _form(receive: Receive) -> bytes:
    body = b""
    while len(body) <= FORM_LIMIT_BYTES:
        message: Message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body[:FORM_LIMIT_BYTES]


def _token_in(encoded: bytes) -> str:
    return parse_qs(encoded.decode("latin-1")).get("token", [""])[0]
