"""The desk as text, for the metadata store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from taximeter.alerts.alert import Alert, Incident
from taximeter.alerts.desk import EMPTY, Desk
from taximeter.alerts.notify import Told
from taximeter.errors import SchemaError


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the log: keys of JSON are texts, those of the log are pairs."""

    incident_id: str
    route: str
    told: Told


@dataclass(frozen=True, slots=True)
class _DeskText:
    alerts: Mapping[str, Alert]
    incidents: tuple[Incident, ...]
    log: tuple[_Entry, ...]


_decode = msgspec.json.Decoder(_DeskText).decode


def desk_text(desk: Desk) -> str:
    log = tuple(_Entry(incident_id, route, told) for (incident_id, route), told in desk.log.items())
    return msgspec.json.encode(_DeskText(desk.alerts, desk.incidents, log)).decode()


def read_desk(text: str | None) -> Desk:
    """The desk of a text of `desk_text`; an empty one of none. Raises SchemaError for a text that is none of ours."""
    if text is None:
        return EMPTY
    try:
        found = _decode(text)
    except msgspec.MsgspecError as error:
        hint = "it was written by another version of taximeter; alerts begin anew once its row is deleted"
        raise SchemaError(f"the kept state of alerting cannot be read: {error}", hint=hint) from error
    return Desk(found.alerts, found.incidents, {(one.incident_id, one.route): one.told for one in found.log})
