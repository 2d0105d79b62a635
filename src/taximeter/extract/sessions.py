"""What sessions over websockets have in common, whoever's they are: a line is one message of the server."""

from __future__ import annotations

from taximeter.extract.flavour import JSON_LINES, Flavour, ReadRequest
from taximeter.extract.lines import LineFraming
from taximeter.extract.reading import NOTHING_READ, Reading
from taximeter.extract.stream import OpenStream


def session(name: str, read_request: ReadRequest, open_stream: OpenStream, *, several: bool = False) -> Flavour:
    """The flavour of a session that `open_stream` reads. `several`: each answer in it is a call."""
    return Flavour(
        name=name,
        operation="realtime",
        read_request=read_request,
        read_body=_read_nothing,
        open_stream=open_stream,
        open_framing=LineFraming,
        streamed_as=JSON_LINES,
        several=several,
    )


def _read_nothing(_: int, __: object) -> Reading:
    """The answer as a whole has no body."""
    return NOTHING_READ
