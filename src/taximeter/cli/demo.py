"""`taximeter demo`: simulated providers on this machine, and a sample application that calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer

from taximeter.cli.companion import FURTHER_ARGUMENTS
from taximeter.config import data_directory, for_a_child
from taximeter.errors import UnavailableError

if TYPE_CHECKING:
    from taximeter.compose.process import Process
    from taximeter.config.settings import Settings

STOP_SECONDS: Final = 5
SIMULATED_KEY: Final = "sk-simulated"
KEY_NAMES: Final = {"gateway": "sample application", "ingest": "sample application's SDK"}


def demo(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="serve|traffic|history [OPTIONS]", help="What to run; each has --help.", show_default=False
        ),
    ] = None,
) -> int:
    """The parts of the demo by themselves: simulated providers, and the sample application. All of it: up --demo."""
    return subprocess.call([*_SIMULATOR, *(arguments or ["--help"])])


_SIMULATOR: Final = (sys.executable, "-m", "taximeter.simulator")


class SampleTraffic:
    """The simulated providers, and later the sample application, as processes that end with this one."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._application: subprocess.Popen[bytes] | None = None

    @staticmethod
    def data_directory() -> Path:
        """Invented calls are kept apart from real ones."""
        usual = data_directory()
        return usual.with_name(f"{usual.name}-demo")

    def __enter__(self) -> Self:
        self._providers = _start(["serve"], stdout=subprocess.PIPE)
        assert self._providers.stdout is not None
        line = self._providers.stdout.readline()
        if not line:
            raise UnavailableError("the provider simulator did not start")
        self.url: str = json.loads(line)["url"]
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop_application()
        _stop(self._providers)

    def pointed_at_simulator(self, settings: Settings) -> Settings:
        """The settings with `openai` and `anthropic` on this machine."""
        from pydantic import SecretStr

        simulated = {
            name: settings.providers[name].model_copy(
                update={"base_url": base_url, "api_key": SecretStr(SIMULATED_KEY)}
            )
            for name, base_url in (("openai", f"{self.url}/v1"), ("anthropic", self.url))
        }
        return settings.model_copy(update={"providers": {**settings.providers, **simulated}})

    def start_application(self, process: Process, url: str) -> None:
        """Start the sample application with fresh keys; those of an earlier run are revoked."""
        for key in process.desk.list():
            if key.name in KEY_NAMES.values() and key.revoked_at is None:
                process.desk.revoke(key.id)
        keys = {scope: process.desk.create(name, scope, {}).key for scope, name in KEY_NAMES.items()}
        arguments = ["traffic", "--gateway", url, "--providers", self.url, "--provider-key", SIMULATED_KEY]
        arguments += ["--data", str(self._data / "sample"), "--history"]
        secrets = ["--key", keys["gateway"], "--ingest-key", keys["ingest"]]
        self._application = _start(arguments, stdout=subprocess.DEVNULL, secrets=secrets)

    def stop_application(self) -> None:
        """End the sample application; it delivers what its SDK still has."""
        if self._application is not None:
            _stop(self._application)


def _start(arguments: list[str], stdout: int, secrets: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches us alone and things end in their order; and with our end of a
    pipe as its stdin, so that it ends when we are killed. `secrets` are arguments that nobody sees in a list of
    processes."""
    command = (sys.executable, "-m", "taximeter.cli.companion", *arguments)
    environment = for_a_child(**{FURTHER_ARGUMENTS: json.dumps(secrets)})
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, env=environment, start_new_session=True)


def _stop(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
