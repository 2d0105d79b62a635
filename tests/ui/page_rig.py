"""The real server in a process of its own, and a browser that is signed in to its page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from playwright.sync_api import Browser, ConsoleMessage, Page

from taximeter.core.ids import RANDOM_BYTES, uuid7

ZONE = "Europe/Berlin"
PATIENCE_SECONDS = 60.0
"""A busy machine takes its time; nobody waits that long where it does not."""
START_SECONDS = 110.0
"""Until a server answers for the first time: it has more to load than to do."""
POLL_SECONDS = 0.05
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]

LIMIT_OF_THE_FILE = "{name: of-the-file, scope: {feature: of-the-file}, measure: requests, limit: 7, window: day}"
RULE = '{name: dear, measure: cost_usd, over: 1h, where: {feature: alarming}, each: [user_id], critical: "> 1"}'
"""Every user of the feature `alarming` who spends more than a dollar is an incident of its own."""

T = TypeVar("T")


def chromium() -> str | None:
    """Where the machine's Chromium is."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def eventually(look: Callable[[], T], good: Callable[[T], bool], seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` sees once it is `good`; the last look when patience ends, for the assertion that follows."""
    end = time.monotonic() + seconds
    while not good(seen := look()) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return seen


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def ago(now: datetime, **span: float) -> str:
    return (now - timedelta(**span)).isoformat()


def event(now: datetime, **more: Any) -> dict[str, Any]:
    """1,000 + 500 tokens on gpt-4o a minute ago; today that is exactly $0.0075."""
    return {
        "event_id": uuid7(int(now.timestamp() * 1000), os.urandom(RANDOM_BYTES)),
        "started_at": ago(now, minutes=1),
        "status": "ok",
        "provider": "openai",
        "request_model": "gpt-4o",
        "feature": "smart-reply",
        "user_id": "ada",
        "team": "support",
        "input_tokens": 1000,
        "output_tokens": 500,
        "duration_ms": 420,
        **more,
    }


SONNET = {"provider": "anthropic", "request_model": "claude-sonnet-4-5"}
LONG_NAME = "a-feature-whose-name-was-made-by-joining-everything-that-anybody-could-think-of-" * 2


def sample(now: datetime) -> list[dict[str, Any]]:
    """A small history: cached, unpriced, estimated, failed, huge, tiny, without attribution, and late."""
    return [
        event(now),
        event(now, user_id="grace", output_tokens=1),
        event(now, **SONNET, feature="coding-agent", cache_read_tokens=600, cache_write_5m_tokens=100),
        event(now, **SONNET, feature="coding-agent", user_id="grace", usage_estimated=True),
        event(now, request_model="acme-house-7b", feature="translate", user_id="linus"),
        event(now, request_model="acme-house-7b", feature="translate", user_id="linus", team="research"),
        event(now, status="error", http_status=429, error_type="rate_limit", not_billed=True, output_tokens=0),
        event(now, feature=LONG_NAME, user_id="x" * 120, input_tokens=900_000_000, output_tokens=5),
        event(now, request_model="text-embedding-3-small", feature="search", input_tokens=1, output_tokens=0),
        event(now, feature=None, user_id=None, team=None),
        event(now, started_at=ago(now, hours=3), feature="nightly"),
        event(now, started_at=ago(now, days=3), feature="nightly", user_id="grace"),
        event(now, started_at=ago(now, days=20), feature="archive", user_id="grace"),
    ]


@dataclass
class Server:
    """`taximeter up` on a data directory and a port of its own; may be stopped and started again."""

    directory: Path
    provider_url: str = "http://127.0.0.1:9/v1"
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _keys: dict[str, str] = field(default_factory=dict)
    _session: tuple[str, str] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        config, log = self.directory / "taximeter.yaml", self.directory / "server.log"
        provider = f"{{base_url: {self.provider_url}, api_key: sk-real}}"
        config.write_text(f"providers: {{openai: {provider}}}\nlimits: [{LIMIT_OF_THE_FILE}]\nrules: [{RULE}]\n")
        arguments = ["up", "--config", str(config), "--data", str(self.data), "--port", str(self.port)]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taximeter", *arguments], stdout=out, stderr=out, env=environment()
            )
        if not eventually(self._is_ready, bool, START_SECONDS):
            self.stop()
            raise AssertionError(log.read_text())

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "server.log").read_text()
        try:
            return httpx.get(self.url + "/readyz", timeout=PATIENCE_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def command(self, *arguments: str) -> str:
        """What a command on this data directory prints."""
        return subprocess.run(
            [sys.executable, "-m", "taximeter", *arguments, "--data", self.data],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        ).stdout.strip()

    def key(self, scope: str) -> str:
        if scope not in self._keys:
            said = self.command("keys", "create", "--name", f"test {scope}", "--scope", scope, "--format", "json")
            self._keys[scope] = str(httpx.Response(200, text=said).json()["key"])
        return self._keys[scope]

    def _headers(self, scope: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key(scope)}"}

    def sign_in_link(self) -> str:
        return self.command("keys", "signin")

    def post(self, *events: dict[str, Any]) -> None:
        """Events by the front door; afterwards the store has them."""
        said = httpx.post(
            self.url + "/v1/events", json=events, headers=self._headers("ingest"), timeout=PATIENCE_SECONDS
        ).json()
        assert said["accepted"] == len(events), said
        assert eventually(
            lambda: self.events(event_id=[e["event_id"] for e in events]), lambda f: len(f) == len(events)
        )

    def query(self, *measures: str, **question: Any) -> dict[str, Any]:
        body = {"measures": measures, "timezone": ZONE, **question}
        answer = httpx.post(
            self.url + "/api/v1/query", json=body, headers=self._headers("read"), timeout=PATIENCE_SECONDS
        )
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def sql(self, statement: str) -> dict[str, Any]:
        answer = httpx.post(
            self.url + "/api/v1/sql", json={"sql": statement}, headers=self._headers("read"), timeout=PATIENCE_SECONDS
        )
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        answer = httpx.get(
            self.url + "/api/v1/events", params=filters, headers=self._headers("read"), timeout=PATIENCE_SECONDS
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["events"]
        return found

    def session(self) -> tuple[str, str]:
        """The cookie of a signed-in browser, name and value; signed in once for all pages."""
        if self._session is None:
            self._session = next(iter(httpx.get(self.sign_in_link(), timeout=PATIENCE_SECONDS).cookies.items()))
        return self._session


@dataclass
class Pages:
    """Opens pages and collects what goes wrong in them."""

    browser: Browser
    mistakes: list[str] = field(default_factory=list)
    allowed: tuple[str, ...] = ("/favicon.ico",)
    """Addresses and words of mistakes that belong to the test."""

    def open(self, server: Server, **context: Any) -> Page:
        """A page that is signed in."""
        page = self.blank(**context)
        name, value = server.session()
        page.context.add_cookies([{"name": name, "value": value, "url": server.url}])
        page.goto(server.url)
        return page

    def blank(self, **context: Any) -> Page:
        settings = {"timezone_id": ZONE, "locale": "en-GB", "viewport": {"width": 1440, "height": 1000}, **context}
        page = self.browser.new_context(**settings).new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.mistakes.append(f"{message.text} {message.location.get('url')}")

    def unexpected(self) -> list[str]:
        return [mistake for mistake in self.mistakes if not any(word in mistake for word in self.allowed)]


def environment() -> dict[str, str]:
    """This process's environment without anything that taximeter would read."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TAXIMETER_", "OPENAI_", "ANTHROPIC_"))}


def now() -> datetime:
    return datetime.now(UTC)
