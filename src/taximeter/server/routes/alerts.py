"""Incidents and what is done about them: acknowledge, silence, annotate, try a channel."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query

from taximeter.alerts.actions import Wish, prefix_of
from taximeter.alerts.alert import Alert
from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.message import Message, title_of
from taximeter.alerts.runbook import Runbook
from taximeter.clock import rfc3339
from taximeter.errors import NotFoundError
from taximeter.server import deeds
from taximeter.server.access import Caller
from taximeter.server.alert_shapes import (
    AcknowledgeWish,
    ActionList,
    ActionShape,
    ActionWish,
    AlertShape,
    AnnotationList,
    AnnotationShape,
    AnnotationWish,
    ChannelList,
    ChannelShape,
    ChannelTest,
    IncidentList,
    IncidentPage,
    IncidentShape,
    LetterList,
    LetterShape,
    RunbookList,
    RunbookShape,
    SilenceList,
    SilenceShape,
    SilenceWish,
    StepShape,
)
from taximeter.server.deeds import alerting_of
from taximeter.server.limit_desk import Defined
from taximeter.server.routes.dependencies import Admin, Reader, TheParts
from taximeter.store.events.instants import parse_instant
from taximeter.store.metadata import Annotation, IncidentRecord, Letter, SilenceRecord

router: Final = APIRouter(tags=["alerts"])

MOST_AT_ONCE: Final = 500
BEFORE_US: Final = 2 * 3600 * 1_000_000
"""Marks so long before an incident are shown with it: deployments, above all."""


@router.get("/alerts")
def incidents(
    parts: TheParts,
    _caller: Reader,
    state: Annotated[Literal["open", "all"], Query(description="open ones, or resolved ones too")] = "open",
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
) -> IncidentList:
    """Incidents, newest first."""
    found = alerting_of(parts).records.incidents(open_only=state == "open", limit=limit)
    return IncidentList(incidents=[_incident(one) for one in found])


@router.get("/alerts/{incident_id}")
def incident(incident_id: str, parts: TheParts, _caller: Reader) -> IncidentPage:
    """One incident, what was told of it to whom, and the marks near its beginning."""
    records = alerting_of(parts).records
    found = records.incident(incident_id)
    marks = records.annotations(found.opened_at_us - BEFORE_US, (found.resolved_at_us or parts.clock.now_us()) + 1)
    return IncidentPage(
        incident=_incident(found),
        notifications=[_letter(one) for one in records.letters(incident_id)],
        annotations=[_annotation(one) for one in marks],
    )


@router.post("/alerts/{incident_id}/acknowledge")
def acknowledge(incident_id: str, wish: AcknowledgeWish, parts: TheParts, caller: Admin) -> IncidentShape:
    """Take an incident: it is not told again unless it gets graver, and its escalation ends."""
    kept = alerting_of(parts)
    kept.watch.acknowledge(incident_id, wish.by or _name(caller))
    return _incident(kept.records.incident(incident_id))


@router.delete("/alerts/{incident_id}/acknowledge")
def give_back(incident_id: str, parts: TheParts, _caller: Admin) -> IncidentShape:
    """Give an incident back: it is told again."""
    kept = alerting_of(parts)
    kept.watch.unacknowledge(incident_id)
    return _incident(kept.records.incident(incident_id))


@router.post("/alerts/{incident_id}/escalate")
def escalate(incident_id: str, parts: TheParts, _caller: Admin) -> IncidentShape:
    """Tell the next ones of an incident's escalation now, also when it is taken."""
    kept = alerting_of(parts)
    kept.watch.escalate(incident_id)
    return _incident(kept.records.incident(incident_id))


@router.get("/alerts/{incident_id}/actions")
def actions(incident_id: str, parts: TheParts, _caller: Reader) -> ActionList:
    """What was done about an incident from here, and is in force."""
    prefix = prefix_of(incident_id)
    return ActionList(actions=[_action(one) for one in parts.limits.defined() if one.limit.name.startswith(prefix)])


@router.post("/alerts/{incident_id}/actions")
def act(incident_id: str, wish: ActionWish, parts: TheParts, caller: Admin) -> ActionShape:
    """Hold the spending of whom an incident is about, pause it, or force a cheaper model: in force at once with
    `confirm`, else only shown. It is marked beside the incident with who did it; its undo is DELETE."""
    about = deeds.whom(parts, incident_id)
    scope = about if wish.scope is None else wish.scope
    wanted = Wish(kind=wish.kind, scope=scope, usd=wish.usd, window=wish.window, model=wish.model, calls=wish.calls)
    if not wish.confirm:
        read = deeds.planned(parts, incident_id, wanted)
        return ActionShape(name=read["name"], in_force=False, definition=read, changed_at=None, changed_by=None)
    return _action(deeds.acted(parts, incident_id, wanted, wish.by or _name(caller)))


@router.delete("/alerts/{incident_id}/actions/{name}", status_code=204)
def undo(incident_id: str, name: str, parts: TheParts, caller: Admin) -> None:
    """Undo what was done about an incident."""
    deeds.undone(parts, incident_id, name, _name(caller))


@router.get("/notifications")
def notifications(
    parts: TheParts,
    _caller: Reader,
    state: Annotated[Literal["waiting", "delivered", "dead"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
) -> LetterList:
    """What was told, is to be told, and could not be told. Newest first."""
    return LetterList(
        notifications=[_letter(one) for one in alerting_of(parts).records.letters(state=state, limit=limit)]
    )


@router.get("/silences")
def silences(parts: TheParts, _caller: Reader) -> SilenceList:
    """Silences that are not over."""
    return SilenceList(silences=[_silence(one) for one in alerting_of(parts).records.silences(parts.clock.now_us())])


@router.post("/silences", status_code=201)
def silence(wish: SilenceWish, parts: TheParts, caller: Admin) -> SilenceShape:
    """Tell nobody of incidents with these labels for a time. They are watched all the same."""
    now_us = parts.clock.now_us()
    from_us = None if wish.from_ is None else parse_instant(wish.from_, now_us, "UTC", field="from")
    to_us = parse_instant(wish.to, now_us, "UTC", field="to")
    author = wish.author or _name(caller)
    return _silence(deeds.silenced(parts, wish.match, from_us, to_us, author, wish.comment))


@router.delete("/silences/{silence_id}", status_code=204)
def end_silence(silence_id: str, parts: TheParts, _caller: Admin) -> None:
    """End a silence now."""
    alerting_of(parts).records.end_silence(silence_id, parts.clock.now_us())


@router.get("/annotations")
def marks_in_time(
    parts: TheParts,
    _caller: Reader,
    from_: Annotated[str, Query(alias="from", description="RFC 3339 or 24h, 30d; included")] = "30d",
    to: Annotated[str, Query(description="as `from`; not included")] = "now",
) -> AnnotationList:
    """Marks in time, newest first."""
    now_us = parts.clock.now_us()
    bounds = [parse_instant(text, now_us, "UTC", field=name) for name, text in (("from", from_), ("to", to))]
    return AnnotationList(annotations=[_annotation(one) for one in alerting_of(parts).records.annotations(*bounds)])


@router.post("/annotations", status_code=201)
def annotate(wish: AnnotationWish, parts: TheParts, caller: Admin) -> AnnotationShape:
    """Make a mark in time, such as a deployment: it is shown with incidents that begin soon after."""
    now_us = parts.clock.now_us()
    made = Annotation(
        annotation_id=deeds.new_id(parts),
        at_us=now_us if wish.at is None else parse_instant(wish.at, now_us, "UTC", field="at"),
        text=wish.text,
        author=wish.author or _name(caller),
        labels=wish.labels,
    )
    alerting_of(parts).records.annotate(made)
    return _annotation(made)


@router.get("/runbooks")
def runbooks(parts: TheParts, _caller: Reader) -> RunbookList:
    """What to do about each kind of trouble."""
    return RunbookList(runbooks=[_runbook(one) for _name, one in sorted(alerting_of(parts).runbooks.items())])


@router.get("/channels")
def channels(parts: TheParts, _caller: Reader) -> ChannelList:
    """Where notifications can go."""
    kinds = alerting_of(parts).channel_kinds
    return ChannelList(channels=[ChannelShape(name=name, kind=kind) for name, kind in sorted(kinds.items())])


@router.post("/channels/{name}/test")
def try_channel(name: str, parts: TheParts, caller: Admin) -> ChannelTest:
    """Send a message that says it is a test, now, and tell what became of it."""
    channel = alerting_of(parts).delivery.channels.get(name)
    if channel is None:
        raise NotFoundError(f"there is no channel {name!r}", hint="see GET /api/v1/channels")
    now_us = parts.clock.now_us()
    number = deeds.new_id(parts)
    at = rfc3339(now_us)
    message = Message(
        event="opened",
        dedup_key=number,
        severity="warning",
        kind="test",
        title=f"A test of the channel {name}",
        summary=f"{_name(caller)} asked for it. Nothing is wrong.",
        started_at=at,
        at=at,
    )
    try:
        channel.deliver(message, number)
    except DeliveryError as error:
        return ChannelTest(channel=name, delivered=False, error=str(error))
    return ChannelTest(channel=name, delivered=True, error=None)


# ── shapes ─────────────────────────────────────────────────────────────────────────────────────────────────


def _name(caller: Caller) -> str:
    return caller.name


def _action(defined: Defined) -> ActionShape:
    told = defined.as_dict()
    return ActionShape(
        name=defined.limit.name,
        in_force=True,
        definition=defined.limit.as_definition(),
        changed_at=told["changed_at"],
        changed_by=told["changed_by"],
    )


def _incident(record: IncidentRecord) -> IncidentShape:
    alerts = deeds.alerts_of(record)
    root = alerts[0]
    return IncidentShape(
        incident_id=record.incident_id,
        title=title_of(root),
        kind=root.kind,
        severity=record.severity,
        family=record.content["family"],
        labels=dict(root.labels),
        opened_at=rfc3339(record.opened_at_us),
        resolved_at=_moment(record.resolved_at_us),
        acknowledged_by=record.acknowledged_by,
        alerts=[_alert(one) for one in alerts],
        steps=[
            StepShape(name=one["name"], at=rfc3339(one["at_us"]), text=one["text"]) for one in deeds.steps_of(record)
        ],
    )


def _alert(alert: Alert) -> AlertShape:
    return AlertShape(
        key=alert.key,
        rule=alert.rule,
        kind=alert.kind,
        title=title_of(alert),
        labels=dict(alert.labels),
        severity=alert.severity,
        summary=alert.summary,
        state=alert.state,
        started_at=rfc3339(alert.started_at_us),
        fired_at=_moment(alert.fired_at_us),
        resolved_at=_moment(alert.resolved_at_us),
        flaps=alert.flaps,
        facts=dict(alert.facts),
    )


def _letter(letter: Letter) -> LetterShape:
    return LetterShape(
        notification_id=letter.notification_id,
        incident_id=letter.incident_id,
        channel=letter.channel,
        event=letter.event,
        first_line=_first_line(letter.content),
        state=letter.state,
        tries=letter.tries,
        created_at=rfc3339(letter.created_at_us),
        due_at=rfc3339(letter.due_at_us),
        delivered_at=_moment(letter.delivered_at_us),
        error=letter.error,
    )


def _first_line(content: Any) -> str:
    return f"{content['severity'].upper()} {content['title']}"


def _runbook(book: Runbook) -> RunbookShape:
    return RunbookShape(
        name=book.name,
        title=book.title,
        kinds=list(book.kinds),
        action=book.action,
        steps=[step.name for step in book.steps],
        text=book.text,
    )


def _silence(record: SilenceRecord) -> SilenceShape:
    return SilenceShape(
        silence_id=record.silence_id,
        match=dict(record.matchers),
        **{"from": rfc3339(record.starts_at_us)},
        to=rfc3339(record.ends_at_us),
        author=record.author,
        comment=record.comment,
    )


def _annotation(record: Annotation) -> AnnotationShape:
    return AnnotationShape(
        annotation_id=record.annotation_id,
        at=rfc3339(record.at_us),
        text=record.text,
        author=record.author,
        labels=dict(record.labels),
    )


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
