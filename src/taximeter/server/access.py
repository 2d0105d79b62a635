"""Who is asking, and may they.

A credential is one of
  a key            `Authorization: Bearer KEY` (or `X-Taximeter-Key`, `X-Api-Key`); one scope, `admin` may everything.
                   What only knows names and passwords gives it as the password of `Authorization: Basic`, for plain
                   reads: browsers keep such a password, and send it along with what other sites' pages ask for
  the local token  the same way; it is in owner.json, readable by the user who runs the server, and may everything
  a session        the page's cookie, got through a sign-in link; it may everything

A session's request that is not a plain read must carry `X-Requested-With`, which another site's page cannot send
without asking first, and we never consent. Together with `SameSite=Strict` that is the defence against forgery.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal, Protocol

from taximeter.errors import AuthenticationError, PermissionDeniedError
from taximeter.server.answers import Scope, header

Right = Literal["gateway", "ingest", "read", "admin"]
CSRF_HEADER: Final = b"x-requested-with"
PLAIN_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever is behind a request. `attributes` are bound to the key; `attributes_win` over what is said otherwise."""

    kind: Literal["key", "local", "session", "anyone"]
    scope: str
    name: str
    key_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    attributes_win: bool = True

    def may(self, right: Right) -> bool:
        return self.scope in (right, "admin")


class Credentials(Protocol):
    """What is known of keys and sessions. Both answer None for what is unknown, expired or revoked."""

    def key(self, secret: str) -> Caller | None: ...

    def session(self, token: str) -> Caller | None: ...


class Access:
    """Decides for every face except the gateway, which speaks its providers' own refusals."""

    def __init__(self, credentials: Credentials, *, local_token: str, cookie: str, open_to_all: bool = False) -> None:
        self.cookie = cookie
        self._credentials = credentials
        self._local_token = local_token
        self._open_to_all = open_to_all

    def caller(self, scope: Scope) -> Caller:
        """Raises AuthenticationError without a valid credential, PermissionDeniedError for a forged-looking request."""
        secret = _secret_in(scope)
        if secret:
            return self._by_secret(secret)
        session = self._session(scope)
        if session is not None:
            if scope["method"] not in PLAIN_READS and header(scope, CSRF_HEADER) is None:
                raise PermissionDeniedError(
                    "a signed-in browser must send the header X-Requested-With with this request",
                    hint="or use a key: Authorization: Bearer KEY",
                )
            return session
        if self._open_to_all:
            return Caller("anyone", "admin", "anyone")
        raise AuthenticationError(
            "a credential is needed",
            hint="send Authorization: Bearer KEY, or sign in with the link that `taximeter up` printed",
        )

    def allowed(self, scope: Scope, right: Right) -> Caller:
        """The caller, when it has the right. Raises AuthenticationError or PermissionDeniedError."""
        caller = self.caller(scope)
        if not caller.may(right):
            raise PermissionDeniedError(
                f"a credential with the scope '{right}' is needed, this one has '{caller.scope}'",
                hint=f"make one: taximeter keys create --name NAME --scope {right}",
                needed=right,
            )
        return caller

    def _by_secret(self, secret: str) -> Caller:
        if hmac.compare_digest(secret.encode(), self._local_token.encode()):
            return Caller("local", "admin", "this machine's user")
        caller = self._credentials.key(secret)
        if caller is None:
            raise AuthenticationError(
                "this key is not known, or it was revoked", hint="list the keys with: taximeter keys list"
            )
        return caller

    def _session(self, scope: Scope) -> Caller | None:
        token = cookie_in(scope, self.cookie)
        return self._credentials.session(token) if token else None


def _secret_in(scope: Scope) -> str | None:
    authorization = header(scope, b"authorization")
    if authorization and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    if authorization and authorization[:6].lower() == "basic " and scope["method"] in PLAIN_READS:
        return _password_in(authorization[6:])
    return header(scope, b"x-taximeter-key") or header(scope, b"x-api-key")


def _password_in(encoded: str) -> str | None:
    """The password; the name where there is no password. What cannot be decoded is neither."""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password or name


def cookie_in(scope: Scope, name: str) -> str | None:
    """The value of a cookie; what cannot be parsed is no cookie."""
    text = header(scope, b"cookie")
    if not text:
        return None
    try:
        morsel = SimpleCookie(text).get(name)
    except CookieError:
        return None
    return morsel.value if morsel else None
