"""A webhook of one's own: JSON, signed.

The body is `as_json(message)` with `notification_id`. With a `secret`, `X-Taximeter-Signature` is `t=<Unix seconds>,
v1=<hex>`: the HMAC-SHA256 of `<Unix seconds>.<body>` under the secret, so that a receiver can refuse old copies.
`Idempotency-Key` is the notification's id.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field, SecretStr

from taximeter.alerts.channels.http import post
from taximeter.alerts.message import Message
from taximeter.clock import Clock
from taximeter.config.alerting import Written


class WebhookSettings(Written):
    """A URL that takes JSON."""

    kind: Literal["webhook"]
    url: SecretStr = Field(description="Where to.")
    secret: SecretStr | None = Field(default=None, description="Signs the body, when there is one.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers.")


def as_json(message: Message) -> dict[str, Any]:
    """A message as plain values."""
    told = {name: value for name, value in asdict(message).items() if name != "thread"}
    return {**told, "open": message.open, "first_line": message.first_line}


def signature(secret: str, body: bytes, unix_seconds: int) -> str:
    """The value of `X-Taximeter-Signature`."""
    signed = hmac.new(secret.encode(), b"%d.%b" % (unix_seconds, body), hashlib.sha256)
    return f"t={unix_seconds},v1={signed.hexdigest()}"


class Webhook:
    def __init__(self, settings: WebhookSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def deliver(self, message: Message, notification_id: str) -> None:
        body = json.dumps({**as_json(message), "notification_id": notification_id}, ensure_ascii=False).encode()
        headers = {
            **self._settings.headers,
            "Content-Type": "application/json",
            "Idempotency-Key": notification_id,
        }
        if self._settings.secret is not None:
            unix_seconds = self._clock.now_us() // 1_000_000
            headers["X-Taximeter-Signature"] = signature(self._settings.secret.get_secret_value(), body, unix_seconds)
        post(self._settings.url.get_secret_value(), body, headers, service="the webhook")
