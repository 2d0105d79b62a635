"""What every store of metadata promises of keys and sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from hand_clock import START_US, HandClock

from taximeter.core.attribution import attribution
from taximeter.errors import NotFoundError, UsageError
from taximeter.store.metadata import Metadata
from taximeter.store.metadata.keys import LONGEST_NAME, RECHECK_SECONDS, SCOPES

# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_is_found_by_its_secret(metadata: Metadata, scope: str) -> None:
    key, secret = metadata.keys.create("ci", scope, {"team": "core"}, attributes_win=True)
    found = metadata.keys.find(secret)
    assert found == key
    assert (key.name, key.scope, key.attributes, key.attributes_win) == ("ci", scope, {"team": "core"}, True)
    assert secret.startswith(f"tm_{scope}_")
    assert key.id.startswith("key_")
    assert (key.created_at_us, key.revoked_at_us, key.last_used_at_us) == (START_US, None, None)


def test_what_is_bound_to_a_key_wins_unless_it_says_otherwise(metadata: Metadata) -> None:
    usual, _ = metadata.keys.create("ci", "ingest", {"team": "core"})
    other, _ = metadata.keys.create("ci", "ingest", {"team": "core"}, attributes_win=False)
    assert (usual.attributes_win, other.attributes_win) == (True, False)


def everything_in(place: Path | str) -> bytes:
    if isinstance(place, Path):
        return b"".join(file.read_bytes() for file in place.parent.iterdir())
    with psycopg.connect(place) as connection:
        return b"".join(line.encode() for (line,) in connection.execute("SELECT keys::text FROM keys"))


def test_the_secret_is_nowhere_to_be_found(metadata: Metadata, metadata_place: Path | str) -> None:
    key, secret = metadata.keys.create("ci", "read")
    metadata.close()
    kept = everything_in(metadata_place)
    assert key.id.encode() in kept
    assert secret.encode() not in kept
    assert secret.removeprefix("tm_read_").encode() not in kept
    assert secret not in repr(key)


@pytest.mark.parametrize("secret", ["", "tm_", "tm_read_0000", "sk-something-else", "Ünïcode", "\ud800", "tm_\x00"])
def test_what_is_no_secret_finds_nothing(metadata: Metadata, secret: str) -> None:
    metadata.keys.create("ci", "read")
    assert metadata.keys.find(secret) is None


def test_a_revoked_key_is_gone_at_once(metadata: Metadata, clock: HandClock) -> None:
    key, secret = metadata.keys.create("ci", "read")
    other, other_secret = metadata.keys.create("other", "read")
    assert metadata.keys.find(secret) == key
    clock.seconds = 5
    assert metadata.keys.revoke(key.id).revoked_at_us == START_US + 5_000_000
    assert metadata.keys.find(secret) is None
    assert metadata.keys.find(other_secret) == other


def test_a_key_revoked_twice_keeps_its_first_date(metadata: Metadata, clock: HandClock) -> None:
    key, _ = metadata.keys.create("ci", "read")
    first = metadata.keys.revoke(key.id)
    clock.seconds = 5
    assert metadata.keys.revoke(key.id) == first


def test_another_process_makes_a_key_that_works_at_once(reopen: Callable[[], Metadata]) -> None:
    here, there = reopen(), reopen()
    here.keys.find("tm_read_warm")
    key, secret = there.keys.create("ci", "read")
    assert here.keys.find(secret) == key


def test_another_process_revokes_a_key_within_a_second(reopen: Callable[[], Metadata], clock: HandClock) -> None:
    here, there = reopen(), reopen()
    key, secret = here.keys.create("ci", "read")
    assert here.keys.find(secret) == key
    there.keys.revoke(key.id)
    clock.seconds += RECHECK_SECONDS
    assert here.keys.find(secret) is None


def test_a_key_that_does_not_exist_cannot_be_revoked(metadata: Metadata) -> None:
    with pytest.raises(NotFoundError, match="key_unknown"):
        metadata.keys.revoke("key_unknown")


@pytest.mark.parametrize(
    ("name", "scope", "field"),
    [
        ("ci", "root", "scope"),
        ("ci", "", "scope"),
        ("", "read", "name"),
        ("  ", "read", "name"),
        ("x" * (LONGEST_NAME + 1), "read", "name"),
    ],
)
def test_a_key_that_is_not_allowed_is_refused(metadata: Metadata, name: str, scope: str, field: str) -> None:
    with pytest.raises(UsageError) as refused:
        metadata.keys.create(name, scope)
    assert refused.value.facts["field"] == field
    assert metadata.keys.list() == []


def test_keys_are_listed_oldest_first_revoked_ones_too(metadata: Metadata, clock: HandClock) -> None:
    ids = []
    for name in ("first", "second"):
        key, _ = metadata.keys.create(name, "read")
        ids.append(key.id)
        clock.seconds += 1
    metadata.keys.revoke(ids[0])
    assert [key.id for key in metadata.keys.list()] == ids
    assert [key.revoked_at_us is None for key in metadata.keys.list()] == [False, True]


def test_attributes_have_names_of_fields_or_are_tags(metadata: Metadata) -> None:
    bound = {"user": "u", "team": "core", "tags.z": "9", "tags.team": "x"}
    key, _ = metadata.keys.create("ci", "gateway", bound)
    assert key.attributes == {"user_id": "u", "team": "core", "tags.z": "9", "tags.team": "x"}
    meant = attribution(**key.attributes)
    assert (meant.user_id, meant.team, meant.tags) == ("u", "core", {"z": "9", "team": "x"})


@pytest.mark.parametrize("name", ["nope", "tags.", "tags", ""])
def test_an_attribute_that_does_not_exist_is_refused_with_those_that_do(metadata: Metadata, name: str) -> None:
    with pytest.raises(UsageError, match=f"tags.{name}; allowed: user, team, .*tags.NAME"):
        metadata.keys.create("ci", "gateway", {name: "1"})


@pytest.mark.parametrize("name", ["team", "tags.plan"])
def test_an_attribute_without_a_value_is_refused(metadata: Metadata, name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' has no value"):
        metadata.keys.create("ci", "gateway", {name: ""})


def test_use_is_noted_to_the_minute(metadata: Metadata, clock: HandClock) -> None:
    _, secret = metadata.keys.create("ci", "read")
    metadata.keys.create("unused", "read")
    metadata.keys.find(secret)
    clock.seconds = 90
    metadata.keys.note_uses()
    used, unused = metadata.keys.list()
    assert used.last_used_at_us == (START_US + 90_000_000) // 60_000_000 * 60_000_000
    assert unused.last_used_at_us is None
    clock.seconds = 300
    metadata.keys.note_uses()
    assert metadata.keys.list() == [used, unused]


def test_many_threads_find_keys_while_another_makes_them(metadata: Metadata) -> None:
    wrong: list[str] = []
    known = [metadata.keys.create("first", "read")[1]]
    done = threading.Event()

    def find() -> None:
        while not done.is_set():
            wrong.extend(secret for secret in list(known) if metadata.keys.find(secret) is None)

    finders = [threading.Thread(target=find) for _ in range(3)]
    for finder in finders:
        finder.start()
    known.extend(metadata.keys.create(f"key {number}", "read")[1] for number in range(8))
    done.set()
    for finder in finders:
        finder.join()
    assert wrong == []


def test_of_processes_that_start_at_once_one_makes_the_first_keys(reopen: Callable[[], Metadata]) -> None:
    several = [reopen().keys for _ in range(4)]
    with ThreadPoolExecutor(len(several)) as threads:
        made = list(threads.map(lambda keys: keys.create_first([("a", "gateway"), ("b", "ingest")]), several))
    assert sorted(map(len, made)) == [0, 0, 0, 2]
    assert sorted(key.name for key in several[0].list()) == ["a", "b"]
    [(key, secret)] = [one for keys in made for one in keys if one[0].scope == "ingest"]
    assert several[0].find(secret) == key


# --- sessions ------------------------------------------------------------------------------------------------------


def test_a_session_lasts_its_time(reopen: Callable[[], Metadata], clock: HandClock) -> None:
    token = reopen().sessions.open(60, scope="read")
    clock.seconds = 59
    session = reopen().sessions.find(token)
    assert session is not None
    assert (session.scope, session.expires_at_us) == ("read", START_US + 60_000_000)
    clock.seconds = 60
    assert reopen().sessions.find(token) is None


def test_a_session_can_be_ended(metadata: Metadata) -> None:
    token, other = metadata.sessions.open(60), metadata.sessions.open(60)
    metadata.sessions.end(token)
    metadata.sessions.end("never opened")
    assert metadata.sessions.find(token) is None
    assert metadata.sessions.find(other) is not None
