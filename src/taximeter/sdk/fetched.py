"""Jobs that one call asks for and whose answers are fetched until they are done: what they cost is told there.

The request that asks for a job is a call like any other, and free. A fetch is none: it has an event when the job is
done, with an id made of the provider and the job, so that every further fetch, in whatever process, is the same event.
What the job was asked for is remembered by this process: its answer does not say it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from taximeter.core.event import UsageEvent, as_record
from taximeter.core.ids import derived_id, usage_event_id
from taximeter.core.members import encode
from taximeter.extract import Flavour, Jobs, Reading, flavour_for
from taximeter.sdk import meter as meters
from taximeter.sdk.call import Call
from taximeter.sdk.context import current
from taximeter.sdk.hosts import Host

MOST_COUNTED: Final = 4_096
"""Jobs that are remembered to have their event; the oldest are forgotten first."""

_FETCHED_AGAIN: Final = frozenset({"openai.responses", "openai.assistants.run"})
"""Flavours of calls whose streams tell what can be fetched later as well."""

_jobs: Final = Jobs()
_counted: Final[OrderedDict[str, None]] = OrderedDict()


def begun(call: Call, payload: object) -> None:
    """A call was answered; remember what it asked for if it began a job. Our own gateway remembers it itself."""
    if call.flavour.begins_job and not call.host.through_gateway:
        _jobs.begun(call.host.provider, call.facts, call.flavour.read_answer(200, payload))


class Fetch:
    """A request for the answer of a job. Its ids are those of the gateway: whoever tells, it is the same event.

    `target`: its path and query, which it goes by where neither the answer nor `flavour` has an id for it.
    """

    __slots__ = ("_flavour", "_host", "_request_model", "_so_far", "_target")

    def __init__(self, flavour: Flavour, host: Host, target: str, request_model: str | None = None) -> None:
        self._flavour = flavour
        self._host = host
        self._target = target
        self._request_model = request_model
        self._so_far = 0

    def answered(self, payload: object) -> None:
        """The answer is there, as parsed JSON: count the job if it is done."""
        told = self._flavour.read_answer(200, payload)
        if self._flavour.several:
            self.tells(told.items)
        else:
            self.told(told)

    def told(self, told: Reading) -> None:
        """What the answer says of the one job that it is of."""
        usage_id = told.usage_id or self._flavour.usage_id or told.response_id or self._target
        event_id = usage_event_id(self._host.provider, usage_id)
        if not self._flavour.tells(told) or event_id in _counted:
            return
        self._append(event_id, told)
        _note(event_id)

    def tells(self, items: Iterable[Reading]) -> None:
        """The next calls of an answer that has several."""
        usage_id = self._flavour.usage_id or self._target
        for told in items:
            self._append(derived_id("usage", self._host.provider, usage_id, str(self._so_far)), told)
            self._so_far += 1

    def _append(self, event_id: str, told: Reading) -> None:
        meters.meter().append(encode(as_record(self._event(event_id, told))))

    def _event(self, event_id: str, told: Reading) -> UsageEvent:
        meter = meters.meter()
        return UsageEvent(
            event_id=event_id,
            started_at_us=meter.clock.now_us(),
            source="sdk",
            status="ok" if told.error_type is None else "error",
            provider=self._host.provider,
            request_model=self._request_model,
            response_model=told.response_model,
            operation=self._flavour.operation,
            service_tier=told.service_tier,
            region=told.region or self._flavour.region or self._host.region,
            http_status=200,
            error_type=told.error_type,
            response_id=told.response_id,
            attribution=current().over(meter.settings.base),
            usage=told.usage,
            by_model=told.by_model,
            not_billed=told.not_billed,
            usage_estimated=told.usage_estimated,
            usage_conflict=told.usage_conflict,
            reported_cost_usd=told.reported_cost_usd,
        )


def told_later(call: Call, reading: Reading) -> bool:
    """Whether what a call costs is told by the answer that is fetched when it has ended: its own answer says that it is
    under way (a background response, a run), or it is a background response whose stream broke off."""
    if reading.finished or reading.response_id is None or call.flavour.name not in _FETCHED_AGAIN:
        return False
    return call.facts.background if call.reader is not None else not reading.usage.known


def told_already(host: Host, flavour: Flavour, reading: Reading) -> None:
    """A call has ended. What its stream told, or what was estimated of it, is not counted again when it is fetched."""
    known = reading.usage.known or reading.output_characters > 0
    if flavour.name in _FETCHED_AGAIN and reading.response_id is not None and known:
        _note(usage_event_id(host.provider, reading.response_id))


def _note(event_id: str) -> None:
    _counted[event_id] = None
    if len(_counted) > MOST_COUNTED:
        _counted.popitem(last=False)


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
    asked = _jobs.asked(host.provider, usage_id)
    return Fetch(flavour.fetching(usage_id, asked), host, path, None if asked is None else asked.model)
