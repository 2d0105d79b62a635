"""What follows from the code that starts a thread, or hands work to a pool, into the thread that does it.

Only context variables of ours follow, never the whole context. `threading.Thread.start` and
`ThreadPoolExecutor.submit` (hence `map` and `loop.run_in_executor`) are patched, once; while the variables have their
defaults they do nothing but look. The threads of a pool live longer than the work they were started for, so they begin
without, and only the work itself is done under the value of whoever handed it in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

from taximeter.sdk.guard import GUARD

Values = tuple[Any, ...]

_POOLS: Final = "multiprocessing.dummy"
"""The module of the thread class that `multiprocessing.pool.ThreadPool` makes its workers of."""


class Following:
    """Lets variables follow into threads between `begin` and `end`, unless it is not `wanted`.

    `followed`: each variable with its default. `decided`: somebody has begun or ended it, or said whether it is wanted.
    """

    def __init__(self, *followed: tuple[ContextVar[Any], Any]) -> None:
        self.decided = False
        self.wanted = True
        self._variables = tuple(variable for variable, _ in followed)
        self._nothing: Values = tuple(default for _, default in followed)
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
                if "start" in vars(threading.Timer):  # OpenTelemetry's, which was there first and goes past ours
                    self._patch(threading.Timer, "start", self._starting)
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
            values = self._values()
            if values is not self._nothing and self._active:
                GUARD.run("thread", self._carry, thread, values)
            return original(thread)

        return start

    def _submitting(self, original: Any) -> Any:
        def submit(executor: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            values = self._values()
            if values is self._nothing or not self._active:
                return original(executor, fn, *args, **kwargs)
            # A worker that is started for this is there for everybody.
            return self._under(self._nothing, original, executor, self._under, values, fn, *args, **kwargs)

        return submit

    def _values(self) -> Values:
        """What the variables are here; the very object `_nothing` when all have their defaults."""
        for variable, default in zip(self._variables, self._nothing, strict=True):
            if variable.get() is not default:
                return tuple(one.get() for one in self._variables)
        return self._nothing

    def _carry(self, thread: Any, values: Values) -> None:
        """Have the thread run under `values`. Put on the object: `run` is what subclasses define."""
        if type(thread).__module__ == _POOLS:
            return
        own = vars(thread)
        former = own.get("run")
        run = former.inner if isinstance(former, _Carried) else thread.run
        thread.run = _Carried(self, values, own, run)

    def _under(self, values: Values, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        tokens = [variable.set(value) for variable, value in zip(self._variables, values, strict=True)]
        try:
            return function(*args, **kwargs)
        finally:
            for variable, token in zip(self._variables, tokens, strict=True):
                variable.reset(token)


class _Carried:
    """What a thread runs instead of `inner`. It takes itself away first, or it would keep the thread alive.

    Who patched `Thread.start` before us (Sentry) takes what it finds there for a function of the class, and hands it
    the thread."""

    __slots__ = ("_following", "_own", "_values", "inner")

    def __init__(self, following: Following, values: Values, own: dict[str, Any], inner: Any) -> None:
        self._following = following
        self._values = values
        self._own = own
        self.inner = inner

    def __call__(self, _thread: object = None) -> None:
        self._own.pop("run", None)
        self._following._under(self._values, self.inner)
