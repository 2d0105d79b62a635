"""Signing for AWS with the server's own credentials (the extra `bedrock`: botocore)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from taximeter.gateway.upstream import Outgoing

if TYPE_CHECKING:
    from taximeter.gateway.providers import Provider

SERVICE: Final = "bedrock"
USUAL_REGION: Final = "us-east-1"

_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


def region_of(host: str) -> str:
    """The region in the name of a host: `bedrock-runtime.eu-central-1.amazonaws.com`."""
    found = _REGION.search(host)
    return USUAL_REGION if found is None else found[0]


class SigV4:
    """Signs for one provider. Credentials that expire are fetched again on a thread: that may ask the network."""

    def __init__(self, provider: Provider) -> None:
        url = urlsplit(provider.base_url)
        self._origin = f"{url.scheme}://{url.netloc}"
        self._region = region_of(url.hostname or "")
        self._credentials: Any = None
        self._asked = False

    async def signed(self, request: Outgoing) -> Outgoing | None:
        frozen = await asyncio.to_thread(self._frozen)
        return None if frozen is None else self._sign(request, frozen)

    def _frozen(self) -> Any:
        """The credentials of this moment; None when there are none, or botocore is not installed."""
        if not self._asked:
            self._credentials = _credentials_of_the_machine()
            self._asked = self._credentials is not None
        return None if self._credentials is None else _frozen(self._credentials)

    def _sign(self, request: Outgoing, credentials: Any) -> Outgoing:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        # Signed is what decides what is asked; headers that something on the way may touch are not.
        kept = {name.decode(): value.decode("latin-1") for name, value in request.headers if name == b"content-type"}
        aws = AWSRequest(request.method.decode(), self._origin + request.target.decode("latin-1"), kept, request.body)
        SigV4Auth(credentials, SERVICE, self._region).add_auth(aws)
        added = [(name.lower().encode(), value.encode()) for name, value in aws.headers.items() if name not in kept]
        return replace(request, headers=[*request.headers, *added])


def _credentials_of_the_machine() -> Any:
    try:
        from botocore.session import get_session
    except ImportError:
        return None
    return get_session().get_credentials()


def _frozen(credentials: Any) -> Any:
    """Their values at this moment; None when they have expired and cannot be fetched again."""
    from botocore.exceptions import BotoCoreError

    try:
        return credentials.get_frozen_credentials()
    except BotoCoreError:
        return None
