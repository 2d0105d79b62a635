"""A provider on this machine that gives one prepared answer, and what the SDK wrote about it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"


def case(name: str) -> dict[str, Any]:
    """A recorded interaction by its id."""
    return dict(json.loads((CASES / f"{name}.json").read_text()))


@dataclass
class Answer:
    """What the provider says. `cut_after` breaks the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    cut_after: int | None = None


@dataclass
class Provider:
    """`answers` are given in turn, the last one for ever; `requests` are what came: path, headers, parsed body."""

    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    held: threading.Event | None = None
    url: str = ""

    def says(self, recorded: dict[str, Any], **changes: Any) -> None:
        response = recorded["response"]
        kind = next(v for k, v in response["headers"].items() if k.lower() == "content-type")
        self.answers = [Answer(response["status"], response["body"].encode(), kind, **changes)]

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def serve(provider: Provider) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.requests.append((self.path, headers, json.loads(body) if body else None))
            if provider.held is not None:
                provider.held.wait(10)
            self._say(provider.next_answer())

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            if answer.cut_after is None:
                self.wfile.write(answer.body)
                return
            self.wfile.write(answer.body[: answer.cut_after])
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that hangs up is part of the tests

    server = Server(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@dataclass
class Written:
    """The lines that the SDK left in a data directory."""

    data: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        found = sorted(self.data.rglob("*.ndjson"))
        return [json.loads(line) for path in found for line in path.read_bytes().splitlines()]

    @property
    def begun(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("record") == "begin"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "record" not in line]

    @property
    def event(self) -> dict[str, Any]:
        """The only event, which ends the only begun call."""
        (event,) = self.events
        assert [begun["event_id"] for begun in self.begun] == [event["event_id"]]
        return event
