"""The first steps of a runbook are taken for the alert that names an incident, whichever that is by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_delivery import HandClock

from taximeter.alerts.alert import Alert, Observation
from taximeter.alerts.desk import Policy
from taximeter.alerts.routing import Route
from taximeter.alerts.states import SECOND_US
from taximeter.alerts.watch import Watch
from taximeter.anomaly.finding import Severity
from taximeter.store.metadata import Metadata

LIMIT = {"limit": "chat", "feature": "chat"}


def observed(kind: str, severity: Severity, percent: str) -> Observation:
    return Observation(
        rule="limits", kind=kind, labels={**LIMIT, "percent": percent}, severity=severity, summary=f"{percent} %"
    )


MOST = observed("limit_warning", "warning", "80")
ALL = observed("limit_reached", "critical", "100")


class Rig:
    """A watch over what is `seen`; `looked_into` are the alerts whose first steps were taken."""

    rules: Sequence[str] = ("limits",)

    def __init__(self, metadata: Metadata) -> None:
        self.clock, self.records = HandClock(), metadata.alerting
        self.seen: list[Observation] = []
        self.looked_into: list[str] = []
        self.fails = False
        policy = Policy(Route(name="all", channels=("slack",)))
        self.watch = Watch(lambda: [self], lambda: policy, self.records, self.clock, evidence=self._evidence)

    def observe(self, now_us: int) -> list[Observation]:
        del now_us
        return self.seen

    def _evidence(self, alert: Alert) -> Mapping[str, Any]:
        self.looked_into.append(alert.kind)
        if self.fails:
            raise ZeroDivisionError("a mistake of ours")
        return {"runbook": f"about {alert.kind}", "evidence": [["Models", "gpt-4o"]]}

    def turn(self, *seen: Observation) -> None:
        self.seen = list(seen)
        self.clock.us += 30 * SECOND_US
        self.watch.evaluate()

    def told(self) -> list[tuple[str, str, str | None]]:
        letters = reversed(self.records.letters())
        return [(one.event, one.content["kind"], one.content["runbook"]) for one in letters]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Metadata(tmp_path / "metadata.sqlite")
    yield Rig(opened)
    opened.close()


def test_a_graver_alert_that_names_its_incident_from_now_on_has_a_runbook_and_its_first_steps(rig: Rig) -> None:
    rig.turn(MOST)
    rig.turn(MOST, ALL)
    assert rig.told() == [
        ("opened", "limit_warning", "about limit_warning"),
        ("changed", "limit_reached", "about limit_reached"),
    ]


def test_the_first_steps_are_taken_once_for_an_alert_that_names_its_incident(rig: Rig) -> None:
    for _ in range(3):
        rig.turn(MOST)
    for _ in range(3):
        rig.turn(MOST, ALL)
        rig.turn(MOST)
    assert rig.looked_into == ["limit_warning", "limit_reached"]


def test_an_alert_is_told_also_when_its_first_steps_fail_in_a_way_that_nobody_thought_of(rig: Rig) -> None:
    rig.fails = True
    rig.turn(ALL)
    assert rig.told() == [("opened", "limit_reached", None)]
