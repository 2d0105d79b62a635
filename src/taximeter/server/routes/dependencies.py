"""What routes ask for: the parts of the process, and a caller with a right.

With `sample=1` in its address a request is about the sample history: here, and nowhere else, its parts are put in the
place of one's own. It can be looked at and nothing more, so such a request has the right to read at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request

from taximeter.errors import OnlyASampleError
from taximeter.server.access import Caller, Right
from taximeter.server.parts import Parts

SAMPLE: Final = "sample"


def parts_of(request: Request) -> Parts:
    """Raises AuthenticationError and PermissionDeniedError before a sample is made for nobody."""
    parts = own_parts(request)
    if not is_sample(request):
        return parts
    parts.access.allowed(request.scope, "read")
    return parts.sampled()


def own_parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def is_sample(request: Request) -> bool:
    return request.query_params.get(SAMPLE) == "1"


def _with(right: Right) -> Callable[[Request], Caller]:
    def caller(request: Request) -> Caller:
        allowed = own_parts(request).access.allowed(request.scope, right)
        if right != "read" and is_sample(request):
            hint = "leave the sample: ask without `sample=1`"
            raise OnlyASampleError("the sample can only be looked at: nothing is changed in it", hint=hint)
        return allowed

    return caller


def anybody(request: Request) -> Caller:
    """Any valid credential."""
    return own_parts(request).access.caller(request.scope)


TheParts = Annotated[Parts, Depends(parts_of)]
Sender = Annotated[Caller, Depends(_with("ingest"))]
Reader = Annotated[Caller, Depends(_with("read"))]
Admin = Annotated[Caller, Depends(_with("admin"))]
Anybody = Annotated[Caller, Depends(anybody)]
