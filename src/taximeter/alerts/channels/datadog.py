"""Datadog's stream of events (https://docs.datadoghq.com/api/latest/events/, version 1): what is told about an incident
lies there together, beside the metrics and the deployments, and monitors can be made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field, SecretStr

from taximeter.alerts.channels.http import post
from taximeter.alerts.message import Message
from taximeter.config.alerting import Written

TITLE_CHARACTERS: Final = 500
TEXT_CHARACTERS: Final = 4000
AGGREGATION_KEY_CHARACTERS: Final = 100
"""What its API takes at most."""

SHOWN_AS: Final = {"critical": "error", "warning": "warning"}

BEGIN, END = "%%% \n", "\n %%%"
"""Around text that is Markdown."""


class DatadogEventsSettings(Written):
    kind: Literal["datadog"]
    api_key: SecretStr = Field(description="An API key of the organisation.")
    url: str = Field(
        default="https://api.datadoghq.com", pattern="^https?://", description="The address of the site's API."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Further tags of every event.")


class DatadogEvents:
    def __init__(self, settings: DatadogEventsSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message, notification_id: str) -> None:
        tags = {**message.labels, **self._settings.tags, "notification": notification_id}
        body = json.dumps(event(message, tags), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "DD-API-KEY": self._settings.api_key.get_secret_value()}
        post(f"{self._settings.url.rstrip('/')}/api/v1/events", body, headers, service="Datadog")


def event(message: Message, tags: dict[str, str]) -> dict[str, Any]:
    return {
        "title": message.first_line[:TITLE_CHARACTERS],
        "text": f"{BEGIN}{_markdown(message)[: TEXT_CHARACTERS - len(BEGIN) - len(END)]}{END}",
        "alert_type": SHOWN_AS[message.severity] if message.open else "success",
        "aggregation_key": message.dedup_key[:AGGREGATION_KEY_CHARACTERS],
        "date_happened": int(datetime.fromisoformat(message.at).timestamp()),
        "tags": ["source:taximeter", f"kind:{message.kind}", *(f"{name}:{value}" for name, value in tags.items())],
    }


def _markdown(message: Message) -> str:
    """The links first: text that is too long loses its end."""
    links = " · ".join(f"[{link.text}]({link.url})" for link in (*message.links, *message.deeds))
    facts = _listed(f"{name}: {value}" for name, value in message.facts)
    evidence = _listed(f"{name}: {told}" for name, told in message.evidence)
    action = "" if message.action is None else f"**{message.action}**"
    parts = (message.summary, links, facts, _listed(message.contributors), action, evidence)
    return "\n\n".join(part for part in parts if part)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
