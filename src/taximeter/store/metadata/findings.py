"""Findings as they are kept: one row each, from the first minute to the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from taximeter.anomaly.finding import Contributor, Expectation, Finding
from taximeter.core.money import format_usd
from taximeter.errors import NotFoundError
from taximeter.store.metadata.database import Database, put
from taximeter.store.metadata.forgotten import Gone, without_names
from taximeter.store.metadata.tables import FINDINGS

Verdict = Literal["confirmed", "new_level", "false_alarm"]
"""What an operator says of a finding: it was trouble; it is the new normal; it was nothing."""

_USER: Final = "user_id"

VERDICTS: Final = ("confirmed", "new_level", "false_alarm")


@dataclass(frozen=True, slots=True)
class JudgedFinding:
    """A finding, and what an operator said of it; None as long as nobody did."""

    finding: Finding
    verdict: str | None = None
    verdict_by: str | None = None


class Findings:
    """All methods block and raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, findings: Iterable[Finding]) -> None:
        """Keep new findings, and what has become of known ones: all or none. Verdicts stay."""
        with self._database.writing() as connection:
            put(connection, FINDINGS, [_row(finding) for finding in findings])

    def open(self) -> list[Finding]:
        wanted = sa.select(FINDINGS).where(FINDINGS.c.ended_at_us.is_(None)).order_by(FINDINGS.c.started_at_us)
        with self._database.reading() as connection:
            return [_finding(row._asdict()) for row in connection.execute(wanted)]

    def list(self, *, open_only: bool = False, since_us: int | None = None, limit: int = 100) -> list[JudgedFinding]:
        """Newest first."""
        wanted = sa.select(FINDINGS).order_by(FINDINGS.c.detected_at_us.desc()).limit(limit)
        if open_only:
            wanted = wanted.where(FINDINGS.c.ended_at_us.is_(None))
        if since_us is not None:
            wanted = wanted.where(FINDINGS.c.detected_at_us >= since_us)
        with self._database.reading() as connection:
            return [_judged(row._asdict()) for row in connection.execute(wanted)]

    def get(self, finding_id: str) -> JudgedFinding:
        """Raises NotFoundError."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(FINDINGS).where(FINDINGS.c.finding_id == finding_id)).first()
        if row is None:
            raise NotFoundError(f"there is no finding {finding_id}", hint="see GET /api/v1/findings")
        return _judged(row._asdict())

    def forget_users(self, gone: Gone) -> int:
        """Of findings that have ended: delete those about a user who is gone, and take the name out of the others; how
        many that were. Whoever keeps an open one would write the name again."""
        ended = sa.select(FINDINGS).where(FINDINGS.c.ended_at_us.is_not(None))
        with self._database.writing() as connection:
            rows = [row._asdict() for row in connection.execute(ended)]
            return sum(_forget(connection, row, gone) for row in rows)

    def judge(self, finding_id: str, verdict: Verdict, by: str) -> JudgedFinding:
        """Keep what an operator says of a finding. Raises NotFoundError."""
        said = sa.update(FINDINGS).where(FINDINGS.c.finding_id == finding_id).values(verdict=verdict, verdict_by=by)
        with self._database.writing() as connection:
            connection.execute(said)
        return self.get(finding_id)


def _forget(connection: Connection, row: Mapping[str, Any], gone: Gone) -> bool:
    at_us, this = row["detected_at_us"], FINDINGS.c.finding_id == row["finding_id"]
    if gone(row["scope"].get(_USER, ""), at_us):
        connection.execute(sa.delete(FINDINGS).where(this))
        return True
    contributors = row["content"]["contributors"]
    users = {one["value"] for one in contributors if one["dimension"] == _USER and one["value"] is not None}
    names = {user for user in users if gone(user, at_us)}
    if names:
        connection.execute(sa.update(FINDINGS).where(this).values(content=without_names(row["content"], names)))
    return bool(names)


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "finding_id": finding.finding_id,
        "kind": finding.kind,
        "scope": dict(finding.scope),
        "severity": finding.severity,
        "started_at_us": finding.started_at_us,
        "detected_at_us": finding.detected_at_us,
        "updated_at_us": finding.updated_at_us,
        "ended_at_us": finding.ended_at_us,
        "content": {
            "expectation": asdict(finding.expectation),
            "excess_usd": _text(finding.excess_usd),
            "excess_usd_per_hour": _text(finding.excess_usd_per_hour),
            "contributors": [{**asdict(one), "change_usd": format_usd(one.change_usd)} for one in finding.contributors],
            "summary": finding.summary,
            "evidence": dict(finding.evidence),
        },
    }


def _judged(row: Mapping[str, Any]) -> JudgedFinding:
    return JudgedFinding(_finding(row), row["verdict"], row["verdict_by"])


def _finding(row: Mapping[str, Any]) -> Finding:
    content = row["content"]
    return Finding(
        finding_id=row["finding_id"],
        kind=row["kind"],
        scope=row["scope"],
        severity=row["severity"],
        started_at_us=row["started_at_us"],
        detected_at_us=row["detected_at_us"],
        updated_at_us=row["updated_at_us"],
        ended_at_us=row["ended_at_us"],
        expectation=Expectation(**content["expectation"]),
        excess_usd=_money(content["excess_usd"]),
        excess_usd_per_hour=_money(content["excess_usd_per_hour"]),
        contributors=[
            Contributor(**{**one, "change_usd": Decimal(one["change_usd"])}) for one in content["contributors"]
        ],
        summary=content["summary"],
        evidence=content["evidence"],
    )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else format_usd(amount)


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
