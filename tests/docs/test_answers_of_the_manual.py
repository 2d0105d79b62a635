"""The answers in the manual are those of a server: the same keys, values of the same kinds."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import httpx
import pytest
from documented_blocks import BLOCKS, ROOT, Block

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7

pytestmark = pytest.mark.timeout(360)
PATIENCE_SECONDS = 90.0
CALLS = 20
NEGOTIATED = (ROOT / "examples" / "prices-illustrative.yaml").read_text()


@dataclass(frozen=True)
class Server:
    url: str
    key: str

    def post(self, path: str, question: Any) -> Any:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.post(self.url + path, json=question, headers=headers, timeout=PATIENCE_SECONDS).json()

    def get(self, path: str) -> Any:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.get(self.url + path, headers=headers, timeout=PATIENCE_SECONDS).json()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def ready(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with calls of the last days."""
    data, port = tmp_path_factory.mktemp("data"), free_port()
    program = [sys.executable, "-m", "taximeter"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAXIMETER_")}
    command = [*program, "up", "--data", str(data), "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment, cwd=data) as process:
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE_SECONDS
            while not ready(url) and time.monotonic() < end:
                time.sleep(0.2)
            here = Server(url, key_of(program, data, environment))
            assert here.post("/v1/events", [call(number) for number in range(CALLS)])["accepted"] == CALLS
            while here.get("/api/v1/events?from=30d&limit=100")["events"] == [] and time.monotonic() < end:
                time.sleep(0.2)
            yield here
        finally:
            process.kill()


def key_of(program: list[str], data: Path, environment: dict[str, str]) -> str:
    made = [*program, "keys", "create", "--name", "k", "--scope", "admin", "--data", str(data), "--format", "json"]
    done = subprocess.run(made, capture_output=True, text=True, check=True, env=environment)
    return str(json.loads(done.stdout)["key"])


def call(number: int) -> dict[str, Any]:
    at_us = SystemClock().now_us() - number * 12 * 3_600_000_000
    return {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us),
        "provider": "openai",
        "request_model": "gpt-4o",
        "operation": "chat",
        "status": "ok",
        "feature": "chat",
        "environment": "prod",
        "user_id": f"user_{number % 3}",
        "input_tokens": 1000,
        "output_tokens": 500,
    }


def differences(told: Any, real: Any, where: str = "") -> Iterator[str]:
    """Where an answer is otherwise than the manual says. `...` stands for whatever there is."""
    if isinstance(told, dict) and isinstance(real, dict):
        named = set(told) - {"..."}
        unknown = named - set(real) if "..." in told else named ^ set(real)
        yield from (f"{where}.{name} is on one side alone" for name in sorted(unknown))
        for name in sorted(named & set(real)):
            yield from differences(told[name], real[name], f"{where}.{name}")
    elif isinstance(told, list) and isinstance(real, list):
        if told and not real:
            yield f"{where} is empty"
        for one in real if told else []:
            yield from differences(told[0], one, f"{where}[]")
    elif kind(told) not in ("anything", kind(real)) and real is not None:
        yield f"{where} is {real!r}, not as {told!r}"


def kind(value: Any) -> str:
    if value is None:
        return "anything"
    if not isinstance(value, str):
        return type(value).__name__
    try:
        Decimal(value)
    except InvalidOperation:
        return "text"
    return "decimal"


WORKLOAD = {"model": "gpt-4o", "compare": ["gpt-4o-mini"], "input_tokens": 1000, "output_tokens": 500,
            "calls_per_day": 100000, "prices": NEGOTIATED}  # fmt: skip


def asked(server: Server, page: str, number: int) -> Any:
    """What a server answers where the manual has this block."""
    match page, number:
        case "docs/api.md", 1:
            return server.post("/api/v1/query", {"measures": ["nope"]})
        case "docs/api.md", 2:
            return server.post("/v1/events", [call(CALLS), {"model": "gpt-4o"}])
        case "docs/calculator.md", 2:
            return server.post("/api/v1/calculator", WORKLOAD)
        case "docs/calculator.md", 4:
            return server.post("/api/v1/what-if", {"model": "gpt-4o-mini", "from": "30d"})
        case "docs/calculator.md", 5:
            server.post("/api/v1/calculator", WORKLOAD)
            return server.get("/api/v1/calculator/uses?limit=1")
        case "docs/forecast.md", 1:
            return server.post("/api/v1/forecast", {"timezone": "Europe/Berlin"})
    raise LookupError(f"{page} has a block {number} that is neither a request nor known here")


REQUESTS = {("docs/api.md", 3): "/v1/events", ("docs/api.md", 4): "/api/v1/query"}
"""What is sent in the manual, and where to."""

WRITTEN = [block for block in BLOCKS if block.language == "json"]


@pytest.mark.parametrize("block", WRITTEN, ids=str)
def test_json_of_the_manual_is_what_a_server_takes_or_answers(block: Block, server: Server) -> None:
    told = json.loads(block.text)
    if to := REQUESTS.get((block.page, block.number)):
        answer = server.post(to, told)
        assert "error" not in answer, answer
        assert answer.get("rejected", []) == []
    else:
        assert list(differences(told, asked(server, block.page, block.number))) == []


def in_short(page: str, start: str) -> Any:
    """An answer that is told by its keys: `{"rows": [...], "next": cursor or null}`."""
    (found,) = re.findall(re.escape(f"`{start}") + r"[^`]*`", (ROOT / "docs" / page).read_text())
    text = found.strip("`").replace("[...]", "[]").replace("{...}", '{"...": null}').replace("[[]]", "[]")
    text = re.sub(r': [a-z][^,"}]*', ": null", text)
    return json.loads(re.sub(r'("\w+")(?=\s*[,}])', r"\1: null", text))


@pytest.mark.parametrize(
    ("page", "start", "path", "question"),
    [
        ("api.md", '{"rows": [...], "totals"', "/api/v1/query", {"measures": ["calls"]}),
        ("api.md", '{"events": [...]', "/api/v1/events?feature=chat&from=30d&limit=100", None),
        ("sql.md", '{"columns": [{"name", "type"}]', "/api/v1/sql", {"sql": "SELECT 1 AS a"}),
    ],
)
def test_an_answer_that_is_told_in_short_has_those_keys(
    page: str, start: str, path: str, question: Any, server: Server
) -> None:
    answer = server.get(path) if question is None else server.post(path, question)
    assert list(differences(in_short(page, start), answer)) == []


@pytest.mark.parametrize(
    ("told", "real", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, [".b is on one side alone"]),
        ({"a": 1, "...": 0}, {"a": 1, "b": 2}, []),
        ({"a": 1, "...": 0}, {"b": 2}, [".a is on one side alone"]),
        ({"a": "1.5"}, {"a": 1.5}, [".a is 1.5, not as '1.5'"]),
        ({"a": "1.5"}, {"a": "x"}, [".a is 'x', not as '1.5'"]),
        (
            {"a": [{"b": 1}]},
            {"a": [{"b": 1}, {"c": 1}]},
            [".a[].b is on one side alone", ".a[].c is on one side alone"],
        ),
        ({"a": [1]}, {"a": []}, [".a is empty"]),
        ({"a": {}}, {"a": [1]}, [".a is [1], not as {}"]),
    ],
)
def test_a_difference_is_seen(told: Any, real: Any, found: list[str]) -> None:
    assert list(differences(told, real)) == found
