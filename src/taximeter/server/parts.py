"""What the API needs from the rest of the process, as `compose` hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from taximeter.alerts.delivery import Delivery
from taximeter.alerts.rule_desk import RuleDesk
from taximeter.alerts.runbook import Runbook
from taximeter.alerts.watch import Watch
from taximeter.clock import Clock
from taximeter.errors import UnavailableError
from taximeter.pricing import PriceBook
from taximeter.reports.chargeback import Terms
from taximeter.server.access import Access
from taximeter.server.limit_desk import LimitDesk
from taximeter.server.live import Live
from taximeter.server.settings_shapes import SettingsAnswer
from taximeter.server.shapes import KeyInfo, NewKey, Status
from taximeter.store.events import EventStore
from taximeter.store.events.repricing import Repricing
from taximeter.store.metadata import Alerting as AlertRecords
from taximeter.store.metadata import CalculatorUses, Findings, JudgedFinding, Links, Verdict


class Keys(Protocol):
    """Making, listing and revoking keys. All block."""

    def create(self, name: str, scope: str, attributes: Mapping[str, str], *, attributes_win: bool) -> NewKey: ...

    def list(self) -> list[KeyInfo]: ...

    def revoke(self, key_id: str) -> KeyInfo:
        """Raises NotFoundError."""
        ...


class Repricings(Protocol):
    """Asking for runs of re-pricing, and looking at them. All block, and may raise StoreError."""

    def ask(self, request: Mapping[str, Any], by: str) -> Repricing:
        """Raises UsageError."""
        ...

    def run(self, run_id: str) -> Repricing:
        """Raises NotFoundError."""
        ...

    def runs(self, limit: int) -> list[Repricing]: ...

    def progress(self, run_id: str) -> tuple[int, int] | None: ...


class Alerting(Protocol):
    """Incidents, silences, marks in time, and the channels by name."""

    @property
    def watch(self) -> Watch: ...

    @property
    def delivery(self) -> Delivery: ...

    @property
    def records(self) -> AlertRecords: ...

    @property
    def links(self) -> Links: ...

    @property
    def rules(self) -> RuleDesk: ...

    @property
    def channel_kinds(self) -> Mapping[str, str]: ...

    @property
    def runbooks(self) -> Mapping[str, Runbook]: ...


class Anomalies(Protocol):
    """Findings, and what is said of them. All block, and may raise StoreError."""

    @property
    def findings(self) -> Findings: ...

    def judge(self, finding_id: str, verdict: Verdict, by: str) -> JudgedFinding:
        """Raises NotFoundError."""
        ...

    def backtest(self, from_us: int, to_us: int) -> dict[str, Any]: ...


class ReadReports(Protocol):
    """A provider's own files, by name, as rows that a reconciliation compares. Raises UsageError."""

    def __call__(self, contents: Mapping[str, bytes], now_us: int) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What a sample history has in place of one's own. Nothing of it is kept, and nobody is told of it."""

    store: EventStore
    alerting: Alerting
    limits: LimitDesk
    repricings: Repricings
    calculator_uses: CalculatorUses


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`status` and `sign_in_url` may block. `store`, `live`, `alerting` are None in a process that keeps no events."""

    store: EventStore | None
    live: Live | None
    keys: Keys
    access: Access
    clock: Clock
    status: Callable[[], Status]
    settings: Callable[[], SettingsAnswer]
    sign_in_url: Callable[[], str]
    prices: Callable[[], PriceBook]
    calculator_uses: CalculatorUses
    limits: LimitDesk
    repricings: Repricings | None = None
    alerting: Alerting | None = None
    anomalies: Anomalies | None = None
    public_url: str | None = None
    terms: Terms = field(default_factory=Terms)
    reports_read: ReadReports | None = None
    sample: Callable[[], Sampled] | None = None
    """Blocks while the sample is being made. May raise StoreError."""

    def sampled(self) -> Parts:
        """These parts, over the sample history. What is only there for one's own calls is left out."""
        self.kept()
        if self.sample is None:
            raise UnavailableError("this process has no sample to look at")
        made = self.sample()
        return replace(
            self,
            store=made.store,
            alerting=made.alerting,
            limits=made.limits,
            repricings=made.repricings,
            calculator_uses=made.calculator_uses,
            live=None,
            anomalies=None,
        )

    def kept(self) -> EventStore:
        """Raises UnavailableError in a process that keeps no events."""
        if self.store is None:
            raise UnavailableError("this process is a gateway and keeps no events", hint="ask its collector")
        return self.store
