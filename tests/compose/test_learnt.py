"""What detection has learnt, kept over a restart: it goes on as if there had been none."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_history import MINUTE_US, NOW, Clock, History

from taximeter.anomaly.detection import Detection
from taximeter.anomaly.peaks import Peaks
from taximeter.compose.detecting import Detecting
from taximeter.compose.learnt import LEARNT_FILE, Learnt, LearntFile
from taximeter.config.anomalies import AnomalySettings, OverrideSettings
from taximeter.reports.backtest import detection_for

pytestmark = pytest.mark.timeout(900)
"""Days of minutes take their time on a busy machine."""

SETTINGS = AnomalySettings()


def file_in(folder: Path, settings: AnomalySettings = SETTINGS) -> LearntFile:
    return LearntFile(folder / LEARNT_FILE, settings)


class Asked:
    """A store that notes since when it is asked for minutes."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.earliest = 1 << 60

    def query(self, query: Any, **more: Any) -> Any:
        if query.interval == "minute":
            self.earliest = min(self.earliest, query.from_us // MINUTE_US)
        return self._store.query(query, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def state(detection: Detection) -> dict[str, Any]:
    """Of every row, by its scope, what is learnt and what is under way."""
    first, last = detection.panel.column(NOW - 100), detection.panel.column(detection.panel.newest)
    parts: dict[str, Any] = {
        "raw": detection.panel.raw[:, :, first:last],
        "seen": detection.windows.all[:, :, first:last],
        "counts": detection.windows.counts[:, :, first:last],
        "hourly": detection.history.hourly,
    }
    by_row: dict[str, Any] = {
        "count": detection.history.count,
        "minutes": detection.history.minutes,
        "noise": detection.spread.dispersion,
    }
    rows = range(detection.panel.rows)
    learnt = {
        str(detection.panel.scopes[row]): [held[:, row].tolist() for held in parts.values()]
        + [held[row].tolist() for held in by_row.values()]
        for row in rows
    }
    incidents = [(one.kind, one.scope, one.start, one.detected) for one in detection.under_way()]
    return {"learnt": learnt, "incidents": incidents}


LATE = ((NOW + 12, NOW + 3), (NOW + 33, NOW + 21), (NOW + 37, NOW + 29))
"""In which minute calls of which earlier one come; some while nobody looks."""


def lived(history: History, restarts: tuple[tuple[int, int], ...], again: Callable[[], Detecting]) -> Detecting:
    """A spike, its end, calls that come late; `restarts`: from when to when nobody looks."""
    watching = again()
    clock: Clock = watching._clock  # type: ignore[assignment]
    for minute in range(NOW - 8, NOW + 50):
        history.calls(minute, minute + 1, factor=6 if NOW <= minute < NOW + 14 else 1)
        for come, of in LATE:
            if minute == come:
                history.calls(of, of + 1, user_id="late")
        clock.minute = minute + 1.2
        if any(begin <= minute < end for begin, end in restarts):
            continue
        if any(minute == end for _, end in restarts):
            watching = again()
            clock = watching._clock  # type: ignore[assignment]
            clock.minute = minute + 1.2
        watching.turn()
        if any(minute + 1 == begin for begin, _ in restarts):
            watching.close()
    return watching


def test_a_restart_changes_nothing_also_where_calls_came_late_meanwhile(usual_days: Path, tmp_path: Path) -> None:
    told, states, asked_since = [], [], []
    for name, restarts in (("steady", ()), ("restarted", ((NOW + 5, NOW + 6), (NOW + 30, NOW + 41)))):
        history = History(shutil.copytree(usual_days, tmp_path / name), seed=11)
        store = Asked(history.store)

        def again(history: History = history, store: Asked = store, name: str = name) -> Detecting:
            store.earliest = 1 << 60
            return history.detecting(Clock(NOW - 7.8), store=store, file=file_in(tmp_path / name))

        watching = lived(history, restarts, again)
        assert watching._detection is not None
        told.append(
            [
                (one.finding.kind, one.finding.scope, one.finding.started_at_us, one.finding.ended_at_us)
                for one in history.metadata.findings.list()
            ]
        )
        states.append(state(watching._detection))
        asked_since.append(store.earliest)
        history.close()
    assert told[0] == told[1]
    assert told[0]
    assert states[0] == states[1]
    assert asked_since[1] >= NOW


@pytest.fixture
def learnt(tmp_path: Path) -> Learnt:
    """A small detection that was written."""
    detection = detection_for(SETTINGS)
    detection.panel.cell(("chat", "gpt-4o", "ada", "core", None, None), NOW)
    found = Learnt(detection, NOW, NOW * MINUTE_US)
    file_in(tmp_path).keep(found)
    return found


def test_what_is_read_is_what_was_kept(learnt: Learnt, tmp_path: Path) -> None:
    found = file_in(tmp_path).read()
    assert found is not None
    assert (found.minute, found.since_us) == (learnt.minute, learnt.since_us)
    assert found.detection.panel.scopes == learnt.detection.panel.scopes
    assert np.array_equal(found.detection.panel.raw, learnt.detection.panel.raw)
    assert found.detection.baseline._history is found.detection.history
    assert (tmp_path / LEARNT_FILE).stat().st_mode & 0o777 == 0o600


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def turned(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)


def of_another_kind(path: Path) -> None:
    path.write_bytes(b"not a file of ours")


def naming(thing: Any) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with gzip.open(path) as stream:
            head = stream.readline()
        with gzip.open(path, "wb") as stream:
            stream.write(head + pickle.dumps(thing))

    return spoil


def without_head(path: Path) -> None:
    with gzip.open(path, "wb") as stream:
        stream.write(json.dumps({}).encode() + b"\n")


@pytest.mark.parametrize(
    "spoil", [cut, turned, of_another_kind, without_head, naming(print), naming(json.loads), naming(np.load), naming(3)]
)
def test_a_file_that_is_no_use_is_as_none(learnt: Learnt, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    assert learnt.minute == NOW
    spoil(tmp_path / LEARNT_FILE)
    assert file_in(tmp_path).read() is None


def test_what_was_learnt_by_other_rules_is_as_none(learnt: Learnt, tmp_path: Path) -> None:
    assert learnt.minute == NOW
    assert file_in(tmp_path, AnomalySettings(timezone="Europe/Berlin")).read() is None
    told_less = AnomalySettings(overrides=[OverrideSettings(scope={"feature": "chat"}, off=True)])
    assert file_in(tmp_path, told_less).read() is not None


def test_what_is_held_otherwise_was_learnt_by_other_rules(
    learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version may hold more, or the same in another order; what it takes for a finding is no matter."""
    assert learnt.minute == NOW
    monkeypatch.setattr("taximeter.anomaly.detectors.LEAST_CALLS", 9.0)
    assert file_in(tmp_path).read() is not None
    with monkeypatch.context() as later:
        begun = Peaks.__init__

        def with_more(self: Peaks) -> None:
            begun(self)
            self.more = 0  # type: ignore[attr-defined]

        later.setattr(Peaks, "__init__", with_more)
        assert file_in(tmp_path).read() is None
    with monkeypatch.context() as later:
        later.setattr("taximeter.anomaly.history.KEPT_HOURS", 1000)
        assert file_in(tmp_path).read() is None
    with monkeypatch.context() as later:
        later.setattr(
            "taximeter.anomaly.panel.Raw", IntEnum("Raw", ["RETRIES", "CALLS"], module="taximeter.anomaly.panel")
        )
        assert file_in(tmp_path).read() is None
    assert file_in(tmp_path).read() is not None


def test_without_a_place_to_write_detection_goes_on(learnt: Learnt, tmp_path: Path) -> None:
    nowhere = file_in(tmp_path / "missing")
    nowhere.keep(learnt)
    assert nowhere.read() is None


def test_deleted_users_go_from_it(history: History, tmp_path: Path) -> None:
    history.calls(NOW - 8, NOW, user_id="somebody")
    watching = history.detecting(Clock(NOW + 0.1), file=file_in(tmp_path))
    watching.turn()
    watching.close()
    assert b"somebody" in gzip.decompress((tmp_path / LEARNT_FILE).read_bytes())
    watching.forget_users(lambda user, _at_us: user == "somebody")
    watching.turn()
    assert b"somebody" not in gzip.decompress((tmp_path / LEARNT_FILE).read_bytes())
    kept = file_in(tmp_path).read()
    assert kept is not None
    users = {value for scope in kept.detection.panel.scopes for name, value in scope if name == "user_id"}
    assert {"u0", "u1", "u2"} < users
    assert len(users) == 4
