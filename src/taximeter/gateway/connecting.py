"""From an origin to an open connection: TLS, client certificates, the way through a proxy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final, cast

from taximeter.gateway.upstream import Origin, Proxy, UpstreamFailure

LONGEST_PROXY_HEAD_BYTES: Final = 64 * 1024


def tls_context(origin: Origin, offered: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext | None:
    """How TLS is spoken with an origin, which may choose among the protocols `offered`; None for one without."""
    if origin.scheme == "http":
        return None
    context = ssl.create_default_context()
    if origin.ca_file is not None:
        context.load_verify_locations(origin.ca_file)
    if origin.client_cert_file is not None:
        context.load_cert_chain(origin.client_cert_file, origin.client_key_file)
    context.set_alpn_protocols(offered)
    return context


async def connected(
    origin: Origin, protocol: asyncio.Protocol, tls: ssl.SSLContext | None, within_seconds: float
) -> None:
    """Connect `protocol` with an origin. Raises UpstreamFailure."""
    try:
        async with asyncio.timeout(within_seconds):
            await _connect(origin, protocol, tls)
    except TimeoutError:
        raise not_accepted(origin) from None
    except ssl.SSLError as error:
        raise UpstreamFailure("tls_failed", f"TLS with {origin.host} failed: {error.reason}") from error
    except OSError as error:
        message = f"cannot connect to {origin.host}:{origin.port}: {error.strerror or error}"
        raise UpstreamFailure("connect_failed", message) from error


def not_accepted(origin: Origin) -> UpstreamFailure:
    """What it is called that an origin let us wait."""
    return UpstreamFailure("connect_timeout", f"{origin.host}:{origin.port} did not accept a connection in time")


async def _connect(origin: Origin, protocol: asyncio.Protocol, tls: ssl.SSLContext | None) -> None:
    """Raises OSError, ssl.SSLError, UpstreamFailure."""
    loop = asyncio.get_running_loop()
    name = origin.host if tls else None
    if origin.proxy is None:
        await loop.create_connection(lambda: protocol, origin.host, origin.port, ssl=tls, server_hostname=name)
    elif tls is None:
        await loop.create_connection(lambda: protocol, origin.proxy.host, origin.proxy.port)
    else:
        tunnel = await _tunnel(origin, origin.proxy)
        transport = await loop.start_tls(tunnel, protocol, tls, server_hostname=name)
        if transport is None:
            raise ConnectionAbortedError("the connection was closed")
        protocol.connection_made(transport)


async def _tunnel(origin: Origin, proxy: Proxy) -> asyncio.Transport:
    """A connection that leads through the proxy to the origin."""
    loop = asyncio.get_running_loop()
    transport, asked = await loop.create_connection(_Asked, proxy.host, proxy.port)
    target = f"{origin.host}:{origin.port}".encode() if ":" not in origin.host else origin.authority
    transport.write(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n%s\r\n" % (target, target, proxy.credentials))
    try:
        status = await asked.status
    except BaseException:
        transport.abort()
        raise
    if status != 200:
        transport.abort()
        raise UpstreamFailure("connect_failed", f"the proxy {proxy.host}:{proxy.port} answered {status}")
    return transport


class _Asked(asyncio.Protocol):
    """Waits for the head of a proxy's answer."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head and not self.status.done():
            self.status.set_result(_status_in(self._head))
        elif len(self._head) > LONGEST_PROXY_HEAD_BYTES:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(exc or ConnectionResetError("the proxy closed the connection"))


def _status_in(head: bytes) -> int:
    """The status of an answer, 0 when there is none in it."""
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:3].isdigit() else 0
