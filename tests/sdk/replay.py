"""A provider on this machine that gives one prepared answer, and what the SDK wrote about it."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from taximeter.spool import SpoolReader

CASES = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"


def case(name: str) -> dict[str, Any]:
    """A recorded interaction by its id."""
    return dict(json.loads((CASES / f"{name}.json").read_text()))


COUNTS = {
    "cache_read": "cache_read_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_in": "input_audio_tokens",
    "audio_out": "output_audio_tokens",
}
WHOLES = {"input_tokens_total": "input_tokens", "output_tokens_total": "output_tokens"}


def agrees(event: dict[str, Any], expected: dict[str, Any]) -> None:
    """An event has the usage that a recorded interaction expects."""
    assert event.get("response_model") or expected["model"] in (None, event.get("request_model"))
    for name, field_name in {**WHOLES, **COUNTS}.items():
        accepted = [expected[name], *expected.get("accept", {}).get(name, [])]
        found = event.get(field_name)
        if name in COUNTS:
            assert (found or 0) in [value or 0 for value in accepted], field_name
        elif expected["usage_present"]:
            assert found in accepted, field_name


@dataclass
class Answer:
    """What the provider says. `cut_after` breaks the connection after so many bytes of the body; after
    `pause_after` bytes the provider waits until it is told to `go_on`."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    cut_after: int | None = None
    pause_after: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Provider:
    """`answers` are given in turn, the last one for ever; `requests` are what came: path, headers, parsed body.

    It takes events as a taximeter server does, into `shipped`. Streams are sent as recorded, or, when it does not
    `tells_usage_always`, with the usage chunk only for those who ask.
    """

    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    tells_usage_always: bool = True
    shipped: list[dict[str, Any]] = field(default_factory=list)
    ingest_keys: list[str | None] = field(default_factory=list)
    held: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def says(self, recorded: dict[str, Any], **changes: Any) -> None:
        response = recorded["response"]
        headers = {name.lower(): value for name, value in response["headers"].items()}
        kind = headers.pop("content-type")
        body = response["body"].encode() if "body" in response else base64.b64decode(response["body_base64"])
        self.answers = [Answer(response["status"], body, kind, headers=headers, **changes)]

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _asks(provider: Provider) -> bool:
    body = provider.requests[-1][2] or {}
    return bool(body.get("stream_options", {}).get("include_usage"))


def _without_usage(body: bytes) -> bytes:
    return b"\n\n".join(event for event in body.split(b"\n\n") if b'"choices":[]' not in event)


def _write(handler: BaseHTTPRequestHandler, answer: Answer, go_on: threading.Event) -> None:
    handler.send_response(answer.status)
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body))}
    for name, value in {**headers, **answer.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if answer.pause_after is not None:
        handler.wfile.write(answer.body[: answer.pause_after])
        go_on.wait(100)
        handler.wfile.write(answer.body[answer.pause_after :])
        return
    if answer.cut_after is None:
        handler.wfile.write(answer.body)
        return
    handler.wfile.write(answer.body[: answer.cut_after])
    handler.close_connection = True


def serve(provider: Provider) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if self.path == "/v1/events":
                self._take(gzip.decompress(body), headers)
                return
            provider.requests.append((self.path, headers, json.loads(body) if body else None))
            provider.arrived.set()
            if provider.held is not None:
                provider.held.wait(100)
            self._say(provider.next_answer(), hide_usage=not provider.tells_usage_always and not _asks(provider))

        def do_GET(self) -> None:
            self.do_POST()

        def _take(self, body: bytes, headers: dict[str, str]) -> None:
            events = [json.loads(line) for line in body.splitlines()]
            provider.shipped += events
            provider.ingest_keys.append(headers.get("authorization"))
            self._say(Answer(202, json.dumps({"accepted": len(events), "duplicates": 0, "rejected": []}).encode()))

        def _say(self, answer: Answer, hide_usage: bool = False) -> None:
            answer = replace(answer, body=_without_usage(answer.body)) if hide_usage else answer
            _write(self, answer, provider.go_on)

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
        directories = {path.parent for path in self.data.rglob("*.ndjson")}
        return [json.loads(line) for path in sorted(directories) for line in SpoolReader(path).read({}).lines]

    @property
    def begun(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("record") == "begin"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "record" not in line]

    @property
    def event(self) -> dict[str, Any]:
        """The only event, and no other call was begun."""
        (event,) = self.events
        assert {begun["event_id"] for begun in self.begun} <= {event["event_id"]}
        return event
