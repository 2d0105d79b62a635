"""The metadata store: keys, sessions, calculator uses, alerting, limits. SQLite by default, PostgreSQL as well."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from taximeter.clock import Clock, SystemClock
from taximeter.store.metadata.alerting import Alerting, Annotation, IncidentRecord, Letter, RuleBook, SilenceRecord
from taximeter.store.metadata.calculator_uses import CalculatorUse, CalculatorUses, RecordedUse
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.exports import ExportedUnit, Exports, OvertakenError, Span
from taximeter.store.metadata.findings import VERDICTS, Findings, JudgedFinding, Verdict
from taximeter.store.metadata.keys import SCOPES, Key, Keys
from taximeter.store.metadata.leases import Lease
from taximeter.store.metadata.limits import LimitBook, LimitCrossing, UnseenCall
from taximeter.store.metadata.links import Links
from taximeter.store.metadata.sessions import Session, Sessions
from taximeter.store.metadata.versions import Version, provenance

__all__ = [
    "SCOPES",
    "VERDICTS",
    "Alerting",
    "Annotation",
    "CalculatorUse",
    "CalculatorUses",
    "ExportedUnit",
    "Exports",
    "Findings",
    "IncidentRecord",
    "JudgedFinding",
    "Key",
    "Keys",
    "Lease",
    "Letter",
    "LimitBook",
    "LimitCrossing",
    "Links",
    "Metadata",
    "OvertakenError",
    "RecordedUse",
    "RuleBook",
    "Session",
    "Sessions",
    "SilenceRecord",
    "Span",
    "UnseenCall",
    "Verdict",
    "Version",
    "provenance",
]


class Metadata:
    """Everything the metadata store keeps. `location` is the SQLite file, or the address of a server.

    Raises SchemaError when it cannot be used as it is, StoreError when it cannot be opened now.
    """

    def __init__(
        self,
        location: Path | str,
        *,
        clock: Clock | None = None,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        clock = clock or SystemClock()
        self._clock, self._draw = clock, draw
        self._database = Database(location)
        self.keys = Keys(self._database, clock, draw)
        self.sessions = Sessions(self._database, clock, draw)
        self.calculator_uses = CalculatorUses(self._database, clock)
        self.alerting = Alerting(self._database)
        self.findings = Findings(self._database)
        self.exports = Exports(self._database)
        self.limits = LimitBook(self._database, clock)
        self.rules = RuleBook(self._database, clock)
        self.links = Links(self._database, draw)

    def lease(self, name: str) -> Lease:
        """For what several processes on the same metadata must not do twice."""
        return Lease(self._database, self._clock, name, self._draw)

    def close(self) -> None:
        self._database.close()
