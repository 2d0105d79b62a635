"""A night on call: the real store, detection, alerting, outbox and channels, on a clock that is moved by hand.

What is real: events in DuckDB, the metadata store, the jobs' own functions, the channels' clients and the servers on
this machine that they talk to (HTTP, HTTPS, SMTP). Only the time between two turns of a job is not waited for.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Final, get_args

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from vendors import Vendor, certificate, free_port, vendor

from taximeter.alerts.sources import Crossings, MeterHealth, Source
from taximeter.alerts.sources import Findings as OpenFindings
from taximeter.anomaly.finding import FindingKind
from taximeter.clock import Clock, rfc3339
from taximeter.compose.alerting import AlertingParts, open_alerting
from taximeter.compose.detecting import Detecting
from taximeter.compose.jobs import Jobs
from taximeter.compose.limits import Limiting
from taximeter.config.settings import Settings
from taximeter.core.ids import EventIds, uuid7
from taximeter.pricing import load_price_book
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Metadata

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
FIRST: Final = 29_800_800
"""The first minute of all histories, in minutes since the epoch."""


class HandClock:
    def __init__(self, minute: float) -> None:
        self.us = round(minute * MINUTE_US)

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / SECOND_US


@dataclass(frozen=True)
class Habit:
    """How a feature is used in a minute: first attempts a minute, and what each is like."""

    calls: float = 4.0
    retries: float = 0.0
    input_tokens: int = 1000
    cached: float = 0.8
    model: str = "gpt-4o-mini"


PRICES: Final = {"gpt-4o-mini": 1e-6, "gpt-5-pro": 50e-6}
"""USD a token, of both directions."""


class Calls:
    """Invented calls, the same in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._number = 0

    def minute(self, feature: str, habit: Habit, minute: int) -> Iterator[bytes]:
        for _ in range(max(0, round(self._random.gauss(habit.calls, 0.3 * habit.calls**0.5)))):
            user = f"u{self._random.randrange(2)}"
            for attempt in range(1, 2 + round(habit.retries)):
                yield self._line(feature, habit, minute, user, attempt)

    def _line(self, feature: str, habit: Habit, minute: int, user: str, attempt: int) -> bytes:
        self._number += 1
        at_us = minute * MINUTE_US + self._random.randrange(MINUTE_US)
        tokens = max(1, round(self._random.gauss(habit.input_tokens, habit.input_tokens / 10)))
        cached = min(tokens, max(0, round(tokens * self._random.gauss(habit.cached, 0.05))))
        price = PRICES.get(habit.model)
        input_usd, output_usd = (tokens - cached * 0.5) * (price or 0), 200 * (price or 0)
        cost: dict[str, Any] = {"cost_usd": None, "unpriced_reason": "unknown_model"}
        if price is not None:
            parts = {"input": f"{input_usd:.12f}", "output": f"{output_usd:.12f}"}
            cost = {"cost_usd": f"{input_usd + output_usd:.12f}", "cost": parts}
        event = {
            "event_id": uuid7(at_us // 1000, self._number.to_bytes(10, "big")),
            "started_at": rfc3339(at_us),
            "ingested_at": rfc3339(at_us),
            "provider": "openai",
            "request_model": habit.model,
            "feature": feature,
            "user_id": user,
            "attempt": attempt,
            "status": "ok",
            "input_tokens": tokens,
            "cache_read_tokens": cached,
            "output_tokens": 200,
            **cost,
        }
        return json.dumps(event).encode()


# ── what was told ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Heard:
    """A notification as its receiver has it. `key` is what makes several the same incident."""

    place: str
    event: str
    first_line: str
    key: str


class Mailbox:
    """An SMTP server's handler that keeps mails."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 OK"


@dataclass
class Receivers:
    """One of each: Slack, PagerDuty, a webhook, a mailbox."""

    slack: Vendor
    pagerduty: Vendor
    hook: Vendor
    mailbox: Mailbox
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def heard(self) -> list[Heard]:
        """Everything that was told, by place and in order."""
        return [*self._by_slack(), *self._by_pagerduty(), *self._by_hook(), *self._by_mail()]

    def forget(self) -> None:
        for kept in (self.slack.taken, self.pagerduty.taken, self.hook.taken, self.mailbox.mails):
            kept.clear()

    def _by_slack(self) -> Iterator[Heard]:
        for body in self.slack.bodies:
            yield Heard("slack", _event_in(body["text"]), body["text"], "")

    def _by_pagerduty(self) -> Iterator[Heard]:
        for body in self.pagerduty.bodies:
            event = {"trigger": "opened", "resolve": "resolved", "acknowledge": "acknowledged"}[body["event_action"]]
            yield Heard("pager", event, body.get("payload", {}).get("summary", ""), body["dedup_key"])

    def _by_hook(self) -> Iterator[Heard]:
        for body in self.hook.bodies:
            yield Heard("hook", body["event"], body["first_line"], body["dedup_key"])

    def _by_mail(self) -> Iterator[Heard]:
        for content in self.mailbox.mails:
            mail = message_from_bytes(content, policy=policy.default)
            yield Heard("mail", _event_in(str(mail["Subject"])), str(mail["Subject"]), str(mail["References"]))


def _event_in(first_line: str) -> str:
    words = {
        "Over: ": "resolved",
        "Changed: ": "changed",
        "Still: ": "repeated",
        "Taken: ": "acknowledged",
        "By itself: ": "automated",
    }
    return next((event for word, event in words.items() if first_line.startswith(word)), "opened")


@contextmanager
def receivers(folder: Path) -> Iterator[Receivers]:
    key, made = certificate(folder)
    accepted = (202, {"content-type": "application/json"}, b'{"status": "success", "dedup_key": "k"}')
    mailbox = Mailbox()
    mail = Controller(mailbox, hostname="127.0.0.1", port=free_port(), ready_timeout=60)
    with ExitStack() as open_servers:
        slack, hook = (open_servers.enter_context(vendor()) for _ in range(2))
        pagerduty = open_servers.enter_context(vendor(accepted, tls=(key, made)))
        mail.start()
        open_servers.callback(mail.stop)
        addresses = {"from": "meter@example.com", "to": ["owner@example.com"]}
        settings: dict[str, dict[str, Any]] = {
            "slack": {"kind": "slack", "webhook_url": f"{slack.url}/services/T/B/x"},
            "pager": {
                "kind": "pagerduty",
                "routing_key": "r" * 32,
                "api_url": pagerduty.url,
                "ca_file": str(made),
            },
            "hook": {"kind": "webhook", "url": hook.url},
            "mail": {"kind": "email", "host": "127.0.0.1", "port": mail.port, "security": "none", **addresses},
        }
        yield Receivers(slack, pagerduty, hook, mailbox, settings)


# ── the night ──────────────────────────────────────────────────────────────────────────────────────────────


class Night:
    """A server's keeping side at a moment of its clock. `health` is what the meter says of itself."""

    def __init__(self, folder: Path, settings: Settings, clock: HandClock, closing: ExitStack) -> None:
        self.clock, self.settings = clock, settings
        self.store = DuckDBEvents(folder / "events.duckdb", query_timeout_seconds=600)
        closing.callback(self.store.close)
        self.metadata = Metadata(folder / "metadata.sqlite")
        closing.callback(self.metadata.close)
        self.health = MeterHealth()
        self.crossings = Crossings(self.metadata.limits.crossings)
        self.calls = Calls()
        self.limits = Limiting(settings, self.metadata.limits, load_price_book, clock, self.store).desk
        self.alerting = self._open_alerting(clock)
        ids = EventIds(random.Random(1).randbytes)
        self.detecting = Detecting(self.store, self.metadata.findings, settings.anomalies, clock, ids)

    def _open_alerting(self, clock: Clock) -> AlertingParts:
        further: list[Source] = [self.crossings, OpenFindings(self.metadata.findings.open, get_args(FindingKind))]
        return open_alerting(
            self.settings,
            self.store,
            self.metadata,
            lambda: self.health,
            clock,
            Jobs(clock),
            lambda: "https://meter.example",
            further,
            set_limit=self.limits.set,
        )

    def fails(self, **health: Any) -> None:
        self.health = replace(self.health, **health)

    def put(self, lines: Sequence[bytes]) -> None:
        self.store.append(lines, {})

    def turn(self, *, detection: bool = False) -> None:
        """What the jobs of a server do, once each."""
        if detection:
            self.detecting.turn()
        self.alerting.watch.evaluate()
        self.alerting.delivery.run()

    def pass_minutes(self, minutes: float, step_seconds: int = 30, before: Callable[[], None] = lambda: None) -> None:
        for _ in range(round(minutes * 60 / step_seconds)):
            self.clock.us += step_seconds * SECOND_US
            before()
            self.turn()


@contextmanager
def night(folder: Path, written: dict[str, Any], minute: float = FIRST) -> Iterator[Night]:
    with ExitStack() as closing:
        yield Night(folder, Settings.model_validate(written), HandClock(minute), closing)
