"""The routes over HTTP, beside the store of a world."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Any, cast

import httpx
from export_rig import World

from taximeter.server.access import Access, Caller
from taximeter.server.api import build_api
from taximeter.server.parts import Parts


class Keys:
    """A key is named like its scope."""

    def key(self, secret: str) -> Caller | None:
        return Caller("key", secret, secret) if secret in ("read", "ingest") else None

    def session(self, _token: str) -> Caller | None:
        return None


def get(here: World, path: str, key: str = "read", **parameters: str) -> httpx.Response:
    """The answer to `GET /api/v1{path}`."""
    access = Access(Keys(), local_token="local", cookie="taximeter")
    others = dict.fromkeys(part.name for part in fields(Parts))
    parts = Parts(**cast(Any, {**others, "store": here.store, "access": access, "clock": here.clock}))
    transport = httpx.ASGITransport(build_api(parts, "1.0"))

    async def ask() -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return await client.get(f"/api/v1{path}", params=parameters)

    return asyncio.run(ask())
