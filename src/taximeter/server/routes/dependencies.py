"""What routes ask for: the parts of the process, and a caller with a right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from taximeter.server.access import Caller, Right
from taximeter.server.parts import Parts


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _with(right: Right) -> Callable[[Request], Caller]:
    def caller(request: Request) -> Caller:
        return parts_of(request).access.allowed(request.scope, right)

    return caller


def anybody(request: Request) -> Caller:
    """Any valid credential."""
    return parts_of(request).access.caller(request.scope)


TheParts = Annotated[Parts, Depends(parts_of)]
Sender = Annotated[Caller, Depends(_with("ingest"))]
Reader = Annotated[Caller, Depends(_with("read"))]
Admin = Annotated[Caller, Depends(_with("admin"))]
Anybody = Annotated[Caller, Depends(anybody)]
