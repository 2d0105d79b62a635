"""The chunk of an OpenAI chat stream that is there only because we asked for it: the one that tells the usage.

It has no choices, and callers who never asked for it index `chunk.choices[0]`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any


def hide_usage_chunk(stream: Any) -> None:
    """Leave the usage chunk out of this stream. It stays the same object; only what it iterates over is ours."""
    inner = stream._iterator
    stream._iterator = _WithoutUsageAsync(inner) if hasattr(inner, "__anext__") else _WithoutUsage(inner)


def _tells_usage_only(chunk: Any) -> bool:
    return getattr(chunk, "choices", None) == [] and getattr(chunk, "usage", None) is not None


class _WithoutUsage(Iterator[Any]):
    def __init__(self, inner: Iterator[Any]) -> None:
        self._inner = inner

    def __next__(self) -> Any:
        chunk = next(self._inner)
        while _tells_usage_only(chunk):
            chunk = next(self._inner)
        return chunk


class _WithoutUsageAsync(AsyncIterator[Any]):
    def __init__(self, inner: AsyncIterator[Any]) -> None:
        self._inner = inner

    async def __anext__(self) -> Any:
        chunk = await anext(self._inner)
        while _tells_usage_only(chunk):
            chunk = await anext(self._inner)
        return chunk
