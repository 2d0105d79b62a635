"""The front door: one look at the first segment of the path, then the face behind it has the connection.

The gateway's requests pass nothing else on their way: no middleware, no framework.
"""

from __future__ import annotations

from collections.abc import Mapping

from taximeter.server.answers import App, Receive, Scope, Send


class Front:
    """An ASGI application that dispatches to `faces` by first path segment, and to `otherwise` for the rest."""

    def __init__(self, faces: Mapping[str, App], otherwise: App) -> None:
        self._faces = dict(faces)
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        path: str = scope["path"]
        end = path.find("/", 1)
        face = self._faces.get(path[1:] if end < 0 else path[1:end], self._otherwise)
        await face(scope, receive, send)
