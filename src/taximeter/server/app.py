"""The whole of the HTTP side, put together from its faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.registry import Collector

from taximeter.errors import NotFoundError, TaximeterError
from taximeter.server.access import Access
from taximeter.server.answers import App, Receive, Scope, Send, answer_error
from taximeter.server.events_in import IngestFace
from taximeter.server.front import Front
from taximeter.server.health import Counts, healthz, metrics_face, readyz_face
from taximeter.server.otlp_in import PATHS as OTLP_PATHS
from taximeter.server.otlp_in import OtlpFace
from taximeter.server.page import Page
from taximeter.server.signin import SignIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """What this process serves. None is what its role does not have."""

    access: Access
    counts: Callable[[], Counts]
    problems: Callable[[], Sequence[str]]
    gateway: App | None = None
    providers: Sequence[str] = ()
    ingest: IngestFace | None = None
    otlp: OtlpFace | None = None
    api: App | None = None
    alert_links: App | None = None
    sign_in: SignIn | None = None
    page: Page | None = None
    metrics: Sequence[Collector] = ()


def build_app(faces: Faces) -> App:
    """The application of the one port."""
    by_segment: dict[str, App] = {
        "healthz": _exactly("/healthz", healthz, faces),
        "readyz": _exactly("/readyz", readyz_face(faces.problems), faces),
        "metrics": _exactly("/metrics", metrics_face(faces.access, faces.counts, faces.metrics), faces),
    }
    sockets: dict[str, App] = {}
    if faces.gateway is not None:
        sockets = dict.fromkeys(faces.providers, faces.gateway)
        by_segment |= sockets
    if faces.ingest is not None:
        otlp: dict[str, App] = dict.fromkeys(OTLP_PATHS, faces.otlp) if faces.otlp is not None else {}
        by_segment["v1"] = _only({"/v1/events": faces.ingest, **otlp}, faces)
    if faces.api is not None:
        by_segment |= {"api": faces.api, "odata": faces.api}
    if faces.alert_links is not None:
        by_segment["alert"] = faces.alert_links
    if faces.sign_in is not None and faces.page is not None:
        by_segment |= {"signin": _told(faces.sign_in), "signout": _told(faces.sign_in.sign_out)}
        by_segment |= {"assets": _told(faces.page.file), "": _exactly("/", _told(faces.page), faces)}
    return Front(by_segment, _lost(faces), sockets)


def _told(face: App) -> App:
    """What goes wrong before the answer has begun, such as a store of sessions that is away."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await face(scope, receive, send)
        except TaximeterError as error:
            await answer_error(send, error)

    return told


def _exactly(path: str, face: App, faces: Faces) -> App:
    return _only({path: face}, faces)


def _only(known: Mapping[str, App], faces: Faces) -> App:
    lost = _lost(faces)

    async def only(scope: Scope, receive: Receive, send: Send) -> None:
        await known.get(scope["path"], lost)(scope, receive, send)

    return only


def _lost(faces: Faces) -> App:
    """Files beside the page's index, and 404 for the rest. What is configured is told to those with a credential."""

    async def lost(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if faces.page is not None and faces.page.has(path):
            await _told(faces.page.file)(scope, receive, send)
            return
        try:
            faces.access.caller(scope)
        except TaximeterError as refusal:
            if faces.gateway is not None and path.count("/") > 1:  # it may be meant for a provider: as those answer
                await answer_error(send, refusal)
                return
            hint = "with a key, this answer names the configured providers"
            await answer_error(send, NotFoundError(f"there is nothing at {path}", hint=hint))
            return
        called_at = ", ".join(f"/{name}/" for name in sorted(faces.providers)) or "none"
        message = f"there is nothing at {path}; providers are called at {called_at}"
        error = NotFoundError(message, providers=sorted(faces.providers))
        await answer_error(send, error)

    return lost
