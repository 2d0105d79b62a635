"""Periodic work goes on whatever a turn does, and says how it is doing."""

from __future__ import annotations

import threading
import time

import pytest

from taximeter.clock import SystemClock
from taximeter.compose.jobs import Jobs
from taximeter.errors import StoreError


def test_a_job_runs_at_once_and_again_until_it_is_stopped() -> None:
    turns = threading.Semaphore(0)
    jobs = Jobs(SystemClock())
    jobs.every("counting", 0.001, turns.release)
    jobs.start()
    assert all(turns.acquire(timeout=100) for _ in range(3))
    jobs.stop()
    assert jobs.status["counting"].runs >= 2
    assert jobs.status["counting"].last_success_at is not None


def test_a_job_that_reads_much_begins_later_and_can_be_stopped_before() -> None:
    ran: list[str] = []
    jobs = Jobs(SystemClock())
    jobs.every("later", 60, lambda: ran.append("later"), after_seconds=3600)
    jobs.every("at once", 60, lambda: ran.append("at once"))
    jobs.start()
    while not ran:
        time.sleep(0.001)
    jobs.stop()
    assert ran == ["at once"]


@pytest.mark.parametrize("error", [StoreError("full"), OSError("gone"), RuntimeError("a mistake of ours")])
def test_a_turn_that_fails_is_noted_and_the_next_one_clears_it(error: Exception) -> None:
    outcomes: list[Exception | None] = [error, None]

    def run() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    jobs = Jobs(SystemClock())
    job = jobs.every("wavering", 60, run)
    job.turn()
    assert (job.status.failures, job.status.last_error) == (1, str(error))
    assert job.status.last_success_at is None
    job.turn()
    assert (job.status.runs, job.status.failures, job.status.last_error) == (2, 1, None)


def test_stopping_waits_for_the_turn_under_way() -> None:
    begun, ended = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        ended.wait(0.2)
        ended.set()

    jobs = Jobs(SystemClock())
    jobs.every("slow", 60, run)
    jobs.start()
    assert begun.wait(100)
    jobs.stop()
    assert ended.is_set()


def test_a_job_that_another_process_does_rests_and_says_so() -> None:
    ours = [False]
    ran: list[str] = []
    jobs = Jobs(SystemClock())
    shared, own = (
        jobs.every("shared", 60, lambda: ran.append("shared")),
        jobs.every("own", 60, lambda: ran.append("own")),
    )
    jobs.once(("shared", "unknown"), lambda: ours[0])
    for _ in range(2):
        shared.turn()
        own.turn()
        ours[0] = True
    assert ran == ["own", "shared", "own"]
    assert (jobs.status["shared"].elsewhere, jobs.status["shared"].runs) == (False, 1)
    ours[0] = False
    assert [job.elsewhere for job in jobs.status.values()] == [False, True]


def test_jobs_that_were_never_started_can_be_stopped() -> None:
    jobs = Jobs(SystemClock())
    jobs.every("idle", 60, lambda: None)
    jobs.stop()
    assert jobs.status["idle"].runs == 0


def test_two_jobs_cannot_have_one_name() -> None:
    jobs = Jobs(SystemClock())
    jobs.every("twice", 60, lambda: None)
    with pytest.raises(ValueError, match="twice"):
        jobs.every("twice", 60, lambda: None)


@pytest.mark.parametrize(
    ("reads_much", "hurried", "took_seconds", "rests_seconds"),
    [
        (True, False, 1.0, 2.0),
        (True, True, 0.1, 2.0),
        (True, True, 1.0, 9.0),
        (True, True, 60.0, 30.0),
        (False, True, 60.0, 2.0),
    ],
)
def test_what_reads_much_gives_way_while_others_hurry_but_not_for_ever(
    reads_much: bool, hurried: bool, took_seconds: float, rests_seconds: float
) -> None:
    jobs = Jobs(SystemClock())
    job = jobs.every("reading", 2, lambda: None, after_seconds=5 if reads_much else 0)
    jobs.give_way(lambda: hurried)
    assert job.rest_seconds(took_seconds) == rests_seconds
