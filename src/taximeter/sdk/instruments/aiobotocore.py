"""`aiobotocore`: what is counted of `boto3`, asynchronous.

Its client and its endpoint are botocore's with coroutines in the same places. A body is read by coroutines as well,
all of which come to `read` or `readinto`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, Final

from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments.attempts import Family, Place, calls_async, followed, in_flight
from taximeter.sdk.instruments.botocore import CLIENT_CLASSES, Along, answered, begin, look, requesting

_ALONG: Final = "_taximeter_along"


def _attempts(original: Any) -> Any:
    async def get_response(*args: Any, **kwargs: Any) -> Any:
        outgoing = in_flight.get()
        if outgoing is None:
            return await original(*args, **kwargs)
        GUARD.run("retry", outgoing.leaves)
        response, error = await original(*args, **kwargs)
        GUARD.run("retry", look, outgoing, response, error)
        return response, error

    return get_response


def _read_along(body: Any, along: Along) -> None:
    setattr(body, _ALONG, along)
    cls: Any = type(body)
    body.__class__ = _followed(cls)


@lru_cache(maxsize=8)
def _followed(cls: Any) -> type:
    """A class like `cls`, a body of the library, that tells of what is read of it."""

    async def read(self: Any, amt: int | None = None) -> Any:
        along = getattr(self, _ALONG)
        try:
            chunk = await cls.read(self, amt)
        except Exception as error:
            GUARD.run("stream", along.broke, error)
            raise
        GUARD.run("stream", along.took, chunk, amt is None or amt < 0 or (not chunk and amt > 0))
        return chunk

    async def readinto(self: Any, buffer: Any) -> Any:
        size = await cls.readinto(self, buffer)
        GUARD.run("stream", getattr(self, _ALONG).took, bytes(buffer[:size]), size == 0)
        return size

    return followed(cls, {"read": read, "readinto": readinto})


def _places(family: Family) -> Iterable[Place]:
    client, endpoint = import_module("aiobotocore.client"), import_module("aiobotocore.endpoint")
    calling = calls_async(partial(begin, family), partial(answered, _read_along))
    yield Place(client.AioBaseClient, "_make_api_call", calling)
    yield Place(endpoint.AioEndpoint, "make_request", requesting)
    yield Place(endpoint.AioEndpoint, "_get_response", _attempts)


INSTRUMENT: Final = Family(library="aiobotocore", client_classes=CLIENT_CLASSES, places=_places)
INSTRUMENTS: Final = (INSTRUMENT,)
