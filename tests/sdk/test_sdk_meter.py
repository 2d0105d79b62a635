"""Where events go, whatever happens to the process, the directory and the server."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from replay import Provider, Written

import taximeter
from taximeter.sdk import meter
from taximeter.sdk.guard import GUARD


@pytest.fixture(autouse=True)
def _afterwards() -> Iterator[None]:
    yield
    taximeter.shutdown(0)


@pytest.fixture
def refused_spool(tmp_path: Path) -> Path:
    """A data directory in which no spool can be made. A file in its place stops the superuser too."""
    (tmp_path / "spool").write_text("in the way")
    return tmp_path


def report() -> str:
    return taximeter.record(provider="openai", model="gpt-4o", input_tokens=1, output_tokens=2)


def run(program: str, data: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TAXIMETER_DATA": str(data), **variables}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told", ["init", "environment"])
def test_a_relative_directory_stays_where_it_was_when_the_program_goes_elsewhere(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXIMETER_DATA", "data")
    taximeter.init(data="data" if told == "init" else None)
    report()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert meter.current is not None
    meter.current.spool._look_around()
    report()
    taximeter.shutdown()
    assert len(Written(tmp_path / "data" / "spool").events) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_relative_directory_in_a_place_that_is_gone_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    taximeter.init(data="data")
    assert report()


def test_without_init_the_environment_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path))
    monkeypatch.setenv("TAXIMETER_SERVICE", "checkout")
    monkeypatch.setenv("TAXIMETER_ENVIRONMENT", "prod")
    report()
    (event,) = Written(tmp_path / "spool").events
    assert (event["service"], event["environment"]) == ("checkout", "prod")


def test_arguments_win_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path / "other"))
    monkeypatch.setenv("TAXIMETER_SERVICE", "other")
    taximeter.init(service="checkout", data=tmp_path / "mine")
    report()
    assert [event["service"] for event in Written(tmp_path).events] == ["checkout"]
    assert not (tmp_path / "other").exists()


def test_the_last_init_holds_and_nothing_is_lost(tmp_path: Path) -> None:
    for name in ("first", "second"):
        taximeter.init(service=name, data=tmp_path / name)
        report()
    assert [event["service"] for event in Written(tmp_path).events] == ["first", "second"]


def test_init_makes_no_file(tmp_path: Path) -> None:
    taximeter.init(data=tmp_path)
    assert list(tmp_path.rglob("*")) == []


# ── a server ────────────────────────────────────────────────────────────────────────────────────────────────


def test_with_a_server_events_are_shipped_with_the_key(tmp_path: Path, provider: Provider) -> None:
    taximeter.init(data=tmp_path, url=provider.url + "/", key="tm_secret")
    event_id = report()
    assert taximeter.flush()
    assert [event["event_id"] for event in provider.shipped] == [event_id]
    assert provider.ingest_keys == ["Bearer tm_secret"]
    assert (tmp_path / "outbox").is_dir()
    assert not (tmp_path / "spool").exists()


def test_each_server_has_its_own_outbox(tmp_path: Path) -> None:
    places = {
        meter.directory_of(meter.Settings(data=tmp_path, url=url)) for url in ("http://a:1", "http://b:1", "http://a:1")
    }
    assert len(places) == 2


def test_a_server_that_is_down_keeps_events_waiting(tmp_path: Path) -> None:
    taximeter.init(data=tmp_path, url="http://127.0.0.1:9")
    event_id = report()
    assert not taximeter.flush(0.05)
    assert [event["event_id"] for event in Written(tmp_path).events] == [event_id]


def test_a_url_that_is_none_is_logged_and_events_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taximeter.init(data=tmp_path, url="localhost:8787")
    report()
    assert not taximeter.flush()
    assert len(Written(tmp_path).events) == 1
    (warning,) = caplog.records
    assert "TAXIMETER_URL: not a server's URL: 'localhost:8787'" in warning.getMessage()
    assert warning.exc_info is None
    assert GUARD.failures == {"sender": 1}


def test_events_of_before_are_shipped_by_the_next_process(tmp_path: Path, provider: Provider) -> None:
    program = "import taximeter; taximeter.record(provider='p', model='m', input_tokens=1); import os; os._exit(0)"
    assert run(program, tmp_path, TAXIMETER_URL=provider.url + "/down").returncode == 0
    left = {event["event_id"] for event in Written(tmp_path).events}
    assert left
    outbox = meter.directory_of(meter.Settings(data=tmp_path, url=provider.url + "/down"))
    outbox.rename(meter.directory_of(meter.Settings(data=tmp_path, url=provider.url)))
    taximeter.init(data=tmp_path, url=provider.url)
    assert taximeter.flush()
    assert {event["event_id"] for event in provider.shipped} == left


# ── a directory that is out of order ────────────────────────────────────────────────────────────────────────


def test_a_directory_that_takes_nothing_is_logged_once(refused_spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    taximeter.init(data=refused_spool)
    for _ in range(3):
        report()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert GUARD.failures == {"spool": 1}


def test_what_the_directory_never_took_is_told_at_the_end(refused_spool: Path) -> None:
    program = "import taximeter as t\nfor _ in range(30): t.record(provider='p', model='m')\nprint(t.flush())"
    ended = run(program, refused_spool)
    assert (ended.returncode, ended.stdout) == (0, "False\n")
    first, last = ended.stderr.splitlines()
    spool = refused_spool / "spool"
    assert f"kept in memory, lost at exit unless the directory becomes writable: {spool}" in first
    assert f"30 events were lost: {spool} took none until the end" in last


def test_what_was_never_taken_is_counted_once(refused_spool: Path) -> None:
    taximeter.init(data=refused_spool)
    report()
    taximeter.shutdown()
    taximeter.shutdown()
    assert GUARD.failures == {"spool": 1, "event_lost": 1}


def test_events_wait_in_memory_until_the_directory_takes_them(refused_spool: Path) -> None:
    taximeter.init(data=refused_spool)
    event_id = report()
    (refused_spool / "spool").unlink()
    # The spool pauses before it tries again, and an attempt that had begun before may end only now.
    assert any(taximeter.flush() or threading.Event().wait(0.1) for _ in range(600))
    assert [event["event_id"] for event in Written(refused_spool).events] == [event_id]


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_kill_9_right_after_a_record_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import os, signal, taximeter as t; t.record(provider='p', model='m'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run(program, tmp_path).returncode == -9
    assert len(Written(tmp_path).events) == 1


def test_a_process_that_just_ends_ships_what_it_has(tmp_path: Path, provider: Provider) -> None:
    program = "import taximeter as t; t.record(provider='p', model='m')"
    ended = run(program, tmp_path, TAXIMETER_URL=provider.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(provider.shipped) == 1


FORKING = """
import os, sys, threading, taximeter as t
t.record(provider="p", model="parent")
threads = [threading.Thread(target=t.record, kwargs={"provider": "p", "model": "thread"}) for _ in range(4)]
[thread.start() for thread in threads]
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        t.record(provider="p", model="child")
        t.flush()
        os._exit(0)
    children.append(child)
statuses = [os.waitpid(child, 0)[1] for child in children]
[thread.join() for thread in threads]
t.record(provider="p", model="parent")
sys.exit(max(statuses))
"""


@pytest.mark.parametrize("served", [False, True])
def test_forked_workers_write_and_ship_their_own(served: bool, tmp_path: Path, provider: Provider) -> None:
    ended = run(FORKING, tmp_path, **({"TAXIMETER_URL": provider.url} if served else {}))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = {event["event_id"]: event["request_model"] for event in [*provider.shipped, *Written(tmp_path).events]}
    assert sorted(found.values()) == ["child"] * 3 + ["parent"] * 2 + ["thread"] * 4


FORKED_IDS = """
import os
import taximeter
from taximeter.sdk.meter import meter
taximeter.init()
first = meter().ids.new(0)
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, meter().ids.new(0).encode())
    os._exit(0)
os.wait()
assert os.read(reading, 36).decode() != meter().ids.new(0)
"""


def test_a_forked_child_makes_ids_of_its_own(tmp_path: Path) -> None:
    ended = run(FORKED_IDS, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    taximeter.init(data=tmp_path)
    threads = [threading.Thread(target=lambda: [report() for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({event["event_id"] for event in Written(tmp_path).events}) == 400


def test_shutdown_ends_and_a_later_call_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path))
    report()
    taximeter.shutdown()
    taximeter.shutdown()
    assert taximeter.flush()
    report()
    assert len(Written(tmp_path).events) == 2


def test_what_is_reported_after_our_own_exit_handler_goes_where_everything_went(tmp_path: Path) -> None:
    program = """
import atexit, sys, taximeter

report = lambda model: taximeter.record(provider="p", model=model, input_tokens=1)
atexit.register(report, "late")
taximeter.init(data=sys.argv[1], service="checkout")
report("early")
"""
    ended = run(program, tmp_path / "elsewhere", str(tmp_path / "data"))
    assert (ended.returncode, ended.stderr) == (0, "")
    events = Written(tmp_path / "data" / "spool").events
    assert sorted((event["request_model"], event["service"]) for event in events) == [
        ("early", "checkout"),
        ("late", "checkout"),
    ]
    assert not (tmp_path / "elsewhere").exists()


# ── the door ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_public_names() -> None:
    assert sorted(taximeter.__all__) == [
        "LimitExceeded",
        "TaximeterError",
        "__version__",
        "attribute",
        "attributed",
        "flush",
        "init",
        "instrument",
        "instrument_all",
        "outcome",
        "query",
        "record",
        "shutdown",
    ]
    public = {name for name in vars(taximeter) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(taximeter, name)).__name__ == "module"}
    assert public - modules == {name for name in taximeter.__all__ if not name.startswith("_")}


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert taximeter.__version__ == version("taximeter")


IMPORTING = """
import sys, threading, json
before = set(sys.modules)
import taximeter
print(json.dumps([sorted(set(sys.modules) - before), threading.active_count()]))
"""


def test_importing_is_cheap_and_does_nothing(tmp_path: Path) -> None:
    """Time is not asserted; what costs time is which modules come along, and nothing from outside Python may."""
    loaded, threads = json.loads(run(IMPORTING, tmp_path).stdout)
    heavy = {
        "asyncio",
        "ssl",
        "socket",
        "http",
        "http.client",
        "email",
        "urllib.request",
        "subprocess",
        "typing_extensions",
    }
    assert heavy.isdisjoint(loaded)
    tops = {name.split(".")[0] for name in loaded} - {"taximeter"}
    assert tops - set(sys.stdlib_module_names) == set()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("taximeter.")}
    assert rooms == {"clock", "config", "core", "errors", "sdk"}
    assert threads == 1
    assert list(tmp_path.iterdir()) == []
