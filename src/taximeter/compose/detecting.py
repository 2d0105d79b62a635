"""Detection in a process that keeps events: a job that follows the store and keeps findings.

What is learnt is kept in a file now and then (see `learnt`): a start learns from the store the minutes since, or all of
them from its history. So a restart in the middle of an incident goes on with it or detects it again; it goes on as the
finding that is open in the metadata, and is neither forgotten nor told twice. Calls that came late for the last minutes
before the file was written are read as they are without a restart.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from taximeter.anomaly.detection import Detection
from taximeter.anomaly.finding import Finding
from taximeter.anomaly.incidents import Incident
from taximeter.anomaly.panel import USER, renamed
from taximeter.anomaly.telling import MINUTE_US, finding_of, scope_of
from taximeter.clock import Clock
from taximeter.compose.learnt import Learnt, LearntFile
from taximeter.config.anomalies import AnomalySettings
from taximeter.core.ids import EventIds
from taximeter.errors import UsageError
from taximeter.reports.backtest import backtest, detection_for, is_told
from taximeter.reports.behind import with_contributors
from taximeter.reports.signals import HISTORY_US, Signals, slots, without_calls
from taximeter.store.events import EventStore
from taximeter.store.events.deleted_users import user_hash
from taximeter.store.metadata import Findings, JudgedFinding, Verdict

DETECT_SECONDS: Final = 2.0
"""Pause between two looks. While nothing is stored a look costs nothing."""

GRACE_US: Final = 4_000_000
"""How long after its end a minute counts as complete: events come through spool and collector."""

LATE_MINUTES: Final = 3
"""Minutes that every turn reads again, for events that came late."""

VERY_LATE_MINUTES: Final = 30
"""Minutes that are read again when a new one is complete."""

CHUNK_MINUTES: Final = 360
"""How much of the history is read at once."""

LOOK_UP_US: Final = 300_000_000
"""How often the busiest users and the prices of models are looked up."""


MOST_LOOKED_UP: Final = 4
"""Findings of which a turn looks up who is behind them: when much begins at once the first are told at once, and the
rest with the next turns."""

KEEP_US: Final = 600_000_000
"""How often what is learnt is kept: so much is learnt again after a crash."""

Gone = Callable[[str, int], bool]
"""Whether a user was deleted after a moment (microseconds since the epoch) in which they were known."""


class Detecting:
    """Its methods may be called from any thread; `turn` is the job's. All raise StoreError."""

    def __init__(
        self,
        store: EventStore,
        findings: Findings,
        settings: AnomalySettings,
        clock: Clock,
        ids: EventIds,
        *,
        alone: bool = False,
        file: LearntFile | None = None,
    ) -> None:
        """`alone`: only this process puts events into the store, and says so with `stored`. `file`: where what is
        learnt is kept over a restart."""
        self._signals = Signals(store, detection_for(settings).panel.dimensions)
        self.findings = findings
        self._store, self._settings, self._clock, self._ids = store, settings, clock, ids
        self._detection: Detection | None = None
        self._told: dict[int, Finding] = {}
        """Incident (by identity) → the finding it is."""
        self._known: dict[int, Incident] = {}
        self._explained: dict[int, Finding] = {}
        """Incident (by identity) → the finding as it was when its contributors were looked up last."""
        self._complete = -1
        """The last minute that was taken in as a whole."""
        self._file, self._since_us, self._kept_us = file, 0, 0
        """Where what is learnt is kept; since when it has been learnt, and when it was kept last."""
        self._gone: Gone | None = None
        self._looked_up_us = 0
        self._alone, self._stored, self._seen, self._seen_minute = alone, 0, 0, -1
        """Batches that were stored, those of them that were looked at, and in which minute the last of these came."""
        self._stopping, self._outdated = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End a turn that learns from the history; the next start goes on with it."""
        self._stopping.set()

    def close(self) -> None:
        """Keep what is learnt, when no turn comes any more. One that still learns from the history keeps it itself."""
        if self._detection is not None:
            with self._lock:
                self._keep(self._detection, self._clock.now_us())

    def forget(self) -> None:
        """Another process followed the store meanwhile: the next turn learns anew, and goes on with its findings."""
        self._outdated.set()

    def forget_users(self, gone: Gone) -> None:
        """With the next turn the names of users who were deleted go from what is learnt, and from where it is kept."""
        self._gone = gone

    def stored(self) -> None:
        """Events were put into the store; called from one thread."""
        self._stored += 1

    def turn(self) -> None:
        now_us = self._clock.now_us()
        with self._lock:
            if self._outdated.is_set():
                self._outdated.clear()
                self._detection, self._told, self._known = None, {}, {}
            if self._detection is None:
                self._detection = self._begun(now_us)
                if self._detection is None:
                    return
                self._seen_minute = now_us // MINUTE_US
            stored = self._stored
            if not self._alone or stored != self._seen or self._may_have_missed(now_us):
                self._read(self._detection, now_us)
            else:
                self._pass(self._detection, now_us)
            if stored != self._seen:
                self._seen, self._seen_minute = stored, now_us // MINUTE_US
            self._tell(self._detection, now_us)
            if self._forgot(self._detection) or now_us - self._kept_us >= KEEP_US:
                self._keep(self._detection, now_us)

    def judge(self, finding_id: str, verdict: Verdict, by: str) -> JudgedFinding:
        """What an operator says of a finding. What was nothing, or is the new normal, ends and is learnt."""
        judged = self.findings.judge(finding_id, verdict, by)
        if verdict != "confirmed":
            with self._lock:
                self._accept(finding_id)
        return judged

    def backtest(self, from_us: int, to_us: int) -> dict[str, Any]:
        """What would have been told between two moments. Raises QueryStoppedError."""
        return backtest(self._settings, self._store, from_us, to_us).as_dict()

    # ── following the store ────────────────────────────────────────────────────────────────────────────────────

    def _begun(self, now_us: int) -> Detection | None:
        """What was kept, and what the minutes since teach, or the whole history; None when we are to stop."""
        last = (now_us - GRACE_US) // MINUTE_US - 1
        self._kept_us = now_us
        kept = self._kept_until(last)
        if kept is None:
            detection, self._complete, self._since_us = detection_for(self._settings), -1, now_us
            first = self._signals.first_minute(now_us - HISTORY_US, now_us)
            begins = last if first is None else min(first, last)  # it knows nothing before it has taken in a minute
        else:
            detection, self._complete, self._since_us = kept.detection, kept.minute, kept.since_us
            begins = kept.minute + 1
            self._take_up(detection)
        self._look_up(detection, now_us)
        if kept is not None:
            self._amend(detection)
        if not self._learn(detection, begins, last):
            return None
        self.findings.keep(_ended(one, (self._complete + 1) * MINUTE_US) for one in self._take_up(detection))
        return detection

    def _kept_until(self, last: int) -> Learnt | None:
        """What was kept, unless that is older than the history that is learnt from, or from a clock that was wrong."""
        kept = None if self._file is None else self._file.read()
        is_recent = kept is not None and last - HISTORY_US // MINUTE_US < kept.minute <= last
        return kept if is_recent else None

    def _amend(self, detection: Detection) -> None:
        """As `_follow` reads minutes again that were taken in: calls for them may have come since."""
        first = max(self._complete - VERY_LATE_MINUTES + 1, detection.panel.oldest)
        for block in self._signals.blocks(detection.panel, first, self._complete):
            detection.amend(block)

    def _learn(self, detection: Detection, first: int, last: int) -> bool:
        """Whether we came to the end; otherwise we are to stop, and what is learnt until here is kept."""
        for begins in range(first, last + 1, CHUNK_MINUTES):
            if self._stopping.is_set():
                if self._complete >= 0:
                    self._keep(detection, self._clock.now_us())
                return False
            ends = min(begins + CHUNK_MINUTES - 1, last)
            for block in self._signals.blocks(detection.panel, begins, ends):
                detection.run(block)
            self._complete = ends
            if (now_us := self._clock.now_us()) - self._kept_us >= KEEP_US:
                self._keep(detection, now_us)
        self._complete = max(self._complete, last)
        return True

    def _keep(self, detection: Detection, now_us: int) -> None:
        self._kept_us = now_us
        if self._file is not None:
            self._file.keep(Learnt(detection, self._complete, self._since_us))

    def _forgot(self, detection: Detection) -> bool:
        """Whether there were users to forget: their rows stay, under names that nobody can read."""
        gone, self._gone = self._gone, None
        if gone is None:
            return False
        panel = detection.panel
        names = {
            value: user_hash(value)
            for scope, born in zip(panel.scopes, panel.born.tolist(), strict=False)
            for name, value in scope
            if name == USER and gone(value, born * MINUTE_US)
        }
        panel.rename(USER, names)
        for incident in detection.under_way():
            incident.scope = renamed(incident.scope, USER, names)
        return bool(names)

    def _take_up(self, detection: Detection) -> list[Finding]:
        """Incidents under way go on as the findings that are open; the ones of these that belong to none."""
        told = {one.finding_id for one in self._told.values()}
        waiting = [one for one in self.findings.open() if one.finding_id not in told]
        open_findings = {(one.kind, tuple(sorted(one.scope.items()))): one for one in waiting}
        for incident in detection.under_way():
            if id(incident) in self._told:
                continue
            found = open_findings.pop((incident.kind, tuple(sorted(scope_of(incident).items()))), None)
            if found is not None:
                self._known[id(incident)], self._told[id(incident)] = incident, found
        return list(open_findings.values())

    def _look_up(self, detection: Detection, now_us: int) -> None:
        self._signals.choose_spenders(now_us)
        detection.models.prices.update(self._signals.model_prices(now_us))
        self._looked_up_us = now_us

    def _may_have_missed(self, now_us: int) -> bool:
        """Whether a minute is over of which there may be events: they may come before their time by a wrong clock."""
        complete = (now_us - GRACE_US) // MINUTE_US - 1
        return complete > self._complete and complete - self._seen_minute <= VERY_LATE_MINUTES

    def _read(self, detection: Detection, now_us: int) -> None:
        if now_us - self._looked_up_us >= LOOK_UP_US:
            self._look_up(detection, now_us)
        self._follow(detection, now_us)

    def _pass(self, detection: Detection, now_us: int) -> None:
        """Nothing was stored: the minutes that are over had no calls."""
        complete = (now_us - GRACE_US) // MINUTE_US - 1
        for slot in slots(self._complete + 1, complete):
            detection.run([without_calls(minute) for minute in slot])
            self._complete = slot[-1]

    def _follow(self, detection: Detection, now_us: int) -> None:
        """Take in the minutes that are complete, what came late for earlier ones, and the one under way in part."""
        complete, under_way = (now_us - GRACE_US) // MINUTE_US - 1, now_us // MINUTE_US
        again = VERY_LATE_MINUTES if complete > self._complete else LATE_MINUTES
        first = max(min(self._complete - again + 1, complete), detection.panel.oldest)
        for block in self._signals.blocks(detection.panel, first, under_way):
            late = [one for one in block if one.minute <= self._complete]
            whole = [one for one in block if self._complete < one.minute <= complete]
            if late:
                detection.amend(late)
            if whole:
                detection.run(whole)
                self._complete = whole[-1].minute
            for one in block[len(late) + len(whole) :]:
                part = min(1.0, (now_us - one.minute * MINUTE_US) / MINUTE_US)
                detection.run([one], part=max(part, 1 / 60))

    # ── telling ────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, detection: Detection, now_us: int) -> None:
        under_way = {id(incident): incident for incident in detection.under_way()}
        self._known.update(under_way)
        if changed := list(self._changed(detection, now_us)):
            self.findings.keep(changed)
        for gone in set(self._known) - set(under_way):
            self._known.pop(gone)
            self._told.pop(gone, None)
            self._explained.pop(gone, None)

    def _changed(self, detection: Detection, now_us: int) -> Iterator[Finding]:
        minute = min(now_us // MINUTE_US, detection.panel.newest)
        look_ups = iter(range(MOST_LOOKED_UP))
        for key, incident in self._known.items():
            before = self._told.get(key)
            finding_id = before.finding_id if before else self._ids.new(now_us // 1000)
            finding = finding_of(detection, incident, minute, finding_id)
            if before is None and (not finding.open or not is_told(self._settings, incident, finding)):
                continue
            detected_at_us = before.detected_at_us if before else min(finding.detected_at_us, now_us)
            finding = replace(finding, detected_at_us=detected_at_us)
            explained = self._with_contributors(key, finding, now_us, look_ups)
            if explained is not None and explained != before:
                self._told[key] = explained
                yield explained

    def _with_contributors(self, key: int, finding: Finding, now_us: int, look_ups: Iterator[int]) -> Finding | None:
        """Looked up when there is twice as much to see as last time, so a long incident costs little. None when others
        are first; what has ended goes with what is known."""
        last = self._explained.get(key)
        if last is not None and not _has_moved_on(finding, last):
            return _explained_as(finding, last)
        if next(look_ups, None) is None:
            known = last or self._told.get(key)
            return None if finding.open or known is None else _explained_as(finding, known)
        with contextlib.suppress(UsageError):  # features and models in too many groups: who is behind it stays open
            finding = with_contributors(finding, self._store, now_us)
        self._explained[key] = finding
        return finding

    def _accept(self, finding_id: str) -> None:
        for key, finding in self._told.items():
            if finding.finding_id == finding_id and self._detection is not None:
                self._detection.accept(self._known[key])


def _has_moved_on(finding: Finding, since: Finding) -> bool:
    changed = (finding.severity, finding.open) != (since.severity, since.open)
    length, explained = (one.updated_at_us - one.started_at_us for one in (finding, since))
    return changed or length >= 2 * explained


def _explained_as(finding: Finding, last: Finding) -> Finding:
    explained = {name: last.evidence[name] for name in last.evidence.keys() - finding.evidence.keys()}
    return replace(finding, contributors=last.contributors, evidence={**finding.evidence, **explained})


def _ended(finding: Finding, at_us: int) -> Finding:
    return replace(finding, ended_at_us=at_us, updated_at_us=at_us)
