"""The bodies of the routes of alerts. Moments are RFC 3339."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class AlertShape(BaseModel):
    """One rule that holds for one set of labels. `state` is pending, firing or resolved."""

    key: str
    rule: str
    kind: str
    title: str
    labels: dict[str, str]
    severity: str
    summary: str
    state: str
    started_at: str
    fired_at: str | None
    resolved_at: str | None
    flaps: int
    facts: dict[str, Any]


class StepShape(BaseModel):
    """A step of a runbook's escalation that was taken by itself."""

    name: str
    at: str
    text: str


class IncidentShape(BaseModel):
    """Alerts of one cause. `title` is that of its root, the alert that names it."""

    incident_id: str
    title: str
    kind: str
    severity: str
    family: str
    labels: dict[str, str]
    opened_at: str
    resolved_at: str | None
    acknowledged_by: str | None
    alerts: list[AlertShape]
    steps: list[StepShape]


class IncidentList(BaseModel):
    incidents: list[IncidentShape]


class LetterShape(BaseModel):
    """A notification on its way. `state` is waiting, delivered or dead."""

    notification_id: str
    incident_id: str
    channel: str
    event: str
    first_line: str
    state: str
    tries: int
    created_at: str
    due_at: str
    delivered_at: str | None
    error: str | None


class AnnotationShape(BaseModel):
    annotation_id: str
    at: str
    text: str
    author: str
    labels: dict[str, str]


class IncidentPage(BaseModel):
    """An incident with all that was told of it, and the marks near its beginning, deployments for instance."""

    incident: IncidentShape
    notifications: list[LetterShape]
    annotations: list[AnnotationShape]


class LetterList(BaseModel):
    notifications: list[LetterShape]


class RunbookShape(BaseModel):
    """`text` is Markdown; `steps` are taken by themselves when an alert of one of its kinds fires."""

    name: str
    title: str
    kinds: list[str]
    action: str | None
    steps: list[str]
    text: str


class RunbookList(BaseModel):
    runbooks: list[RunbookShape]


class AcknowledgeWish(BaseModel):
    model_config = ConfigDict(extra="forbid")
    by: str | None = Field(default=None, max_length=200, description="who takes it; the caller when left out")


class ActionWish(BaseModel):
    """What is to be done about an incident. Without `confirm` nothing is done: the answer says what would be."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["limit", "pause", "cheaper_model", "rate"]
    scope: dict[str, str] | None = Field(
        default=None,
        description="whom, as in a limit; whom the incident is about when left out",
        examples=[{"user": "u1"}],
    )
    usd: str | None = Field(default=None, description="for `limit`: US dollars", examples=["5"])
    window: str = Field(default="hour", description="for `limit`: the window, as in a limit")
    model: str | None = Field(default=None, description="for `cheaper_model`: the model that answers instead")
    calls: int | None = Field(default=None, ge=1, description="for `rate`: calls a minute", examples=[60])
    by: str | None = Field(default=None, max_length=200, description="who does it; the caller when left out")
    confirm: bool = False


class ActionShape(BaseModel):
    """A limit that was set from an incident; `changed_at` and `changed_by` are null as long as it is not in force."""

    name: str
    in_force: bool
    definition: dict[str, Any]
    changed_at: str | None
    changed_by: str | None


class ActionList(BaseModel):
    actions: list[ActionShape]


class SilenceWish(BaseModel):
    """What is not to be told: all matchers have to hold."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    match: dict[str, str | list[str]] = Field(min_length=1, examples=[{"feature": "chat"}])
    from_: str | None = Field(default=None, alias="from", description="RFC 3339; now")
    to: str = Field(description="RFC 3339, not included", examples=["2026-12-01T08:00:00Z"])
    comment: str = Field(default="", max_length=2000)
    author: str | None = Field(default=None, max_length=200)


class SilenceShape(BaseModel):
    silence_id: str
    match: dict[str, Any]
    from_: str = Field(alias="from")
    to: str
    author: str
    comment: str


class SilenceList(BaseModel):
    silences: list[SilenceShape]


class AnnotationWish(BaseModel):
    """A mark in time."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=2000, examples=["checkout 4.2 deployed"])
    at: str | None = Field(default=None, description="RFC 3339; now")
    labels: dict[str, str] = Field(default_factory=dict, examples=[{"service": "checkout"}])
    author: str | None = Field(default=None, max_length=200)


class AnnotationList(BaseModel):
    annotations: list[AnnotationShape]


class ChannelShape(BaseModel):
    name: str
    kind: str


class ChannelList(BaseModel):
    channels: list[ChannelShape]


class ChannelTest(BaseModel):
    """What became of a test message."""

    channel: str
    delivered: bool
    error: str | None
