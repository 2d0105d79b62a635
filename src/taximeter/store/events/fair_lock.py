"""A lock that goes to whoever has waited longest.

`threading.Lock` goes to whoever asks next once it is free, and that is the thread that let it go a moment ago: one that
takes it again and again for parts of a long work keeps all others out until the whole is done.
"""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """Taken with `with`, by one thread at a time, in the order of asking. A thread that has it cannot take it again."""

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._state:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *_: object) -> None:
        with self._state:
            if self._waiting:
                self._waiting.popleft().release()  # it stays held, by the next one
            else:
                self._held = False
