"""Jobs that one call asks for and whose answers are fetched until they are done: what they cost is told there.

The request that asks for a job is a call like any other, and free. A fetch is none: it has an event when the job is
done, with an id made of the provider and the job, so that every further fetch, in whatever process, is the same event.
What the job was asked for is remembered by this process: its answer does not say it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from taximeter.core.event import UsageEvent, as_record
from taximeter.core.ids import usage_event_id
from taximeter.core.members import encode
from taximeter.extract import Flavour, Jobs, Reading, flavour_for
from taximeter.sdk import meter as meters
from taximeter.sdk.call import Call
from taximeter.sdk.context import current
from taximeter.sdk.hosts import Host

MOST_COUNTED: Final = 4_096
"""Jobs that are remembered to have their event; the oldest are forgotten first."""

_jobs: Final = Jobs()
_counted: Final[OrderedDict[str, None]] = OrderedDict()


def begun(call: Call, payload: object) -> None:
    """A call was answered; remember what it asked for if it began a job. Our own gateway remembers it itself."""
    if call.flavour.begins_job and not call.host.through_gateway:
        _jobs.begun(call.host.provider, call.facts, call.flavour.read_answer(200, payload))


class Fetch:
    """A request for the answer of a job."""

    __slots__ = ("_flavour", "_provider", "_request_model", "_usage_id")

    def __init__(self, flavour: Flavour, provider: str, usage_id: str) -> None:
        asked = _jobs.asked(provider, usage_id)
        self._provider = provider
        self._usage_id = usage_id
        self._request_model = None if asked is None else asked.model
        self._flavour = flavour.fetching(usage_id, asked)

    def answered(self, payload: object) -> None:
        """The answer is there, as parsed JSON: count the job if it is done."""
        told = self._flavour.read_answer(200, payload)
        event_id = usage_event_id(self._provider, told.usage_id or self._usage_id)
        if not self._flavour.tells(told) or event_id in _counted:
            return
        meters.meter().append(encode(as_record(self._event(event_id, told))))
        _counted[event_id] = None
        if len(_counted) > MOST_COUNTED:
            _counted.popitem(last=False)

    def _event(self, event_id: str, told: Reading) -> UsageEvent:
        meter = meters.meter()
        return UsageEvent(
            event_id=event_id,
            started_at_us=meter.clock.now_us(),
            source="sdk",
            status="ok",
            provider=self._provider,
            request_model=self._request_model,
            response_model=told.response_model,
            operation=self._flavour.operation,
            http_status=200,
            response_id=told.response_id,
            attribution=current().over(meter.settings.base),
            usage=told.usage,
            usage_estimated=told.usage_estimated,
        )


def fetch(kind: str, method: str, path: str, body: object, host: Host) -> Fetch | None:
    """The fetch that a request is; None when it is none, our own gateway counts what it tells, or it was counted: the
    answer may hold the whole video, and is not read again."""
    if host.through_gateway:
        return None
    flavour = flavour_for(kind, method, path, polled=True)
    if flavour is None or flavour.read_job is None:
        return None
    said: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    usage_id = flavour.usage_id or flavour.read_request(said).usage_id
    if usage_id is None or usage_event_id(host.provider, usage_id) in _counted:
        return None
    return Fetch(flavour, host.provider, usage_id)
