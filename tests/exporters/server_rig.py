"""A running taximeter, as a process of its own, with a key that may everything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE_SECONDS = 90.0


def eventually(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return seen


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


SETTINGS = """
exporters: {every_seconds: 1}
limits:
  - {name: daily, scope: user, each: true, measure: total_tokens, limit: 1000000000, window: day, mode: soft}
"""


@dataclass
class Running:
    """A running taximeter, and a key that may everything."""

    url: str
    key: str
    process: subprocess.Popen[bytes]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a running taximeter, and a key that may everything."""
    with running(folder, SETTINGS) as one:
        yield one.url, one.key


@contextmanager
def running(folder: Path, settings: str) -> Iterator[Running]:
    """A server whose files are in a folder of its own."""
    folder.mkdir(exist_ok=True)
    port, data, config = free_port(), folder / "data", folder / "taximeter.yaml"
    config.write_text(settings)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TAXIMETER_")}
    program = [sys.executable, "-m", "taximeter"]
    command = [*program, "up", "--config", str(config), "--data", str(data), "--port", str(port)]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            assert eventually(lambda: answers(url + "/readyz")), (folder / "server.log").read_text()
            made = subprocess.run(
                [*program, "keys", "create", "--name", "k", "--scope", "admin", "--data", data, "--format", "json"],
                capture_output=True, text=True, check=True, env=environment,
            )  # fmt: skip
            yield Running(url, json.loads(made.stdout)["key"], process)
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
