"""The whole product, standing: `taximeter up` in a process of its own in front of the simulated providers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anthropic
import httpx
import openai

TAXIMETER = [sys.executable, "-m", "taximeter"]
PATIENCE_SECONDS = 90.0
"""Longer than anything takes on a machine that is very busy; whoever waits goes on at once when it is true."""
STARTING_SECONDS = 90.0
"""A start takes seconds of CPU time, which a busy machine gives slowly."""
POLL_SECONDS = 0.02

T = TypeVar("T")


def eventually(look: Callable[[], T], good: Callable[[T], bool], seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` sees once it is `good`; the last look when patience ends, for the assertion that follows."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if good(seen) or time.monotonic() > end:
            return seen
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that taximeter or the clients would read."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TAXIMETER_", "OPENAI_", "ANTHROPIC_"))}


class Standing:
    """A taximeter on a data directory and a port of its own; may be killed and started again."""

    def __init__(self, directory: Path, providers_url: str, settings: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data = directory / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = directory / "taximeter.yaml"
        self._config.write_text(
            "providers:\n"
            f"  openai: {{base_url: {providers_url}/v1, api_key: sk-real}}\n"
            f"  anthropic: {{base_url: {providers_url}, api_key: sk-real}}\n" + settings
        )
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._keys: dict[str, str] = {}

    # -- life ------------------------------------------------------------------------------------------------

    def start(self, *flags: str) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*TAXIMETER, "up", "--config", self._config, "--data", self.data, "--port", str(self.port), *flags],
                stdout=log,
                stderr=log,
                env=clean_environment(),
            )
        assert eventually(self._ready, bool, STARTING_SECONDS), f"not ready:\n{self.log[-3000:]}"

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"ended with {self._process.returncode}:\n{self.log[-3000:]}"
        try:
            return httpx.get(self.url + "/readyz", timeout=STARTING_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def config(self) -> str:
        return str(self._config)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(PATIENCE_SECONDS)
        self._process = None
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    # -- the command line --------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TAXIMETER, *arguments], capture_output=True, text=True, timeout=110, env=clean_environment()
        )

    def key(self, scope: str, *attributes: str) -> str:
        """A key of a scope, made once for each set of attributes."""
        name = " ".join((scope, *attributes))
        if name not in self._keys:
            bound = [part for attribute in attributes for part in ("--attribute", attribute)]
            said = self.command(
                "keys", "create", "--name", name, "--scope", scope, *bound, "--data", str(self.data), "--format", "json"
            )
            assert said.returncode == 0, said.stderr
            self._keys[name] = json.loads(said.stdout)["key"]
        return self._keys[name]

    def report(self, by: str, *more: str) -> dict[str, Any]:
        """What `taximeter report --format json` says."""
        said = self.command("report", "--by", by, "--format", "json", "--data", str(self.data), *more)
        assert said.returncode == 0, said.stderr
        answer: dict[str, Any] = json.loads(said.stdout)
        return answer

    # -- the doors -------------------------------------------------------------------------------------------

    def post(self, path: str, body: Any, scope: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key(scope)}"}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=90)

    def query(self, **question: Any) -> dict[str, Any]:
        answer = self.post("/api/v1/query", {"measures": ["calls"], **question}, "read")
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def calls(self, **filters: Any) -> int:
        """How many calls the store has."""
        return int(self.query(filters=filters)["totals"]["calls"] or 0)

    def outcomes(self, **filters: str) -> int:
        """How many outcomes the store has."""
        headers = {"Authorization": f"Bearer {self.key('read')}"}
        answer = httpx.get(self.url + "/api/v1/questions/outcomes", params=filters, headers=headers, timeout=90)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["totals"]["outcomes"] or 0)

    def told_twice(self) -> int:
        """Events left out because their calls count by another road."""
        headers = {"Authorization": f"Bearer {self.key('read')}"}
        status = httpx.get(self.url + "/api/v1/status", headers=headers, timeout=90).json()
        return int(status["collector"]["told_twice_events"])

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """All events that match, through all pages."""
        headers = {"Authorization": f"Bearer {self.key('read')}"}
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = httpx.get(self.url + "/api/v1/events", params={**filters, **cursor}, headers=headers, timeout=90)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["events"]
            if not page["next"]:
                return found
            cursor = {"cursor": page["next"]}

    def gpt(self, **more: Any) -> openai.OpenAI:
        """A real client that was pointed here with one changed line."""
        return openai.OpenAI(**{"base_url": self.url + "/openai/v1", "api_key": self.key("gateway"), **more})

    def claude(self, **more: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(**{"base_url": self.url + "/anthropic", "api_key": self.key("gateway"), **more})
