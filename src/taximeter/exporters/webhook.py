"""Parcels as JSON to an address of one's own. `Idempotency-Key` is the same whenever a parcel comes."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from pydantic import Field, SecretStr

from taximeter.clock import rfc3339
from taximeter.config.section import Section
from taximeter.core.money import format_usd
from taximeter.exporters.http import post
from taximeter.exporters.port import Parcel
from taximeter.exporters.series import MONEY, Amounts, series_values


class WebhookSettings(Section):
    """`exporters.to.<name>` with the kind `webhook`."""

    kind: str
    url: str
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Further headers, such as a token.")
    secret: SecretStr | None = Field(
        default=None, description="Signs the body: `X-Taximeter-Signature: sha256=HMAC` in hexadecimal."
    )


class Webhook:
    tells_latencies = False

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    def send(self, parcel: Parcel) -> None:
        body = msgspec.json.encode(
            {
                "id": parcel.id,
                "from": rfc3339(parcel.from_us),
                "to": rfc3339(parcel.to_us),
                "amounts": [
                    {**dict(zip(parcel.labels, series_values(key), strict=True)), **_as_json(amounts)}
                    for key, amounts in parcel.amounts.items()
                ],
            }
        )
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        headers |= {"Content-Type": "application/json", "Idempotency-Key": parcel.id}
        if self._settings.secret is not None:
            key = self._settings.secret.get_secret_value().encode()
            headers["X-Taximeter-Signature"] = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        post(self._settings.url, body, headers, service="the webhook")


def _as_json(amounts: Amounts) -> dict[str, str | int]:
    """Money is decimal text, counts are integers."""
    return {name: format_usd(amount) if name in MONEY else int(amount) for name, amount in amounts.items()}
