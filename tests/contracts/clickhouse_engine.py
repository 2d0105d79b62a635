"""ClickHouse's engine behind its HTTP protocol, in a process of its own: `clickhouse_engine.py FOLDER`.

chDB keeps one engine a process, and answers one statement at a time. The port is told on standard output; the process
ends with its standard input. What is asked for under `/faults` (a JSON list) happens to the next statements that
contain a text, each once:

    {"text": "INSERT INTO events", "what": "drop before"}     the connection ends, nothing has happened
    {"text": ..., "what": "drop after"}                       it has happened, and the connection ends
    {"text": ..., "what": "twice"}                            it happens twice
    {"text": ..., "what": "error"}                            500, nothing has happened
    {"text": ..., "what": "cut"}                              half of the answer
    {"text": ..., "what": "slow", "seconds": 3}               the answer comes late
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

OF_THE_PROTOCOL = {
    "query",
    "database",
    "readonly",
    "wait_end_of_query",
    "cancel_http_readonly_queries_on_client_close",
    "max_execution_time",
}
"""What is no setting of the engine, or would hold for all later statements."""


FOR_SMALL_TABLES = {"max_threads": 1, "compile_expressions": 0, "compile_aggregate_expressions": 0}
"""Threads and machine code for each statement cost more than they spare here."""


class Engine:
    def __init__(self, folder: str) -> None:
        opened: Any = Session
        self._session = opened(folder)
        for name, value in FOR_SMALL_TABLES.items():
            self._session.query(f"SET {name} = {value}")
        self._lock = threading.Lock()
        self._set: dict[str, str] = {}
        self.faults: list[dict[str, Any]] = []

    def answer(self, asked: dict[str, str], statement: bytes) -> bytes:
        with self._lock:
            for name, value in asked.items():
                if name not in OF_THE_PROTOCOL and self._set.get(name) != value:
                    self._session.query(f"SET {name} = '{value}'")
                    self._set[name] = value
            self._session.query(f"USE {asked['database']}")
            return bytes(self._session.query(statement, "TabSeparated").bytes())

    def fault(self, statement: bytes) -> dict[str, Any]:
        for fault in self.faults:
            if fault["text"].encode() in statement:
                self.faults.remove(fault)
                return fault
        return {"what": None}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    engine: Engine

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urlsplit(self.path)
        if url.path == "/faults":
            self.engine.faults = json.loads(body)
            self._say(200, b"")
            return
        asked = dict(parse_qsl(url.query, keep_blank_values=True))
        statement = asked["query"].encode() + b"\n" + body if "query" in asked else body
        self._answer(asked, statement, self.engine.fault(statement))

    def _answer(self, asked: dict[str, str], statement: bytes, fault: dict[str, Any]) -> None:
        what = fault["what"]
        if what == "drop before":
            self._hang_up()
        elif what == "error":
            self._say(500, b"Code: 999. DB::Exception: of the test", code="999")
        else:
            self._answer_really(asked, statement, fault)

    def _answer_really(self, asked: dict[str, str], statement: bytes, fault: dict[str, Any]) -> None:
        try:
            for _ in range(2 if fault["what"] == "twice" else 1):
                answer = self.engine.answer(asked, statement)
        except RuntimeError as error:
            found = re.search(r"Code: (\d+)", str(error))
            self._say(400, str(error).encode(), code=found[1] if found else "0")
            return
        if fault["what"] == "slow":
            threading.Event().wait(fault["seconds"])
        if fault["what"] == "drop after":
            self._hang_up()
        else:
            self._say(200, answer, cut=fault["what"] == "cut")

    def _say(self, status: int, content: bytes, *, code: str | None = None, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


def main() -> None:
    Handler.engine = Engine(sys.argv[1])
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
