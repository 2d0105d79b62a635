"""TLS to a provider: its certificate is checked, and a certificate authority of one's own can be named."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import uvloop
from gateway_rig import ScriptedProvider, whole

from taximeter.gateway.upstream import Http1, Origin, Outgoing, UpstreamFailure, read_to_end

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
GET = Outgoing(b"GET", b"/v1/models", [])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*request, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True)
    return key, certificate


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
