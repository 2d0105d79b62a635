"""A collector, a program that others wrote: it is in the wheel of `rotel`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from server_rig import eventually, free_port


@contextmanager
def collecting(agent: Path, folder: Path, to: str, *more: str) -> Iterator[str]:
    """The address of a collector that passes on what it gets over HTTP."""
    grpc, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command: list[str | Path] = [
        agent, "start", "--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http, "--exporter", "otlp",
        "--otlp-exporter-endpoint", to, "--otlp-exporter-protocol", "http", *more,
        "--pid-file", folder / "pid", "--log-file", folder / "log",
    ]  # fmt: skip
    with (folder / "said").open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            assert eventually(lambda: listens(f"http://{http}")), (folder / "said").read_text()
            yield f"http://{http}"
        finally:
            process.terminate()


def listens(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True
