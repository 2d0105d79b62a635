"""A collector, a program that others wrote, takes the metrics of OTLP and passes them on, to the last of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import pytest
from export_rig import World
from receivers import OtlpReceiver, listening
from server_rig import eventually, free_port
from test_exporters_contract import Server, close_to, opened, stored, told

pytestmark = [
    pytest.mark.timeout(600),  # an environment is made when it first runs
    pytest.mark.skipif(sys.platform != "linux", reason="the collector is a program for Linux"),
]


@pytest.fixture(scope="module")
def agent(python_with: Callable[..., Path]) -> Path:
    """The program in the wheel. Skips the test where it cannot run."""
    found = next((python_with("rotel").parents[1] / "lib").glob("python*/site-packages/rotel/rotel-agent"))
    tried = subprocess.run([found, "--help"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"the collector does not run here: {tried.stderr.strip()}")
    return found


@contextmanager
def collecting(agent: Path, folder: Path, to: str) -> Iterator[str]:
    """The address of a collector that passes on what it gets over HTTP."""
    grpc, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command: list[str | Path] = [
        agent, "start", "--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http, "--exporter", "otlp",
        "--otlp-exporter-endpoint", to, "--otlp-exporter-protocol", "http",
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


def test_a_collector_takes_the_metrics_and_passes_them_on(here: World, agent: Path, tmp_path: Path) -> None:
    receiver, chance = OtlpReceiver(), Random(9)
    rounded = close_to(receiver)
    with listening(receiver.take) as behind, collecting(agent, tmp_path, behind) as url:
        server = Server(here, {"otel": opened("otlp", url=url + "/v1/metrics")})
        for _ in range(2):
            here.traffic(chance, 300)
            assert server.turn() == {"otel": "sent"}
            eventually(lambda: rounded(told(receiver)) == rounded(stored(here)))
            assert rounded(told(receiver)) == rounded(stored(here))
    assert told(receiver)["calls"] == 600
    assert {kind for attributes in receiver.usage for name, kind in attributes if name == "gen_ai.token.type"} == {
        "input", "output",
    }  # fmt: skip
