"""`POST /v1/traces`, `/v1/logs`, `/v1/metrics`: OTLP over HTTP, answered in the form of the request.

Success is 200, also when single spans were rejected (the answer counts them). 429 and 503 make a sender repeat the
batch, any other refusal makes it drop the batch; so what is only in the way for now is always 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from taximeter.errors import TaximeterError, UsageError
from taximeter.server.access import Access
from taximeter.server.answers import Receive, Scope, Send, answer, error_headers, header
from taximeter.server.bodies import read_body

Signal = Literal["traces", "logs", "metrics"]
PATHS: Final[Mapping[str, Signal]] = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

STATUS_CODES: Final = {400: 3, 401: 16, 403: 7, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}
"""HTTP status → the code in `google.rpc.Status`; any other is 13, internal."""


class OtlpIn(Protocol):
    """Takes an export request and returns the answer's body once what counts is on disk."""

    async def receive(
        self,
        signal: Signal,
        body: bytes,
        content_type: str,
        *,
        attributes: Mapping[str, str] | None,
        attributes_win: bool,
        api_key_id: str | None,
    ) -> bytes: ...

    def failure(self, content_type: str, code: int, message: str) -> bytes: ...

    async def keep_settling(self) -> None:
        """Count what has waited long enough, until cancelled."""
        ...

    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def held(self) -> int: ...


@dataclass(slots=True)
class OtlpFace:
    """The ASGI side of it."""

    access: Access
    receiver: OtlpIn
    limit_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        form = _form(scope)
        if scope["method"] != "POST":
            await self._refuse(send, form, 405, "send POST", {"allow": "POST"})
            return
        try:
            body = await self._taken(scope, receive, form)
        except UsageError as error:
            await self._refuse(send, form, 400, str(error), {})
        except TaximeterError as error:
            await self._refuse(send, form, error.http_status, str(error), error_headers(error))
        else:
            await answer(send, 200, body, [(b"content-type", form.encode())])

    async def _taken(self, scope: Scope, receive: Receive, form: str) -> bytes:
        caller = self.access.allowed(scope, "ingest")
        if form not in (PROTOBUF, JSON):
            raise UsageError(f"the content type '{form}' is not known", hint=f"send {PROTOBUF} or {JSON}")
        body = await read_body(scope, receive, self.limit_bytes)
        return await self.receiver.receive(
            PATHS[scope["path"]],
            body,
            form,
            attributes=caller.attributes,
            attributes_win=caller.attributes_win,
            api_key_id=caller.key_id,
        )

    async def _refuse(self, send: Send, form: str, status: int, message: str, headers: Mapping[str, str]) -> None:
        form = form if form == PROTOBUF else JSON
        body = self.receiver.failure(form, STATUS_CODES.get(status, 13), message)
        known = [(name.encode(), value.encode()) for name, value in headers.items()]
        await answer(send, status, body, [(b"content-type", form.encode()), *known])


def _form(scope: Scope) -> str:
    """The content type without its parameters; `application/protobuf` is another name of the usual one."""
    named = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    return PROTOBUF if named == "application/protobuf" else named
