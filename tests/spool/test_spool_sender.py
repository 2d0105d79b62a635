"""The sender against a real HTTP server: everything arrives, nothing is deleted before it has."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from spool_rig import StillClock, all_lines, begin, event_id, line, progress, start_process

from taximeter.clock import SystemClock
from taximeter.errors import UsageError
from taximeter.spool import Spool, list_segments
from taximeter.spool.sender import NotNowError, Sender, SenderLimits

Answer = tuple[int, dict[str, str], dict[str, Any]]


class Server:
    """Takes events as the real one does, unless `answer` says otherwise."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.answer: Callable[[list[dict[str, Any]]], Answer | None] = lambda events: None
        self.connections = 0
        self.hang_ups = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def take(self, events: list[dict[str, Any]]) -> Answer:
        said = self.answer(events)
        if said is not None:
            return said
        ids = [event.get("event_id") or event["outcome_id"] for event in events]
        fresh = {one: event for one, event in zip(ids, events, strict=True) if one not in self.events}
        self.events.update(fresh)
        return 202, {}, {"accepted": len(fresh), "duplicates": len(events) - len(fresh), "rejected": []}

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler inside
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                events = [json.loads(one) for one in body.splitlines()]
                server.requests.append({"path": self.path, "headers": self.headers, "events": len(events)})
                if server.hang_ups:
                    server.hang_ups -= 1
                    self.close_connection = True
                    return
                status, headers, answer = server.take(events)
                content = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "outbox", clock=SystemClock(), writer="sdk")
    yield spool
    spool.close()


@pytest.fixture
def sender(spool: Spool, server: Server) -> Iterator[Sender]:
    """One that the test steps by hand."""
    sender = Sender(spool, url=server.url, key="tm_key", clock=StillClock(), chance=lambda: 0.5)
    spool.on_written = None
    yield sender
    sender.stop()


def step_to_the_end(sender: Sender) -> None:
    while sender.step():
        pass


def test_events_arrive_with_the_key_on_one_connection(spool: Spool, sender: Sender, server: Server) -> None:
    for number in range(3):
        spool.append(line(number, user_id=f"u{number}"))
        step_to_the_end(sender)

    assert [event["user_id"] for event in server.events.values()] == ["u0", "u1", "u2"]
    assert server.requests[0]["path"] == "/v1/events"
    assert server.requests[0]["headers"]["Authorization"] == "Bearer tm_key"
    assert server.connections == 1
    assert sender.status.sent_events == 3
    assert sender.status.unsent_bytes == 0


def test_the_thread_sends_what_the_spool_writes_and_flush_waits_for_it(spool: Spool, server: Server) -> None:
    sender = Sender(spool, url=server.url, key=None, clock=SystemClock())
    spool.extend([line(number) for number in range(1200)])

    assert sender.flush(90)
    assert len(server.events) == 1200
    assert max(request["events"] for request in server.requests) == 500
    sender.stop()


def test_only_acknowledged_segments_are_deleted(spool: Spool, sender: Sender, server: Server) -> None:
    spool.append(line(1))
    spool.close()
    server.answer = lambda events: (503, {}, {})
    with pytest.raises(NotNowError):
        sender.step()
    assert len(list_segments(spool.directory)) == 1

    server.answer = lambda events: None
    step_to_the_end(sender)
    assert list_segments(spool.directory) == []
    assert len(server.events) == 1


def test_begins_and_progress_stay_here_and_open_calls_keep_their_segment(
    spool: Spool, sender: Sender, server: Server
) -> None:
    spool.extend([begin(1), progress(1, 5), line(2)])
    spool.flush()
    with spool._lock:
        spool._retire()
    spool.flush()
    step_to_the_end(sender)
    assert [list(server.events), len(list_segments(spool.directory))] == [[event_id(2)], 1]

    spool.append(line(1))
    step_to_the_end(sender)
    assert list(server.events) == [event_id(2), event_id(1)]
    assert [segment.sealed for segment in list_segments(spool.directory)] == [False]


def test_outcomes_are_sent_as_events_are(spool: Spool, sender: Sender, server: Server) -> None:
    spool.extend([begin(1), b'{"record":"outcome","outcome_id":"o1","name":"sold"}', line(2)])
    step_to_the_end(sender)
    assert list(server.events) == ["o1", event_id(2)]


def test_what_another_process_left_behind_is_sent_too(
    tmp_path: Path, spool: Spool, sender: Sender, server: Server
) -> None:
    spool.directory.mkdir(parents=True)
    (spool.directory / "sdk-1-1.lock").touch()
    (spool.directory / "sdk-1-1-000001.ndjson").write_bytes(begin(1) + b"\n" + line(2) + b"\n" + line(3)[:30])
    step_to_the_end(sender)

    assert {key: event.get("status") for key, event in server.events.items()} == {
        event_id(1): "interrupted",
        event_id(2): None,
    }


def test_a_lost_answer_means_sending_again_which_counts_once(spool: Spool, sender: Sender, server: Server) -> None:
    spool.append(line(1))
    server.hang_ups = 1
    with pytest.raises(OSError, match=r"does not speak HTTP|closed|reset"):
        sender.step()
    step_to_the_end(sender)
    assert list(server.events) == [event_id(1)]


def test_a_connection_that_idled_out_is_opened_again(spool: Spool, sender: Sender, server: Server) -> None:
    spool.append(line(1))
    step_to_the_end(sender)
    server.hang_ups = 1
    spool.append(line(2))
    step_to_the_end(sender)

    assert len(server.events) == 2
    assert server.connections == 2


def test_a_restarted_sender_goes_on_where_it_stopped(spool: Spool, sender: Sender, server: Server) -> None:
    spool.append(line(1))
    step_to_the_end(sender)
    sender.stop()
    spool.append(line(2))
    again = Sender(spool, url=server.url, key=None, clock=StillClock())
    spool.on_written = None
    step_to_the_end(again)

    assert [request["events"] for request in server.requests] == [1, 1]
    again.stop()


@pytest.mark.parametrize("marks", ["", "{", "[]", '{"gone-1-1-000001": 5}'])
def test_lost_marks_only_mean_sending_again(spool: Spool, sender: Sender, server: Server, marks: str) -> None:
    spool.append(line(1))
    step_to_the_end(sender)
    sender.stop()
    (spool.directory / "sent.json").write_text(marks)
    again = Sender(spool, url=server.url, key=None, clock=StillClock())
    spool.on_written = None
    step_to_the_end(again)

    assert again.status.duplicate_events == 1
    assert len(server.events) == 1
    again.stop()


def test_rejected_events_are_kept_aside_and_counted(spool: Spool, sender: Sender, server: Server) -> None:
    def one_is_bad(events: list[dict[str, Any]]) -> Answer:
        rejection = {"index": 1, "code": "usage_violation", "message": "no"}
        return 202, {}, {"accepted": len(events) - 1, "duplicates": 0, "rejected": [rejection]}

    server.answer = one_is_bad
    spool.extend([line(1), line(2), line(3)])
    step_to_the_end(sender)

    (kept,) = (json.loads(one) for one in (spool.directory / "rejected.ndjson").read_text().splitlines())
    assert (kept["reason"], kept["line"]) == ("usage_violation", line(2).decode())
    assert sender.status.rejected_events == {"usage_violation": 1}
    assert sender.status.unsent_bytes == 0


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_that_is_refused_is_divided_until_the_culprit_is_found(
    spool: Spool, sender: Sender, server: Server, status: int
) -> None:
    def refuses(events: list[dict[str, Any]]) -> Answer | None:
        if any(event.get("poison") for event in events):
            return status, {}, {"error": {"code": "usage", "message": "cannot"}}
        return None

    server.answer = refuses
    spool.extend([line(number, poison=True) if number == 7 else line(number) for number in range(20)])
    step_to_the_end(sender)

    assert len(server.events) == 19
    assert sender.status.rejected_events == {f"http_{status}": 1}


@pytest.mark.parametrize(
    ("status", "headers", "body", "pause"),
    [
        (429, {"Retry-After": "7"}, {}, 7.0),
        (503, {"Retry-After": "0.25"}, {}, 0.25),
        (503, {"Retry-After": "999999"}, {}, 3600.0),
        (500, {}, {}, None),
        (404, {}, {}, None),
        (301, {"Location": "http://elsewhere"}, {}, None),
        (400, {}, {"not": "ours"}, None),
        (200, {}, {"hello": "not ours"}, None),
        (401, {}, {"error": {"code": "unauthenticated", "message": "no"}}, 60.0),
        (403, {}, {}, 60.0),
    ],
)
def test_whatever_else_a_server_says_everything_is_kept(
    spool: Spool, sender: Sender, server: Server, status: int, headers: dict[str, str], body: Any, pause: float | None
) -> None:
    server.answer = lambda events: (status, headers, body)
    spool.append(line(1))
    with pytest.raises(NotNowError) as refused:
        sender.step()

    assert refused.value.retry_after_seconds == pause
    assert sender.status.unsent_bytes > 0
    assert not (spool.directory / "rejected.ndjson").exists()


def test_pauses_grow_and_are_not_the_same_for_everybody(sender: Sender) -> None:
    pauses = [sender._pause_seconds(failures, OSError()) for failures in range(1, 12)]

    assert pauses[:4] == [0.375, 0.75, 1.5, 3.0]
    assert pauses[-1] == 45.0


def test_a_dead_server_does_not_matter_to_anybody(spool: Spool, server: Server) -> None:
    server.close()
    sender = Sender(spool, url=server.url, key=None, clock=SystemClock())
    spool.append(line(1))

    assert not sender.flush(0.3)
    assert sender.status.unsent_bytes > 0
    assert "refused" in (sender.status.last_error or "")
    sender.stop()


def test_one_process_ships_a_directory_and_another_takes_over(spool: Spool, sender: Sender, server: Server) -> None:
    other = Sender(spool, url=server.url, key=None, clock=StillClock())
    spool.on_written = None
    spool.append(line(1))
    step_to_the_end(sender)
    spool.append(line(2))
    assert other.step() == 0
    assert not other.status.sending

    sender.stop()
    step_to_the_end(other)
    assert [request["events"] for request in server.requests] == [1, 1]
    other.stop()


def test_a_forked_child_sends_too_and_leaves_its_parents_lock_alone(tmp_path: Path, server: Server) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.spool import Spool
        from taximeter.spool.sender import Sender

        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="sdk")
        sender = Sender(spool, url=sys.argv[2], key=None, clock=SystemClock())
        spool.append(sys.argv[3].encode())
        assert sender.flush(90)
        child = os.fork()
        if not child:
            spool.append(sys.argv[4].encode())
            os._exit(0 if sender.flush(90) else 1)
        assert os.waitpid(child, 0)[1] == 0
        print(sender.status.sending)
    """
    process = start_process(code, tmp_path, server.url, line(1).decode(), line(2).decode())

    assert process.communicate()[0] == "True\n"
    assert list(server.events) == [event_id(1), event_id(2)]


def test_killed_senders_lose_nothing_and_double_nothing(tmp_path: Path, server: Server) -> None:
    code = """
        import os, sys, threading
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.core.ids import uuid7
        from taximeter.spool import Spool
        from taximeter.spool.sender import Sender, SenderLimits

        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="sdk")
        limits = SenderLimits(batch_lines=7)
        sender = Sender(spool, url=sys.argv[2], key=None, clock=SystemClock(), limits=limits)
        sender.start()
        while True:
            name = uuid7(0, os.urandom(10))
            spool.append(b'{"event_id":"%b","started_at":"2026-09-21T14:13:20.000000Z"}' % name.encode())
            os.write(1, name.encode() + b"\\n")
    """
    written = set[str]()
    for lines in (50, 400, 1500):
        process = start_process(code, tmp_path, server.url)
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        written |= {
            one.strip() for one in seen + process.communicate()[0].splitlines(keepends=True) if one[-1:] == "\n"
        }

    spool = Spool(tmp_path, clock=SystemClock(), writer="sdk")
    sender = Sender(spool, url=server.url, key=None, clock=StillClock(), limits=SenderLimits(batch_lines=5000))
    step_to_the_end(sender)
    assert written <= set(server.events)
    assert all_lines(tmp_path) == []
    sender.stop()


@pytest.mark.parametrize("url", ["", "localhost:8787", "ftp://host", "http://"])
def test_an_address_that_is_none_is_said_at_once(spool: Spool, url: str) -> None:
    with pytest.raises(UsageError, match="not a server's URL"):
        Sender(spool, url=url, key=None, clock=StillClock())
