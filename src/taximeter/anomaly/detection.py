"""Detection: minutes in, incidents out. One object holds what is learnt; the same code serves a server and a replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.attribution import EXPLAINERS, Explained
from taximeter.anomaly.calendar import MINUTES_A_DAY, SLOT_MINUTES, Calendar
from taximeter.anomaly.courses import WHOLLY, Courses
from taximeter.anomaly.creep import Creeps
from taximeter.anomaly.days_off import DaysOff
from taximeter.anomaly.detectors import DETECTORS, Learnt, Suspicion
from taximeter.anomaly.history import History
from taximeter.anomaly.hours import Hours
from taximeter.anomaly.incidents import CAP_MINUTES, NEW_COURSE_MINUTES, Incident, begun, standing
from taximeter.anomaly.memory import KNOWN_DAYS, remembered
from taximeter.anomaly.models import NEW_MINUTES, AllowedModels, Models
from taximeter.anomaly.panel import FEATURE, MODEL, USER, Panel, Role
from taximeter.anomaly.peaks import WATCHES, Peaks
from taximeter.anomaly.ratios import RATIO_DAYS, Ratios
from taximeter.anomaly.rules import Thresholds
from taximeter.anomaly.spread import Spread
from taximeter.anomaly.volume import VolumeBaseline
from taximeter.anomaly.windows import WINDOWS, Watch, Windows

Floats = NDArray[np.floating[Any]]

LAG_SLOTS: Final = 4
"""History takes in a slot an hour after it ended: by then an incident in it has shown."""

SHORT_INCIDENT_MINUTES: Final = 30
"""An incident that was over this soon was noise, most likely: its score is remembered as such."""

HABIT_MINUTES: Final = 45
"""What is off at the same time of day again, so many minutes sooner or later, is a habit: a job that was moved."""

HABIT_AFTER_DAYS: Final = (1, 7)
HABITS: Final = (Watch.VOLUME, Watch.CACHE)

CREEP_EVERY_SLOTS: Final = 12

News = Literal["opened", "escalated", "closed"]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an incident at the end of a minute."""

    news: News
    minute: int
    incident: Incident


@dataclass(frozen=True, slots=True)
class Minute:
    """What is known of a minute: numbers of cells (as `Panel.cell` gives them) and `values[cell, Value]`."""

    minute: int
    cells: NDArray[np.integer[Any]]
    values: Floats


class Detection:
    def __init__(
        self,
        calendar: Calendar,
        *,
        dimensions: Sequence[str] = (FEATURE, MODEL, USER),
        grouped: Sequence[str] = (FEATURE,),
        thresholds: Thresholds | None = None,
        allowed: AllowedModels | None = None,
        prices: Mapping[str, float] | None = None,
    ) -> None:
        """`allowed`: feature → model → the minute from which it is allowed; None when nobody has told.
        `prices`: model → USD per output token, or anything that compares in the same way."""
        self.calendar = calendar
        self.thresholds = thresholds or Thresholds()
        self.panel = Panel(dimensions, grouped)
        self.history = History()
        self.windows = Windows(self.panel)
        self.spread = Spread()
        self.peaks = Peaks()
        self.baseline = VolumeBaseline(calendar, self.history, self.panel)
        self.days_off = DaysOff(self.baseline, self.panel, self.windows, self.spread)
        self.models = Models(self.panel, allowed, prices or {})
        self.hours = Hours(self.panel, self.history, calendar, self.models)
        self.creeps = Creeps()
        self.courses = Courses()
        self.incidents: list[Incident] = []
        self._expected: Floats = np.zeros((0, SLOT_MINUTES))
        self._slot = -1
        self._quiet_until: dict[tuple[Watch, int], int] = {}
        self._openings: dict[tuple[Watch, int], list[int]] = {}

    def run(self, minutes: Sequence[Minute], part: float | None = None) -> list[Told]:
        """Take in consecutive minutes of one slot (of 15 minutes), and tell what became of incidents.

        `part`: the last one is to come again, because only so much of it has passed, or is known yet.
        """
        first, last = minutes[0].minute, minutes[-1].minute
        self._make_room(last)
        self._begin_slot(first)
        hour = self.hours.of(first)
        for one in minutes:
            self.panel.put(one.minute, one.cells, one.values, hour.models.home)
        begins = first % SLOT_MINUTES
        expected = self._expected[:, begins : begins + len(minutes)].copy()
        if part is not None:
            expected[:, -1] *= part
        self.windows.take(first, expected, hour.ratios)
        told: list[Told] = []
        while first <= last:
            news, first = self._until_news(first, last, whole=part is None)
            told += news
        return told

    def amend(self, minutes: Sequence[Minute]) -> None:
        """What is known now of minutes that were taken in before: events came late."""
        self._make_room(self.panel.newest)
        for one in minutes:
            if one.minute >= self.panel.oldest:
                hour = self.hours.of(one.minute)
                self.panel.put(one.minute, one.cells, one.values, hour.models.home)
                self.windows.retake(one.minute, hour.ratios)

    def under_way(self) -> list[Incident]:
        return [*self.incidents, *self.creeps.under_way()]

    def accept(self, incident: Incident) -> None:
        """An operator says that this is nothing, or normal from now on: it ends, and is learnt."""
        if incident in self.incidents:
            self._closed(self.panel.newest, incident, lasting=True)
        else:
            self.creeps.accept(incident, self.panel.newest)

    @property
    def ratios(self) -> Ratios:
        return self.hours.of(self.panel.newest).ratios

    def _until_news(self, first: int, last: int, *, whole: bool) -> tuple[list[Told], int]:
        """Go through minutes until one has news, and say which is next. The sums of all windows are made at once;
        an incident that begins or ends changes what they rest on."""
        learnt = self._learnt(first)
        sums = self.windows.sums(first, last - first + 1)
        screened = [detector.screen(learnt, sums) for detector in DETECTORS]
        flagged = [np.asarray(flags.any((0, 2))) for flags in screened]
        for minute in range(first, last + 1):
            at = minute - first
            news = list(self._follow(learnt, minute))
            for detector, flags, any_flag in zip(DETECTORS, screened, flagged, strict=True):
                if any_flag[at]:
                    rows, places = np.nonzero(flags[:, at])
                    suspicions = detector.examine(learnt, minute, sums[:, :, at], rows, places)
                    news += self._open(learnt, minute, detector.watch, suspicions)
            if whole and (minute + 1) % SLOT_MINUTES == 0:
                self.spread.learn(minute // SLOT_MINUTES, sums[:, :, at], learnt.days_known >= KNOWN_DAYS)
                news += self._creep(minute)
            if news:
                self.windows.judge(minute + 1, last - minute)
                return news, minute + 1
        return [], last + 1

    def _learnt(self, minute: int) -> Learnt:
        hour = self.hours.of(minute)
        slot_begins = minute // SLOT_MINUTES * SLOT_MINUTES
        return Learnt(
            panel=self.panel,
            windows=self.windows,
            spread=self.spread,
            peaks=self.peaks,
            ratios=hour.ratios,
            thresholds=self.thresholds,
            days_known=(slot_begins - self.panel.born[: self.panel.rows]) / MINUTES_A_DAY,
            unexpected=hour.models.unexpected,
            settled=hour.models.settled,
            alike=hour.alike,
        )

    # ── learning ───────────────────────────────────────────────────────────────────────────────────────────────

    def _make_room(self, minute: int) -> None:
        rows = self.panel.rows
        self.windows.grow(rows)
        self.history.grow(rows)
        self.spread.grow(rows)
        self.peaks.grow(rows)
        self.baseline.grow(rows)
        self._expected = np.concatenate([self._expected, np.zeros((rows - len(self._expected), SLOT_MINUTES))])
        moved = self.panel.advance(minute)
        if moved:
            self.windows.shift(moved)

    def _begin_slot(self, minute: int) -> None:
        slot, rows = minute // SLOT_MINUTES, self.panel.rows
        if self.history.done < 0:
            self.history.done = slot - LAG_SLOTS
        if slot == self._slot:
            return
        while self.history.done < slot - LAG_SLOTS:
            done = self.history.done
            counted = remembered(self.panel, self.windows, self.baseline.level, done)
            self.history.remember(done, counted.calls, counted.minutes, counted.hourly)
            self.baseline.remember(done, counted.calls, counted.minutes)
        self._slot = slot
        self.peaks.begin(minute)
        if self.hours.begin(minute):
            self.spread.settle(*self.history.calls_an_hour(rows))
        self.baseline.learn_level(rows)
        self._expected = self.baseline.expected(slot, rows)

    # ── incidents ──────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, learnt: Learnt, minute: int, watch: Watch, suspicions: list[Suspicion]) -> list[Told]:
        fresh = [
            one
            for one in suspicions
            if not self.courses.has(one, minute) and minute >= self._quiet_until.get((watch, one.row), 0)
        ]
        return [
            self._opened(minute, explained)
            for explained in EXPLAINERS[watch](learnt, minute, fresh)
            if not self._is_day_off(learnt, minute, explained[0]) and not self._is_habit(minute, *explained)
        ]

    def _is_day_off(self, learnt: Learnt, minute: int, suspicion: Suspicion) -> bool:
        known = learnt.days_known >= KNOWN_DAYS
        return suspicion.watch is Watch.VOLUME and self.days_off.explain(minute, suspicion, self.thresholds, known)

    def _is_habit(self, minute: int, suspicion: Suspicion, rows: list[int]) -> bool:
        """Whether the same was off at this time of day before: then it is no news, and is learnt."""
        key = (suspicion.watch, rows[0])
        if suspicion.watch not in HABITS or minute < self._quiet_until.get(key, 0):
            return minute < self._quiet_until.get(key, 0)
        openings = self._openings.setdefault(key, [])
        begins = minute - suspicion.window
        openings[:] = [*(at for at in openings if begins - at < 8 * MINUTES_A_DAY), begins]
        again = any(
            abs(begins - at - days * MINUTES_A_DAY) <= HABIT_MINUTES for at in openings for days in HABIT_AFTER_DAYS
        )
        if again:
            self._quiet_until[key] = minute + HABIT_MINUTES
        return again

    def _opened(self, minute: int, explained: Explained) -> Told:
        suspicion, rows = explained
        if suspicion.watch is Watch.MIX:
            suspicion = self.models.judged(suspicion, self.thresholds, self.ratios.share)
        incident = begun(suspicion, minute, self.panel.scopes[suspicion.row], rows)
        self.incidents.append(incident)
        for row in rows:
            self.windows.bad[suspicion.watch, row] = True
            self.windows.exclude(suspicion.watch, row, incident.start)
            if suspicion.watch is Watch.VOLUME and (minute - self.panel.born[row]) >= KNOWN_DAYS * MINUTES_A_DAY:
                self.history.forget(row, incident.start // SLOT_MINUTES)
        return Told("opened", minute, incident)

    def _follow(self, learnt: Learnt, minute: int) -> Iterator[Told]:
        for incident in list(self.incidents):
            dear = incident.watch is Watch.MIX and self.models.is_dear(
                incident.rows[0], self.ratios.share, self.thresholds.dear_model
            )
            now = standing(learnt, incident, minute, dear=dear)
            if now.over or minute - incident.start >= CAP_MINUTES:
                yield self._closed(minute, incident, lasting=not now.over)
            elif now.severity == "critical" and incident.severity == "warning":
                incident.severity, incident.ratio = "critical", now.ratio
                yield Told("escalated", minute, incident)

    def _closed(self, minute: int, incident: Incident, *, lasting: bool) -> Told:
        incident.ended = minute
        self.incidents.remove(incident)
        for row in incident.rows:
            still = any(row in other.rows and other.watch is incident.watch for other in self.incidents)
            self.windows.bad[incident.watch, row] = still
            if lasting:
                self._quiet_until[incident.watch, row] = minute + NEW_COURSE_MINUTES
        if incident.watch is Watch.MIX:
            self._settle_share(minute, incident, lasting=lasting)
        if not lasting and incident.watch in WATCHES and minute - incident.start < SHORT_INCIDENT_MINUTES:
            place = np.array([WINDOWS.index(incident.window)])
            self.peaks.note(incident.watch, np.array(incident.rows[:1]), place, np.array([incident.score]))
        return Told("closed", minute, incident)

    def _settle_share(self, minute: int, incident: Incident, *, lasting: bool) -> None:
        """A share takes weeks to be learnt: until then, and while a model is new, it is compared with what was told."""
        row, level = incident.rows[0], max(incident.ratio, self.thresholds.share_warning)
        learnt_minute = minute + RATIO_DAYS * MINUTES_A_DAY
        if self.models.is_rollout(row, minute, self.ratios.share, self.thresholds.dear_model):
            self.courses.settle(Watch.MIX, row, WHOLLY, until_minute=learnt_minute, quiet_until_minute=minute)
        elif lasting:
            quiet_until = minute + NEW_COURSE_MINUTES
            self.courses.settle(Watch.MIX, row, level, until_minute=learnt_minute, quiet_until_minute=quiet_until)
        elif self.hours.of(minute).models.unexpected[row] and not self.models.is_told(row):
            # It is unexpected for no other reason than that it is new there.
            until = int(self.panel.born[row]) + NEW_MINUTES
            self.courses.settle(Watch.MIX, row, level, until_minute=until, quiet_until_minute=minute)

    def _creep(self, minute: int) -> list[Told]:
        if minute // SLOT_MINUTES % CREEP_EVERY_SLOTS != CREEP_EVERY_SLOTS // 2:
            return []
        rows = self.panel.rows
        eligible = self.panel.of_role(Role.GROUP)
        return [
            Told(news, minute, incident)
            for news, incident in self.creeps.look(
                self.history, self.panel.scopes, eligible[:rows], minute, self.thresholds
            )
        ]
