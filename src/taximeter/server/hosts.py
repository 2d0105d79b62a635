"""Which names we answer to when nobody needs a credential.

With `auth: off` the only defence is who can reach the port, and a browser can. A page of another site may give its own
name our address (DNS rebinding), and then reads from us as from its own server; or it posts to us what it cannot read
the answer of. It cannot change the headers `Host` and `Origin`, which name that site. An address in place of a name
cannot be rebound.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from taximeter.errors import PermissionDeniedError
from taximeter.server.answers import App, Receive, Scope, Send, answer_error, close_socket, header

FOR_PROBES = ("/healthz", "/readyz")
"""Tell nothing, and are asked by machines that call us as they like."""


def only_for_hosts(app: App, hosts: Iterable[str]) -> App:
    """The application, for requests to this machine's own name or to `hosts`, and from pages that came from there.

    One of `hosts` that stands for all addresses (`0.0.0.0`, `::`) allows any address.
    """
    named = {host.strip("[]").lower() for host in hosts if host}

    async def only(scope: Scope, receive: Receive, send: Send) -> None:
        stranger = _stranger(scope, named) if scope["type"] in ("http", "websocket") else None
        if stranger is None:
            await app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await close_socket(scope, receive, send)
            return
        error = PermissionDeniedError(
            f"this server needs no credential, and therefore answers only under its own name, not '{stranger}'",
            hint="set server.public_url to the address people use, or server.auth to required",
        )
        await answer_error(send, error)

    return only


def _stranger(scope: Scope, named: set[str]) -> str | None:
    """The name in `Host` or `Origin` that is not ours, or None."""
    if scope["path"] in FOR_PROBES:
        return None
    names = [name_in(f"//{header(scope, b'host') or ''}")]
    origin = header(scope, b"origin")
    if origin is not None:
        names.append(name_in(origin))
    return next((name for name in names if not is_ours(name, named)), None)


def name_in(url: str) -> str:
    """The host in a URL: `http://localhost:8787` → `localhost`, `//[::1]:8787` → `::1`; empty when there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_ours(host: str, named: set[str]) -> bool:
    if host in named or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(_stands_for_all(name) for name in named)


def _stands_for_all(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
