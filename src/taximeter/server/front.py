"""The front door: one look at the first segment of the path, then the face behind it has the connection.

The gateway's requests pass nothing else on their way: no middleware, no framework.
"""

from __future__ import annotations

from collections.abc import Mapping

from taximeter.server.answers import App, Receive, Scope, Send, close_socket


class Front:
    """An ASGI application that dispatches to `faces` by first path segment, and to `otherwise` for the rest.

    `sockets` are the faces that also take websockets; nobody else does.
    """

    def __init__(self, faces: Mapping[str, App], otherwise: App, sockets: Mapping[str, App]) -> None:
        self._faces = dict(faces)
        self._otherwise = otherwise
        self._sockets = dict(sockets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        end = path.find("/", 1)
        segment = path[1:] if end < 0 else path[1:end]
        if scope["type"] == "http":
            await self._faces.get(segment, self._otherwise)(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._sockets.get(segment, close_socket)(scope, receive, send)
