"""The real server and the real command, each as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from taximeter.cli import app as cli

COMMAND = (sys.executable, "-m", "taximeter")
START_SECONDS = 100
BORING = {"TAXIMETER_CONFIG", "TAXIMETER_DATA", "TAXIMETER_URL", "TAXIMETER_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"}


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in BORING} | more


@dataclass(frozen=True)
class Done:
    returncode: int
    out: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.out.decode()


def process(*arguments: str, **variables: str) -> Done:
    """Run a command as a process of its own."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, env=environment(**variables), timeout=110)
    return Done(done.returncode, done.stdout, done.stderr.decode())


def taximeter(*arguments: str, **variables: str) -> Done:
    """Run a command in this process, which spares its start. `up` must be one that is refused."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True, newline=""), io.StringIO()
    surroundings = mock.patch.dict(os.environ, environment(**variables), clear=True)
    quiet = mock.patch("taximeter.cli.up.log_in_lines")  # the log of this process belongs to pytest
    with surroundings, quiet, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(arguments)
    buffer = out.detach()
    assert isinstance(buffer, io.BytesIO)
    return Done(code, buffer.getvalue(), err.getvalue())


def answer_of(*arguments: str, **variables: str) -> Any:
    """The JSON that a command prints."""
    done = taximeter(*arguments, "--format", "json", **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class Server:
    process: subprocess.Popen[str]
    data: Path
    url: str
    printed: str

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=90)

    @property
    def local_token(self) -> str:
        return str(json.loads((self.data / "owner.json").read_text())["token"])

    def first_key(self, scope: str) -> str:
        found = re.search(rf"tm_{scope}_\w+", self.printed)
        assert found, self.printed
        return found[0]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_SECONDS)

    def rest(self) -> str:
        """What it said after its start, once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()


@contextlib.contextmanager
def running(data: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """`taximeter up` on a free port, until the block ends."""
    process = subprocess.Popen(
        [*COMMAND, "up", "--data", str(data), "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**variables),
    )
    assert process.stdout is not None
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, f"the server ended: {printed}"
            printed += line
        url = re.search(r"running at (\S+)", printed)
        assert url
        yield Server(process, data, url[1], printed)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(START_SECONDS)
        process.stdout.close()


def eventually(question: Any, seconds: float = 120) -> Any:
    """The first answer that is true. Events are stored a moment after they were accepted."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return answer
