"""What follows from the code that starts a thread, or hands work to a pool, into the thread that does it.

Only one context variable of ours follows, never the whole context. `threading.Thread.start` and
`ThreadPoolExecutor.submit` (hence `map` and `loop.run_in_executor`) are patched, once; while the variable has its
default they do nothing but look. The threads of a pool live longer than the work they were started for, so they begin
without, and only the work itself is done under the value of whoever handed it in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final, Generic, TypeVar

from taximeter.sdk.guard import GUARD

T = TypeVar("T")

_POOLS: Final = "multiprocessing.dummy"
"""The module of the thread class that `multiprocessing.pool.ThreadPool` makes its workers of."""


class Following(Generic[T]):
    """Lets `variable` follow into threads between `begin` and `end`, unless it is not `wanted`.

    `decided`: somebody has begun or ended it, or said whether it is wanted.
    """

    def __init__(self, variable: ContextVar[T], nothing: T) -> None:
        self.decided = False
        self.wanted = True
        self._variable = variable
        self._nothing = nothing
        self._active = False
        self._patched: dict[tuple[Any, str], tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Follow from now on. Doing it twice does no harm."""
        from concurrent.futures.thread import ThreadPoolExecutor  # not for everyone who imports taximeter

        with self._lock:
            self.decided = True
            self._active = self.wanted
            if self.wanted:
                self._patch(threading.Thread, "start", self._starting)
                self._patch(ThreadPoolExecutor, "submit", self._submitting)

    def end(self) -> None:
        """Undo `begin`. Where somebody else has patched over us, ours stays below and does nothing."""
        with self._lock:
            self.decided = True
            self._active = False
            for (owner, name), (original, ours) in list(self._patched.items()):
                if getattr(owner, name) is ours:
                    setattr(owner, name, original)
                    del self._patched[owner, name]

    def _patch(self, owner: Any, name: str, wrapping: Callable[[Any], Any]) -> None:
        if (owner, name) not in self._patched:
            original = getattr(owner, name)
            ours = wraps(original)(wrapping(original))
            self._patched[owner, name] = (original, ours)
            setattr(owner, name, ours)

    def _starting(self, original: Any) -> Any:
        def start(thread: Any) -> Any:
            value = self._variable.get()
            if value is not self._nothing and self._active:
                GUARD.run("thread", self._carry, thread, value)
            return original(thread)

        return start

    def _submitting(self, original: Any) -> Any:
        def submit(executor: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            value = self._variable.get()
            if value is self._nothing or not self._active:
                return original(executor, fn, *args, **kwargs)
            # A worker that is started for this is there for everybody.
            return self._under(self._nothing, original, executor, self._under, value, fn, *args, **kwargs)

        return submit

    def _carry(self, thread: Any, value: T) -> None:
        """Have the thread run under `value`. Put on the object: `run` is what subclasses define."""
        if type(thread).__module__ == _POOLS:
            return
        own = vars(thread)
        former = own.get("run")
        run = former.inner if isinstance(former, _Carried) else thread.run
        thread.run = _Carried(self, value, own, run)

    def _under(self, value: T, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        token = self._variable.set(value)
        try:
            return function(*args, **kwargs)
        finally:
            self._variable.reset(token)


class _Carried:
    """What a thread runs instead of `inner`. It takes itself away first, or it would keep the thread alive."""

    __slots__ = ("_following", "_own", "_value", "inner")

    def __init__(self, following: Following[Any], value: Any, own: dict[str, Any], inner: Any) -> None:
        self._following = following
        self._value = value
        self._own = own
        self.inner = inner

    def __call__(self) -> None:
        self._own.pop("run", None)
        self._following._under(self._value, self.inner)
