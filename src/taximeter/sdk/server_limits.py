"""Limits that the server counts for everybody: it is asked before each call, and settles by the call's event."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final
from urllib.parse import urlsplit

from taximeter.clock import Clock, rfc3339
from taximeter.errors import UsageError
from taximeter.extract.reading import Reading
from taximeter.limits.amounts import NOTHING
from taximeter.limits.verdict import Admitted, Ask, Refused, Verdict, Wait

PATH: Final = "/api/v1/limits/admit"
POLICIES: Final = ("deny", "allow", "cached")

TIMEOUT_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 1.0
"""After a failure the server is not asked again for so long."""

CACHED_SECONDS: Final = 60.0
CACHED_CALLS: Final = 100
"""With the policy `cached`: how long, and for how many calls, the last answer for a subject holds."""

MOST_REMEMBERED: Final = 10_000


class ServerLimits:
    """`Limiter` that asks the server. What it answers is settled there, when the event arrives."""

    blocks = True

    def __init__(self, url: str | None, key: str | None, policy: str, clock: Clock) -> None:
        """Raises UsageError for a policy that there is not, or without a server."""
        if policy not in POLICIES:
            raise UsageError(f"admission must be one of {', '.join(POLICIES)}, not {policy!r}", field="admission")
        if url is None:
            raise UsageError("admission needs the address of a server", hint="TAXIMETER_URL, or init(url=...)")
        self._address = urlsplit(url)
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key or ''}"}
        self._policy = policy
        self._clock = clock
        self._away_until = float("-inf")
        self._lately: dict[str, tuple[float, int]] = {}

    def decide(self, ask: Ask) -> Verdict:
        said = self._asked(ask)
        if said is None:
            return self._without_server(ask)
        verdict = said.get("verdict")
        if verdict == "admitted":
            self._remember(ask)
            return Admitted(ask, allowance=said.get("allowance"), model=said.get("model"))
        refused = Refused(**said["refused"])
        return Wait(refused) if verdict == "wait" else refused

    def settle(self, admitted: Admitted, reading: Reading, estimated: bool, http_status: int | None) -> None:
        """The server does, by the event."""

    def void(self, admitted: Admitted) -> None:
        """The server does, by the event."""

    def _asked(self, ask: Ask) -> dict[str, Any] | None:
        """What the server says; None while it does not answer."""
        if self._clock.monotonic() < self._away_until:
            return None
        connection = self._connection()
        try:
            connection.request("POST", self._address.path.rstrip("/") + PATH, json.dumps(told(ask)), self._headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            said, answer = None, None
        finally:
            connection.close()
        if answer is None or answer.status != 200 or not isinstance(said, dict):
            self._away_until = self._clock.monotonic() + PAUSE_SECONDS
            return None
        return said

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._address.scheme == "https" else http.client.HTTPConnection
        return kind(self._address.hostname or "", self._address.port, timeout=TIMEOUT_SECONDS)

    def _remember(self, ask: Ask) -> None:
        if len(self._lately) >= MOST_REMEMBERED:
            self._lately.clear()
        self._lately[_of(ask)] = (self._clock.monotonic() + CACHED_SECONDS, CACHED_CALLS)

    def _without_server(self, ask: Ask) -> Verdict:
        if self._policy == "allow" or (self._policy == "cached" and self._admitted_lately(ask)):
            return Admitted(ask, held=NOTHING, uncounted=True)
        return Refused("counters_away", "the server that knows its limits does not answer")

    def _admitted_lately(self, ask: Ask) -> bool:
        until, left = self._lately.get(_of(ask), (float("-inf"), 0))
        if self._clock.monotonic() > until or left <= 0:
            return False
        self._lately[_of(ask)] = (until, left - 1)
        return True


def _of(ask: Ask) -> str:
    return json.dumps(ask.subject, sort_keys=True)


def told(ask: Ask) -> dict[str, Any]:
    """What the server is told of a call that wants to be made: no word of its prompt."""
    bound = ask.bound
    return {
        "event_id": ask.event_id,
        "started_at": rfc3339(ask.at_us),
        "subject": dict(ask.subject),
        "kind": ask.kind._asdict(),
        "size_bytes": ask.size_bytes,
        "bound": {name: getattr(bound, name) for name in bound.__slots__},
    }
