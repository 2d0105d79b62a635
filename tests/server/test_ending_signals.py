"""What ends a server: each signal lets its parts end in good order, whenever it comes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SERVER = r"""
import os, signal, sys
from taximeter.server.running import listen, serve

async def application(scope, receive, send): ...

async def on_start():
    for number in sys.argv[1:]:
        os.kill(os.getpid(), int(number))
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.write(1, b"stays\n" if ignored else b"serves\n")

async def on_end():
    os.write(1, b"ended\n")

def before_end():
    os.write(1, b"leaves\n")  # whole, also beside what another thread says

serve(application, listen("127.0.0.1", 0), on_start=on_start, on_end=on_end, before_end=before_end)
"""
ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
LONGEST_SECONDS = 100


@contextmanager
def server(*to_itself: signal.Signals, under: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A process that serves nothing. `to_itself`: what it sends itself while it starts."""
    arguments = [*under, sys.executable, "-c", SERVER, *(str(int(number)) for number in to_itself)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said_first(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def said_then(process: subprocess.Popen[str]) -> tuple[list[str], int]:
    """The rest of what it said, and how it ended."""
    said, _ = process.communicate(timeout=LONGEST_SECONDS)
    return sorted(said.split()), process.returncode


@pytest.mark.parametrize("number", ALL)
def test_each_signal_ends_it_in_good_order(number: signal.Signals) -> None:
    with server() as process:
        assert said_first(process) == "serves"
        process.send_signal(number)
        assert said_then(process) == (["ended", "leaves"], 0)


@pytest.mark.parametrize("number", ALL)
def test_a_signal_that_comes_while_it_starts_is_not_lost(number: signal.Signals) -> None:
    with server(number) as process:
        assert said_then(process) == (["ended", "leaves", "serves"], 0)


def test_the_two_hangups_of_a_shell_and_of_its_terminal_end_it_as_one_does() -> None:
    with server(signal.SIGHUP, signal.SIGHUP) as process:
        assert said_then(process) == (["ended", "leaves", "serves"], 0)


def test_under_nohup_it_stays_when_its_terminal_is_closed() -> None:
    with server(signal.SIGHUP, under=("nohup",)) as process:
        assert said_first(process) == "stays"
        process.send_signal(signal.SIGTERM)
        assert said_then(process) == (["ended", "leaves"], 0)
