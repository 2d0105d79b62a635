"""A request as it came, and what its head decides."""

from __future__ import annotations

from typing import Final

from taximeter.core.facts import fact
from taximeter.gateway.client import Scope
from taximeter.gateway.heads import RequestHead
from taximeter.gateway.keys import Key, KeyCheck, admit, identified
from taximeter.gateway.providers import Mount, Mounts
from taximeter.gateway.refusals import body_too_large, unfit_path, unknown_provider
from taximeter.gateway.upstream import Headers

KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."
"""How OpenAI's clients in browsers give their key to a websocket: a browser cannot set headers."""


@fact(frozen=True, slots=True)
class Asked:
    """A request that may go on: where to, by whom, and with which credentials.

    `rest` is the path behind the provider's name, `path` the provider's own; `query` is without credentials.
    """

    mount: Mount
    method: str
    rest: bytes
    path: bytes
    query: bytes
    head: RequestHead
    key: Key | None
    credentials: Headers

    @property
    def key_id(self) -> str | None:
        return None if self.key is None else self.key.id


def read_head(
    scope: Scope,
    method: str,
    mount: Mount | None,
    rest: bytes,
    *,
    mounts: Mounts,
    keys: KeyCheck | None,
    body_limit_bytes: int,
) -> Asked:
    """Everything that can be decided from the head. Raises Refusal."""
    head = RequestHead(scope["headers"])
    if mount is None:
        if keys is not None:
            identified(head, keys)
        raise unknown_provider(mounts.names)
    query: bytes = scope["query_string"]
    if query and mount.kind.query_keys:
        query = head.take_query_keys(query, mount.kind.query_keys)
    for name in scope.get("subprotocols", ()):
        if name.startswith(KEY_SUBPROTOCOL):
            head.secrets.append((b"authorization", b"Bearer " + name[len(KEY_SUBPROTOCOL) :].encode()))
    key, credentials = admit(head, mount, keys)
    path = mount.target(rest)
    if path is None:
        raise unfit_path()
    if (head.content_length or 0) > body_limit_bytes:
        raise body_too_large(body_limit_bytes)
    return Asked(mount, method, rest, path, query, head, key, credentials)
