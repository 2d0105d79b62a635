"""PagerDuty, Events API v2 (https://developer.pagerduty.com/docs/events-api-v2-overview): an incident of ours is one of
theirs by its `dedup_key`; it is acknowledged and resolved there too."""

from __future__ import annotations

import ssl
from typing import Any, Final, Literal

from pagerduty import EventsApiV2Client
from pagerduty.errors import Error
from pydantic import Field, SecretStr

from taximeter.alerts.channels.http import TIMEOUT_SECONDS, refused
from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.message import Message
from taximeter.alerts.notify import Event
from taximeter.config.alerting import Written

SUMMARY_CHARACTERS: Final = 1024
ACTIONS: Final[dict[Event, str]] = {"acknowledged": "acknowledge", "resolved": "resolve"}
"""Everything else is a trigger, which brings an incident that is open up to date."""


class PagerDutySettings(Written):
    kind: Literal["pagerduty"]
    routing_key: SecretStr = Field(description="The integration key of a service, Events API v2.")
    api_url: str = Field(
        default="https://events.pagerduty.com", pattern="^https://", description="PagerDuty's events API."
    )
    ca_file: str | None = Field(default=None, description="Certificates to trust instead of the machine's.")


class PagerDuty:
    def __init__(self, settings: PagerDutySettings) -> None:
        self._settings = settings

    def deliver(self, message: Message, notification_id: str) -> None:
        del notification_id  # the dedup key is what PagerDuty keeps apart by
        action = ACTIONS.get(message.event, "trigger")
        key = self._settings.routing_key.get_secret_value()
        trusted = ssl.create_default_context(cafile=self._settings.ca_file)
        with EventsApiV2Client(key, base_url=self._settings.api_url, verify=trusted) as client:
            # Trying again is the outbox's business: it survives a restart, and does not hold up other channels.
            client.retry, client.max_network_attempts, client.sleep_timer = {429: 1}, 1, 0.1
            client.timeout = int(TIMEOUT_SECONDS)
            try:
                client.send_event(action, dedup_key=message.dedup_key, **event(message))
            except Error as error:
                raise _failure(error) from None


def _failure(error: Error) -> DeliveryError:
    answer = error.response
    if answer is None:
        return DeliveryError("PagerDuty does not answer")
    return refused(answer.status_code, answer.headers.get("retry-after"), answer.text, "PagerDuty")


def event(message: Message) -> dict[str, Any]:
    """Everything but the action and the key."""
    return {
        "payload": {
            "summary": message.first_line[:SUMMARY_CHARACTERS],
            "source": "taximeter",
            "severity": message.severity,
            "timestamp": message.started_at,
            "component": message.labels.get("feature") or message.labels.get("model"),
            "group": message.labels.get("team"),
            "class": message.kind,
            "custom_details": {
                "summary": message.summary,
                **dict(message.facts),
                "contributors": list(message.contributors),
                "evidence": dict(message.evidence),
                "suggested": message.action,
                "runbook": message.runbook,
                **message.labels,
            },
        },
        "client": "taximeter",
        "client_url": message.links[0].url if message.links else None,
        "links": [{"href": link.url, "text": link.text} for link in (*message.links, *message.deeds)],
    }
