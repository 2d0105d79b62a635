"""Whatever a message says, the payload is one that the vendor's published reference allows."""

from __future__ import annotations

import json
from datetime import datetime
from email import message_from_bytes, policy
from typing import Annotated, Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl
from test_channels import NOTIFICATION

from taximeter.alerts.channels import pagerduty
from taximeter.alerts.channels.email import composed
from taximeter.alerts.channels.slack import attachments
from taximeter.alerts.message import Link, Message

# PagerDuty's reference of Events API v2: https://developer.pagerduty.com/docs/send-alert-event


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PagerDutyLink(Strict):
    href: HttpUrl
    text: str


class PagerDutyPayload(Strict):
    summary: Annotated[str, Field(min_length=1, max_length=1024)]
    source: Annotated[str, Field(min_length=1)]
    severity: Literal["critical", "error", "warning", "info"]
    timestamp: AwareDatetime
    component: str | None
    group: str | None
    class_: Annotated[str, Field(alias="class")]
    custom_details: dict[str, Any]


class PagerDutyEvent(Strict):
    payload: PagerDutyPayload
    client: str
    client_url: HttpUrl | None
    links: list[PagerDutyLink]


PAGERDUTY_BYTES = 512 * 1024
SLACK_BLOCKS = 50

texts = st.text(max_size=200) | st.text("<&>ä\n\t@!", max_size=4000)
named = st.text(min_size=1, max_size=100)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.isoformat() + "Z")
messages = st.builds(
    Message,
    event=st.sampled_from(["opened", "changed", "repeated", "escalated", "acknowledged", "resolved"]),
    dedup_key=st.uuids().map(str),
    severity=st.sampled_from(["warning", "critical"]),
    kind=st.sampled_from(["volume_spike", "threshold"]),
    title=texts,
    summary=texts,
    started_at=moments,
    at=moments,
    labels=st.dictionaries(named, texts, max_size=5),
    facts=st.lists(st.tuples(named, texts), max_size=20),
    contributors=st.lists(texts, max_size=20),
    evidence=st.lists(st.tuples(named, texts), max_size=10),
    action=st.none() | texts,
    runbook=st.none() | named,
    links=st.lists(st.just(Link("Open the incident", "https://meter.example/?incident=1")), max_size=3),
    taken_by=st.none() | named,
)


@given(messages)
def test_pagerduty(message: Message) -> None:
    event = pagerduty.event(message)
    PagerDutyEvent.model_validate(event)
    assert len(json.dumps(event).encode()) <= PAGERDUTY_BYTES


@given(messages)
def test_slack(message: Message) -> None:
    (attachment,) = attachments(message)
    assert attachment.blocks is not None
    assert len(attachment.blocks) <= SLACK_BLOCKS
    for block in attachment.blocks:
        block.validate_json()
    drawn = attachment.to_dict()
    for block in drawn["blocks"]:
        told = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        assert all(one is None or one.get("text") for one in told), "Slack refuses an empty text"
        assert len(block.get("text", {}).get("text", "")) <= 3000


@given(messages)
def test_mail(message: Message) -> None:
    mail = composed(message, NOTIFICATION, "meter@example.com", ["owner@example.com"])
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert read["Subject"]
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
