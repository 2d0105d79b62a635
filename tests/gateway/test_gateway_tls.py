"""TLS to a provider: its certificate is checked, and a certificate authority of one's own can be named."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Literal

import pytest
import uvloop
from gateway_rig import ScriptedProvider, whole

from taximeter.gateway.http1 import Http1
from taximeter.gateway.upstream import Origin, Outgoing, Proxy, UpstreamFailure, proxy_at, read_to_end

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
GET = Outgoing(b"GET", b"/v1/models", [])


async def ask(certificate: tuple[Path, Path], ca_file: Path | None, host: str = "localhost") -> list[bytes]:
    """Two answers over TLS, the second on the connection of the first."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate[1], certificate[0])
    scripted = ScriptedProvider()
    scripted.plays = [whole(b"secret" * 50_000)]
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    origin = Origin("https", host, server.sockets[0].getsockname()[1], str(ca_file) if ca_file else None)
    client = Http1()
    try:
        answers = [(await read_to_end(await client.send(origin, GET))).body for _ in range(2)]
        assert scripted.connections == 1
        return answers
    finally:
        await client.aclose()
        await scripted.close()
        server.close()


def test_a_named_authority_is_trusted(certificate: tuple[Path, Path]) -> None:
    assert uvloop.run(ask(certificate, certificate[1])) == [b"secret" * 50_000] * 2


@pytest.mark.parametrize(("trusted", "host"), [(False, "localhost"), (True, "127.0.0.1")])
def test_an_unknown_authority_or_another_name_is_not(certificate: tuple[Path, Path], trusted: bool, host: str) -> None:
    with pytest.raises(UpstreamFailure) as failed:
        uvloop.run(ask(certificate, certificate[1] if trusted else None, host))
    assert (failed.value.kind, failed.value.http_status) == ("tls_failed", 502)


# ── client certificates ──────────────────────────────────────────────────────────────────────────────────────


async def ask_who_we_are(certificate: tuple[Path, Path], *, shown: bool) -> int:
    """The status of an answer from a provider that wants to see a certificate."""
    key_file, certificate_file = certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate_file))
    tls.load_cert_chain(certificate_file, key_file)
    tls.verify_mode = ssl.CERT_REQUIRED
    scripted = ScriptedProvider()
    scripted.plays = [whole(b"{}")]
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    ours = (str(certificate_file), str(key_file)) if shown else (None, None)
    origin = Origin("https", "localhost", server.sockets[0].getsockname()[1], str(certificate_file), *ours)
    client = Http1()
    try:
        return (await client.send(origin, GET)).status
    finally:
        await client.aclose()
        await scripted.close()
        server.close()


def test_a_provider_that_wants_our_certificate_is_shown_it(certificate: tuple[Path, Path]) -> None:
    assert uvloop.run(ask_who_we_are(certificate, shown=True)) == 200


def test_without_a_certificate_that_is_wanted_there_is_no_answer(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(UpstreamFailure):
        uvloop.run(ask_who_we_are(certificate, shown=False))


# ── proxies ──────────────────────────────────────────────────────────────────────────────────────────────────


class ScriptedProxy:
    """An HTTP proxy that tunnels, or answers `status` instead; it keeps the heads of what it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.heads: list[str] = []
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self._status != 200:
            writer.write(f"HTTP/1.1 {self._status} No\r\n\r\n".encode())
            writer.close()
            return
        method, target, _ = head.split(" ", 2)
        if method != "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            writer.close()
            return
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer), return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def ask_through(proxy: ScriptedProxy, certificate: tuple[Path, Path] | None, user: str | None) -> bytes:
    """An answer from a provider behind a proxy; with TLS when there is a certificate."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate[1], certificate[0])
    scripted = ScriptedProvider()
    scripted.plays = [whole(b"far away " * 50_000)]
    provider = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    between = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    way = Proxy("127.0.0.1", between.sockets[0].getsockname()[1], user)
    ca_file = None if certificate is None else str(certificate[1])
    scheme: Literal["http", "https"] = "http" if certificate is None else "https"
    origin = Origin(scheme, "localhost", provider.sockets[0].getsockname()[1], ca_file, proxy=way)
    client = Http1()
    try:
        answers = [(await read_to_end(await client.send(origin, GET))).body for _ in range(2)]
        assert len(set(answers)) == 1
        return answers[0]
    finally:
        await client.aclose()
        await scripted.close()
        between.close()
        provider.close()
        await asyncio.sleep(0.01)


def test_tls_goes_through_a_proxy_that_sees_nothing_of_it(certificate: tuple[Path, Path]) -> None:
    proxy = ScriptedProxy()
    assert uvloop.run(ask_through(proxy, certificate, "me:pass word")) == b"far away " * 50_000
    (head,) = proxy.heads  # one tunnel for both requests
    assert head.startswith("CONNECT localhost:")
    assert "proxy-authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in head
    assert "/v1/models" not in head


def test_without_tls_the_proxy_is_asked_for_the_whole_address() -> None:
    proxy = ScriptedProxy()
    assert uvloop.run(ask_through(proxy, None, "me:pw")) == b"{}"
    assert proxy.heads[0].startswith("GET http://localhost:")
    assert "/v1/models HTTP/1.1" in proxy.heads[0]
    assert "proxy-authorization: Basic bWU6cHc=\r\n" in proxy.heads[0]


def test_a_proxy_that_refuses_is_a_failure_that_never_left(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(UpstreamFailure) as failed:
        uvloop.run(ask_through(ScriptedProxy(407), certificate, None))
    assert failed.value.kind == "connect_failed"
    assert "answered 407" in failed.value.message


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128)),
        ("http://me:p%40ss@proxy:3128/", Proxy("proxy", 3128, "me:p@ss")),
        ("http://[::1]", Proxy("::1", 80)),
    ],
)
def test_the_address_of_a_proxy(url: str, proxy: Proxy) -> None:
    assert proxy_at(url) == proxy
    assert proxy_at(proxy.url) == proxy
    assert "p@ss" not in repr(proxy)
