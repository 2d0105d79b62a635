"""What every store of metadata promises of leases: one holder at a time, and somebody soon when that one is gone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hand_clock import HandClock

from taximeter.store.metadata import Metadata
from taximeter.store.metadata.leases import LEASE_SECONDS


def test_of_processes_that_ask_at_once_one_gets_it(reopen: Callable[[], Metadata]) -> None:
    several = [reopen().lease("alerting") for _ in range(4)]
    with ThreadPoolExecutor(len(several)) as threads:
        got = list(threads.map(lambda lease: lease.renew(), several))
    assert sorted(got) == [False, False, False, True]
    assert [lease.held for lease in several] == got


def test_the_holder_keeps_it_as_long_as_it_renews(reopen: Callable[[], Metadata], clock: HandClock) -> None:
    holder, other = (reopen().lease("alerting") for _ in range(2))
    for _ in range(5):
        assert holder.renew()
        assert not other.renew()
        clock.seconds += LEASE_SECONDS / 2
    assert holder.held


def test_a_holder_that_is_gone_has_lost_it_before_another_takes_it(
    reopen: Callable[[], Metadata], clock: HandClock
) -> None:
    holder, other = (reopen().lease("alerting") for _ in range(2))
    holder.renew()
    clock.seconds += LEASE_SECONDS - 0.001
    assert not other.renew()
    clock.seconds += 0.001
    assert not holder.held
    assert other.renew()
    assert not holder.renew()


def test_what_is_given_back_is_free_at_once(reopen: Callable[[], Metadata]) -> None:
    holder, other = (reopen().lease("alerting") for _ in range(2))
    holder.renew()
    other.release()
    assert not other.renew()
    holder.release()
    assert not holder.held
    assert other.renew()


def test_leases_of_other_names_are_others(metadata: Metadata) -> None:
    assert metadata.lease("alerting").renew()
    assert metadata.lease("something else").renew()
