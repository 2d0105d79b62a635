"""From a request that may go on to an attempt that leaves: its call, its body, its begin record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from taximeter.extract import RequestFacts, flavour_for
from taximeter.extract.forms import FORM, form_fields
from taximeter.gateway.admission import Asking, Hold
from taximeter.gateway.asked import Asked
from taximeter.gateway.call import NOTHING_ASKED, Call
from taximeter.gateway.client import Client
from taximeter.gateway.heads import IN_QUERY, readable_encodings
from taximeter.gateway.keys import attributed
from taximeter.gateway.providers import Mount
from taximeter.gateway.record import Record
from taximeter.gateway.refusals import EVENT_ID_IN_USE, Refusal, event_id_in_use, no_provider_key
from taximeter.gateway.stream_usage import ask, can_ask
from taximeter.gateway.tap import UnreadableError, read_json
from taximeter.gateway.tools import Tools
from taximeter.gateway.upstream import Outgoing

_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
MOST_TAKEN_IDS: Final = 32
"""Attempts of one id, made by other processes, that are passed over."""

NO_PAYLOAD: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Attempt:
    """One way to the provider. `record` is None for requests that are passed on without being recorded.

    `asking` is the body with the question for usage in it, when that is to be asked.
    """

    mount: Mount
    outgoing: Outgoing
    record: Record | None = None
    asking: bytes | None = None


async def new_call(tools: Tools, asked: Asked) -> Call:
    """The call that a request is."""
    head, clock = asked.head, tools.clock
    if b"event-id" in head.ours:
        await tools.identities.look_up(head, asked.key_id)
    event_id, attempt, request_id = tools.identities.of(head, asked.key_id)
    call = Call(event_id, clock.now_us(), clock.monotonic(), asked.mount.provider.name, asked.mount.region)
    call.is_attempt(attempt, request_id)
    tools.guard("attribution_unread", _attribute, call, asked)
    return call


def _attribute(call: Call, asked: Asked) -> None:
    call.belongs_to(attributed(asked.key, asked.head), asked.key_id)
    call.is_traced(asked.head)


async def attempt(tools: Tools, client: Client, asked: Asked, call: Call | None, body: bytes) -> Attempt:
    """The attempt, its begin record written. Raises Refusal."""
    if call is None:
        return Attempt(asked.mount, await _signed(asked, outgoing(asked, body)))
    payload = tools.guard("request_unread", _read_request, tools, asked, call, body) or NO_PAYLOAD
    record = Record(tools, client, call)
    if tools.admission is not None:
        body, payload = await _admitted(tools, asked, record, payload, body)
    asking = tools.guard("request_unread", _ask_for_usage, asked, call, payload, body)
    try:
        leaving, asking = await _departing(asked, body, asking)
    except (Refusal, asyncio.CancelledError):
        record.void()
        raise
    record.begin()
    return Attempt(asked.mount, leaving, record, asking)


async def _admitted(
    tools: Tools, asked: Asked, record: Record, payload: Mapping[str, Any], body: bytes
) -> tuple[bytes, Mapping[str, Any]]:
    """The body that may leave, and what is in it. Raises Refusal."""
    asking = Asking(record.call, asked.mount.kind, payload, body)
    try:
        record.hold = hold = await _hold(tools, asked, asking)
    except Refusal as refusal:
        record.refuse(refusal.code)
        raise
    if hold is None or hold.body is None:
        return body, payload
    changed = hold.body
    return changed, tools.guard("request_unread", _read_request, tools, asked, record.call, changed) or NO_PAYLOAD


async def _hold(tools: Tools, asked: Asked, asking: Asking) -> Hold | None:
    """What is held for a call. One whose id another process has used is its next attempt. Raises Refusal."""
    assert tools.admission is not None
    call = asking.call
    for _ in range(MOST_TAKEN_IDS):
        try:
            return await tools.guard.awaited("not_admitted", tools.admission.admit(asking))
        except Refusal as refusal:
            if refusal.code != EVENT_ID_IN_USE:
                raise
            call.goes_by(*tools.identities.again(asked.head, asked.key_id, call.attempt))
    raise event_id_in_use()


async def _departing(asked: Asked, body: bytes, asking: bytes | None) -> tuple[Outgoing, bytes | None]:
    """The request as it leaves, and its body with the question for usage in it. Raises Refusal."""
    leaving = outgoing(asked, body, readable=asking is None)
    if asked.credentials or asked.mount.signer is None:
        return leaving, asking
    # What is signed cannot be changed any more.
    return await _signed(asked, leaving if asking is None else replace(leaving, body=asking)), None


async def _signed(asked: Asked, leaving: Outgoing) -> Outgoing:
    signer = asked.mount.signer
    if asked.credentials or signer is None:
        return leaving
    signed = await signer.signed(leaving)
    if signed is None:
        raise no_provider_key(asked.mount.provider.name)
    return signed


def _read_request(tools: Tools, asked: Asked, call: Call, body: bytes) -> Mapping[str, Any]:
    """Take from the body what it says about the call; the body as JSON. Raises UnreadableError; then the answer is read
    all the same."""
    flavour = flavour_for(asked.mount.kind.family, asked.method, asked.path.decode("latin-1"))
    encoding = asked.head.notes.get(b"content-encoding")
    try:
        payload = read_json(body, encoding, tools.settings.body_limit_bytes)
    except UnreadableError:
        call.asks(flavour, NOTHING_ASKED if flavour is None else flavour.read_request(NO_PAYLOAD))
        raise
    if not isinstance(payload, dict):
        payload = {}
    told = payload or _form(asked, body)
    call.asks(flavour, _facts_of_unknown(told) if flavour is None else flavour.read_request(told))
    return payload


def _form(asked: Asked, body: bytes) -> Mapping[str, str]:
    """The fields of a form: it says the model beside its file."""
    kind = asked.head.notes.get(b"content-type", b"").decode("latin-1")
    return form_fields(kind, body) if kind.startswith(FORM) else {}


def _facts_of_unknown(payload: Mapping[str, Any]) -> RequestFacts:
    """Of a request whose dialect is not known, the model at most."""
    model = payload.get("model")
    return replace(NOTHING_ASKED, model=model[:512]) if isinstance(model, str) else NOTHING_ASKED


def _ask_for_usage(asked: Asked, call: Call, payload: Mapping[str, Any], body: bytes) -> bytes | None:
    """The body to send instead, if a stream has to be asked for its usage."""
    flavour, facts, mount = call.flavour, call.facts, asked.mount
    if flavour is None or not mount.asks_for_usage or not can_ask(flavour, facts):
        return None
    if b"content-encoding" in asked.head.notes or mount.tells_unasked(facts.model):
        return None
    asking = ask(body, payload)
    call.asks_for_usage(asking is not None)
    return asking


def outgoing(asked: Asked, body: bytes, *, readable: bool = True) -> Outgoing:
    """The request as it leaves. `readable` is False when its answer has to come in plain text."""
    head, query, headers = asked.head, asked.query, asked.head.forward.copy()
    for name, value in asked.credentials:
        if name.startswith(IN_QUERY):
            pair = name[len(IN_QUERY) :] + b"=" + quote(value, safe="").encode()
            query = pair + b"&" + query if query else pair
        else:
            headers.append((name, value))
    if not readable:
        headers.append((b"accept-encoding", b"identity"))  # the extra event is found in plain text only
    elif head.accept_encoding is not None:
        headers.append((b"accept-encoding", readable_encodings(head.accept_encoding)))
    repeatable = asked.method in _REPEATABLE or b"idempotency-key" in head.notes
    target = asked.path + b"?" + query if query else asked.path
    return Outgoing(asked.method.encode(), target, headers, body, repeatable)
