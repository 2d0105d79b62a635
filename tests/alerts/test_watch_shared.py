"""Two servers on the same metadata: one evaluates, people talk to either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from taximeter.alerts.alert import Observation
from taximeter.alerts.desk import Policy
from taximeter.alerts.routing import Route
from taximeter.alerts.watch import Watch
from taximeter.clock import SystemClock
from taximeter.errors import StoreError, UsageError
from taximeter.store.metadata import Metadata


class Trouble:
    """A source that observes one thing."""

    rules: Sequence[str] = ("spike",)

    def observe(self, now_us: int) -> list[Observation]:
        del now_us
        labels = {"feature": "chat"}
        return [Observation(rule="spike", kind="volume_spike", labels=labels, severity="critical", summary="60 calls")]


class Broken:
    """A source that cannot be asked, for one reason or another."""

    rules: Sequence[str] = ("broken",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def observe(self, now_us: int) -> list[Observation]:
        raise self._error


def watch_of(metadata: Metadata) -> Watch:
    policy = Policy(Route(name="all", channels=("slack",)))
    return Watch(lambda: [Trouble()], lambda: policy, metadata.alerting, SystemClock())


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Watch, Watch]]:
    opened = [Metadata(tmp_path / "metadata.sqlite") for _ in range(2)]
    yield watch_of(opened[0]), watch_of(opened[1])
    for one in opened:
        one.close()


def test_what_is_acknowledged_at_one_server_stays_so_at_the_one_that_evaluates(pair: tuple[Watch, Watch]) -> None:
    evaluates, other = pair
    evaluates.evaluate()
    [incident] = other.desk.incidents
    other.acknowledge(incident.incident_id, "ann")
    evaluates.evaluate()
    for watch in pair:
        [found] = watch.desk.incidents
        assert found.acknowledged is not None
        assert found.acknowledged.by == "ann"


def test_whoever_goes_on_for_another_tells_nothing_twice(pair: tuple[Watch, Watch], tmp_path: Path) -> None:
    for watch in (*pair, *pair):
        watch.evaluate()
    metadata = Metadata(tmp_path / "metadata.sqlite")
    assert [letter.event for letter in metadata.alerting.letters()] == ["opened"]
    metadata.close()


def test_an_evaluation_that_another_server_overtook_changes_nothing(tmp_path: Path) -> None:
    here, there = (Metadata(tmp_path / "metadata.sqlite") for _ in range(2))
    other = watch_of(there)
    policy = Policy(Route(name="all", channels=("slack",)))

    def overtaken() -> Policy:
        other.evaluate()
        return policy

    watch = Watch(lambda: [Trouble()], overtaken, here.alerting, SystemClock())
    with pytest.raises(StoreError, match="changed by another server"):
        watch.evaluate()
    assert len(here.alerting.letters()) == 1
    for one in (here, there):
        one.close()


@pytest.mark.parametrize("error", [UsageError("events from before are no longer kept"), ArithmeticError("no number")])
def test_a_rule_that_cannot_be_judged_silences_no_other(tmp_path: Path, error: Exception) -> None:
    metadata = Metadata(tmp_path / "metadata.sqlite")
    policy = Policy(Route(name="all", channels=("slack",)))
    Watch(lambda: [Broken(error), Trouble()], lambda: policy, metadata.alerting, SystemClock()).evaluate()
    assert [letter.event for letter in metadata.alerting.letters()] == ["opened"]
    metadata.close()
