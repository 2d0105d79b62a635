"""What a call through taximeter's own gateway carries: the id of its event, and who it is for."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from taximeter.core.attribution import Attribution

EVENT_ID: Final = "X-Taximeter-Event-Id"

HEADERS: Final = {
    "user_id": "X-Taximeter-User",
    "team": "X-Taximeter-Team",
    "tenant": "X-Taximeter-Tenant",
    "feature": "X-Taximeter-Feature",
    "endpoint": "X-Taximeter-Endpoint",
    "environment": "X-Taximeter-Environment",
    "prompt_version": "X-Taximeter-Prompt-Version",
    "session_id": "X-Taximeter-Session",
    "service": "X-Taximeter-Service",
    "service_version": "X-Taximeter-Service-Version",
}
TAGS: Final = "X-Taximeter-Tags"

_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def headers_for(event_id: str, attribution: Attribution) -> dict[str, str]:
    """The headers of one call. What a header cannot hold is percent-encoded."""
    headers = {EVENT_ID: event_id}
    for name, header in HEADERS.items():
        value = getattr(attribution, name)
        if value is not None:
            headers[header] = quote(value, safe=_PLAIN)
    if attribution.tags:
        pairs = (f"{_tag_part(name)}={_tag_part(value)}" for name, value in attribution.tags.items())
        headers[TAGS] = ",".join(pairs)
    return headers


def _tag_part(text: str) -> str:
    """One side of `name=value`, in which the separators of the list are encoded as well."""
    return quote(text, safe=_PLAIN.translate({ord(","): None, ord("="): None}))
