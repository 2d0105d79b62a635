"""Where answers come from: the server that owns the data directory, another one by its URL, or the files themselves.

Two processes never have one embedded store open. So when a server runs on the data directory it is asked, with the
local token that only the user who started it can read; otherwise the command opens the directory itself, takes in
what waits in the spool, answers and closes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from taximeter.config import data_directory, variable
from taximeter.errors import UnavailableError
from taximeter.sdk.remote import Remote

if TYPE_CHECKING:
    from taximeter.reports.asking import Progress

STARTING_SECONDS: Final = 10.0
"""How long a server that owns the directory, but does not serve yet or no more, is waited for."""

RETRY_SECONDS: Final = 0.05

WHOLE_STORE_SECONDS: Final = 3600.0
"""How long an answer that reads or writes the whole store is waited for."""

POLL_SECONDS: Final = 0.2
"""Between two looks at a run under way."""


class Source(Protocol):
    """Answers in the shapes of the API."""

    def query(self, question: Mapping[str, Any]) -> dict[str, Any]: ...

    def question(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]: ...

    def sql(self, statement: str) -> dict[str, Any]: ...

    def events(self, asked: Mapping[str, Any]) -> dict[str, Any]: ...

    def why(self, question: Mapping[str, Any]) -> dict[str, Any]: ...

    def chargeback(self, request: Mapping[str, Any]) -> dict[str, Any]: ...

    def reconcile(self, request: Mapping[str, Any]) -> dict[str, Any]: ...

    def forecast(self, question: Mapping[str, Any]) -> dict[str, Any]: ...

    def backtest(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """In the shape of `POST /api/v1/rules/backtest`."""
        ...

    def reprice(self, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Run it to its end; the run as `GET /api/v1/prices/repricings/{id}` tells it."""
        ...

    def cost_history(self, event_id: str) -> dict[str, Any]: ...

    def verify(self, *, repair: bool, told: Progress) -> dict[str, Any]:
        """`told` hears how far it is; of a server it hears nothing."""
        ...

    def delete_user(self, user_id: str) -> dict[str, Any]: ...

    def price_report(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """`unpriced`, `caching` or `differences`, in the shape of `POST /api/v1/prices/{name}`."""
        ...


@dataclass(frozen=True, slots=True)
class ServerSource:
    """A running server."""

    remote: Remote

    def query(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/query", question)
        return answer

    def question(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.get(f"/api/v1/questions/{quote(name, safe='')}", _parameters(given))
        return answer

    def sql(self, statement: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/sql", {"sql": statement})
        return answer

    def events(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        page: dict[str, Any] = self.remote.get("/api/v1/events", _parameters(asked))
        return page

    def why(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/why", question)
        return answer

    def chargeback(self, request: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/chargeback", request)
        return answer

    def reconcile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/reconcile", request)
        return answer

    def forecast(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/forecast", question)
        return answer

    def backtest(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post("/api/v1/rules/backtest", question)
        return answer

    def reprice(self, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        run: dict[str, Any] = self.remote.post("/api/v1/prices/reprice", request)
        while run["state"] in ("waiting", "running"):
            time.sleep(POLL_SECONDS)
            run = self.remote.get(f"/api/v1/prices/repricings/{run['id']}")
            if run["expected_calls"]:
                progress(run["done_calls"], run["expected_calls"])
        return run

    def cost_history(self, event_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.get("/api/v1/prices/history", [("event_id", event_id)])
        return answer

    def verify(self, *, repair: bool, told: Progress) -> dict[str, Any]:  # noqa: ARG002 - it answers at the end
        answer: dict[str, Any] = self._patient.post("/api/v1/verify", {"repair": repair})
        return answer

    def delete_user(self, user_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._patient.post("/api/v1/deletions", {"user_id": user_id})
        return answer

    def price_report(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote.post(f"/api/v1/prices/{name}", request)
        return answer

    @property
    def _patient(self) -> Remote:
        return replace(self.remote, timeout_seconds=WHOLE_STORE_SECONDS)


def _parameters(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Texts and numbers as they are, lists with commas, filters as JSON."""
    return [(name, _parameter(value)) for name, value in asked.items() if value not in (None, {}, [])]


def _parameter(value: Any) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value)
    return ",".join(value) if isinstance(value, list) else str(value)


def running_server(data: Path, pause: Callable[[float], None] = time.sleep) -> Remote | None:
    """The server that owns `data`, or None when nobody does. One that is just starting is
    waited for, and so is one that is about to end."""
    from taximeter.store.ownership import owner_of

    waited_seconds = 0.0
    while (owner := owner_of(data)) is not None and not owner.brief and waited_seconds < STARTING_SECONDS:
        if owner.url is not None:
            return Remote(owner.url, owner.token)
        pause(RETRY_SECONDS)
        waited_seconds += RETRY_SECONDS
    return None


def watching(data: Path | None, url: str | None) -> Remote:
    """The server that watches: rules and alerts live in a running one. Raises UnavailableError without one."""
    remote = Remote(url, variable("KEY")) if url else running_server(data or data_directory())
    if remote is None:
        raise UnavailableError("no server is running, so nothing is watched", hint="start it with `taximeter up`")
    return remote


@contextmanager
def open_source(data: Path | None, url: str | None) -> Iterator[Source]:
    """The source for these options. Raises DirectoryInUseError, UnavailableError, StoreError."""
    directory = data or data_directory()
    remote = Remote(url, variable("KEY")) if url else running_server(directory)
    if remote is not None:
        yield ServerSource(remote)
        return
    from taximeter.cli.offline import open_directory

    with open_directory(directory) as source:
        yield source
