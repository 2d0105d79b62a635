"""What every store of metadata promises of links in messages: one key, and each link used once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hand_clock import START_US

from taximeter.store.metadata import Metadata
from taximeter.store.metadata.links import KEY_BYTES


def test_every_process_signs_with_the_same_key(reopen: Callable[[], Metadata]) -> None:
    opened = [reopen() for _ in range(4)]
    with ThreadPoolExecutor(len(opened)) as threads:
        keys = set(threads.map(lambda one: one.links.key(), opened))
    assert keys == {reopen().links.key()}
    assert len(keys.pop()) == KEY_BYTES


def test_a_link_is_used_up_by_one_of_many_who_try_at_once(reopen: Callable[[], Metadata]) -> None:
    opened = [reopen() for _ in range(4)]
    with ThreadPoolExecutor(len(opened)) as threads:
        used = list(threads.map(lambda one: one.links.use("act/n1/", START_US, START_US + 9), opened))
    assert sorted(used) == [False, False, False, True]
    assert reopen().links.used("act/n1/")
    assert not reopen().links.used("act/n2/")


def test_a_link_that_was_given_back_may_be_used_and_one_that_expired_is_forgotten(metadata: Metadata) -> None:
    links = metadata.links
    assert links.use("a", START_US, START_US + 9)
    links.give_back("a")
    assert links.use("a", START_US, START_US + 9)
    assert links.use("b", START_US + 9, START_US + 99)
    assert not links.used("a")
