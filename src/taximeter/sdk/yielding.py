"""Who counts, when several instruments see one call: the one nearest to the wire.

A framework watches while it works. Whatever counts a call inside tells every watch around it, and a watch that was
told counts nothing itself.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final


class Watch:
    """A framework's look at one call of its own. `told`: somebody below has counted it.

    `reads_usage_chunks`: the framework reads streams raw, and keeps a chunk that tells the usage to itself.
    """

    __slots__ = ("around", "reads_usage_chunks", "told")

    def __init__(self, reads_usage_chunks: bool = False) -> None:
        around: Watch | None = watching.get()
        while around is not None and around.told:
            around = around.around  # there is nothing more to tell it
        self.around: Watch | None = around
        self.reads_usage_chunks = reads_usage_chunks
        self.told: bool = False

    def begin(self) -> None:
        watching.set(self)

    def end(self) -> None:
        """Look no more. In another context than it was begun in there is nothing to undo."""
        if watching.get() is self:
            watching.set(self.around)


watching: Final[ContextVar[Watch | None]] = ContextVar("taximeter_watch", default=None)


def usage_chunk_is_read() -> bool:
    """Whether the framework that works here is prepared for a chunk that it did not ask for."""
    watch = watching.get()
    return watch is not None and watch.reads_usage_chunks


def counted() -> None:
    """A call is being counted here, by whoever calls this."""
    watch = watching.get()
    while watch is not None and not watch.told:
        watch.told = True
        watch = watch.around
