"""A silence of an incident, from a message or the page, holds for all that comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from test_delivery import HandClock

from taximeter.alerts.alert import Observation
from taximeter.alerts.desk import Policy
from taximeter.alerts.matching import parse_matchers
from taximeter.alerts.routing import Route
from taximeter.alerts.silences import Silence
from taximeter.alerts.states import SECOND_US
from taximeter.alerts.watch import Watch
from taximeter.server.deeds import matching
from taximeter.store.metadata import Metadata


def reached(percent: str, user: str) -> Observation:
    labels = {"limit": "daily", "percent": percent, "team": "core", "user_id": user}
    return Observation(rule="limits", kind="limit_reached", labels=labels, severity="warning", summary=f"{percent} %")


class Rig:
    """A watch over what is `seen`."""

    rules: Sequence[str] = ("limits",)

    def __init__(self, metadata: Metadata) -> None:
        self.clock, self.records = HandClock(), metadata.alerting
        self.seen: list[Observation] = []
        self.silences: list[Silence] = []
        root = Route(name="all", channels=("slack",), group_interval_us=SECOND_US)
        self.watch = Watch(lambda: [self], lambda: Policy(root, {}, self.silences), self.records, self.clock)

    def observe(self, now_us: int) -> list[Observation]:
        del now_us
        return self.seen

    def told(self, *seen: Observation) -> list[str]:
        """What has been told so far, when these have been seen for a while."""
        self.seen = list(seen)
        for _ in range(3):
            self.clock.us += 30 * SECOND_US
            self.watch.evaluate()
        return [one.event for one in reversed(self.records.letters())]

    def silence(self) -> None:
        (incident,) = self.records.incidents()
        now_us = self.clock.us
        until_us = now_us + 3600 * SECOND_US
        matchers = parse_matchers(dict(matching(incident)))
        self.silences.append(
            Silence(
                silence_id="1",
                matchers=matchers,
                starts_at_us=now_us,
                ends_at_us=until_us,
                author="ann",
                comment="",
            )
        )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Metadata(tmp_path / "metadata.sqlite")
    yield Rig(opened)
    opened.close()


def test_a_limit_is_silent_at_its_next_threshold_too(rig: Rig) -> None:
    first, second = reached("80", "ann"), reached("100", "ann")
    assert rig.told(first) == ["opened"]
    rig.silence()
    assert rig.told(first, second) == ["opened"]


def test_without_a_silence_the_next_threshold_is_told(rig: Rig) -> None:
    first, second = reached("80", "ann"), reached("100", "ann")
    assert rig.told(first) == ["opened"]
    assert rig.told(first, second) == ["opened", "changed"]


def test_several_alerts_are_silent_together(rig: Rig) -> None:
    assert rig.told(reached("80", "ann"), reached("100", "bob")) == ["opened"]
    rig.silence()
    assert rig.told(reached("80", "ann"), reached("100", "bob"), reached("80", "cleo")) == ["opened"]
