"""Servers of this machine that take what Slack, PagerDuty, Alertmanager and webhooks take, and keep it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Vendor:
    """`answers` are given in turn (status, headers, body), the last one for ever; `taken` are the requests.

    `before` and `after` are called around each answer, with the number of requests so far.
    """

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=lambda: [(200, {}, b"ok")])
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    before: Callable[[int], object] = lambda _number: None
    after: Callable[[int], object] = lambda _number: None

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _path, _headers, body in self.taken]

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate of this machine."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*request, "-keyout", key, "-out", made, *names], check=True, capture_output=True)
    return key, made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def vendor(
    *answers: tuple[int, dict[str, str], bytes], tls: tuple[Path, Path] | None = None, port: int = 0
) -> Iterator[Vendor]:
    told = Vendor(answers=list(answers)) if answers else Vendor()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            told.taken.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            number = len(told.taken)
            told.before(number)
            status, headers, content = told.answer()
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            told.after(number)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[1], tls[0])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    told.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
