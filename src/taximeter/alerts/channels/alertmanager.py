"""Prometheus' Alertmanager, API v2 (`POST /api/v2/alerts`): for those who route and silence everything there."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field, SecretStr

from taximeter.alerts.channels.http import post
from taximeter.alerts.message import Message
from taximeter.config.alerting import Written

LASTS: Final = timedelta(hours=5)
"""An alert that is not told again by then is over for Alertmanager; the default `repeat` is four hours."""

_NO_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")


class AlertmanagerSettings(Written):
    kind: Literal["alertmanager"]
    url: str = Field(description="Where it listens, `http://alertmanager:9093`.")
    username: str | None = Field(default=None, description="For basic authentication.")
    password: SecretStr | None = Field(default=None, description="The same.")


class Alertmanager:
    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message, notification_id: str) -> None:
        del notification_id  # an alert is known by its labels
        headers = {"Content-Type": "application/json"}
        if self._settings.username is not None and self._settings.password is not None:
            pair = f"{self._settings.username}:{self._settings.password.get_secret_value()}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        url = f"{self._settings.url.rstrip('/')}/api/v2/alerts"
        post(url, json.dumps([alert(message)]).encode(), headers, service="Alertmanager")


def alert(message: Message) -> dict[str, Any]:
    """One alert: the same labels from its start to its end. Severity is an annotation, because it may change."""
    at = datetime.fromisoformat(message.at)
    ends = at if not message.open else at + LASTS
    return {
        "labels": {
            "service": "taximeter",
            **{_label(name): value for name, value in message.labels.items()},
            "alertname": message.kind,
            "incident": message.dedup_key,
        },
        "annotations": {
            "summary": message.first_line,
            "description": message.summary,
            "severity": message.severity,
            **({"runbook": message.runbook} if message.runbook else {}),
        },
        "startsAt": message.started_at,
        "endsAt": ends.isoformat(),
        "generatorURL": message.links[0].url if message.links else "",
    }


def _label(name: str) -> str:
    """A name that Prometheus allows: letters, digits and `_`, no digit first."""
    allowed = _NO_LABEL.sub("_", name)
    return f"_{allowed}" if allowed[:1].isdigit() else allowed
