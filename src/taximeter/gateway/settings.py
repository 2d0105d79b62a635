"""Bounds and policies of the gateway. Each has a name and a unit; the server's configuration fills them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from taximeter.gateway.upstream import UpstreamSettings

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCache:
    """Whose answers are given again to identical requests: of these features, and of the keys with these ids."""

    features: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    ttl_seconds: float = 3600.0
    size_bytes: int = 64 * MEBIBYTE
    answer_bytes: int = MEBIBYTE
    """A larger answer is not kept."""

    @property
    def is_on(self) -> bool:
        return bool(self.features or self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Defaults suit one server in front of public providers."""

    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 600.0
    """Longest silence of a provider, before or within an answer."""
    connections_max: int = 1000
    """Connections to one provider; a call that finds all of them busy waits as long as for a connection."""
    body_limit_bytes: int = 64 * MEBIBYTE
    """Largest request body, answered 413 beyond it. OpenAI takes 64 MB in an upload part, Anthropic 32 MB."""
    tap_limit_bytes: int = 64 * MEBIBYTE
    """Largest answer that is held back and read whole. A larger one streams through, its usage unknown."""
    on_hangup: Literal["drain", "cancel"] = "drain"
    """`drain` reads the answer to its end, because it is billed anyway; `cancel` drops it and estimates."""
    drain_timeout_seconds: float = 120.0
    drain_limit_bytes: int = 64 * MEBIBYTE
    progress_seconds: float = 1.0
    """Shortest time between two progress records of one stream."""
    when_unrecordable: Literal["serve", "refuse"] = "serve"
    """What happens to a call whose begin record the spool does not take: the loss is counted, or HTTP 503."""

    response_cache: ResponseCache = ResponseCache()

    def upstream(self) -> UpstreamSettings:
        """The part that the way to a provider needs."""
        return UpstreamSettings(
            connect_seconds=self.connect_timeout_seconds,
            first_byte_seconds=self.read_timeout_seconds,
            idle_seconds=self.read_timeout_seconds,
            connections_max=self.connections_max,
        )
