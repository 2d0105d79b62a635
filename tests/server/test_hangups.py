"""What is called when a client hangs up, without anybody waiting for a message that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from taximeter.server.http_protocol import HANGUP, HttpProtocol

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Wire(asyncio.Transport):
    def write(self, data: Any) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool:
        return False


def heard(*, stops_listening: bool = False, leaves_first: bool = False) -> list[str]:
    """What an application hears that asks to be told; its client leaves while it works, or before it asks."""
    said: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(0)
        call_on_hangup: Callable[[Callable[[], None] | None], None] = scope["extensions"][HANGUP]
        call_on_hangup(lambda: said.append("gone"))
        if stops_listening:
            call_on_hangup(None)
        for _ in range(5):
            await asyncio.sleep(0)

    async def serve() -> None:
        config = uvicorn.Config(app, access_log=False, log_level="critical", lifespan="off")
        protocol = HttpProtocol(config, ServerState(), {})
        protocol.connection_made(Wire())
        protocol.data_received(REQUEST)
        tasks = list(protocol.tasks)
        for _ in range(0 if leaves_first else 3):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.gather(*tasks)

    asyncio.run(serve())
    return said


def test_a_client_that_hangs_up_is_told_at_once() -> None:
    assert heard() == ["gone"]


def test_one_that_has_left_before_somebody_asks() -> None:
    assert heard(leaves_first=True) == ["gone"]


def test_nobody_is_told_who_does_not_listen_any_more() -> None:
    assert heard(stops_listening=True) == []
