"""Doing something when a module is imported for the first time, without importing it for that."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from taximeter.sdk.guard import GUARD


def installed(module: str) -> bool:
    """Whether a module can be imported. Imports nothing but what is above it."""
    if module in sys.modules:
        return True
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # nothing above it, or something that has no spec
        return False


class WhenImported(MetaPathFinder):
    """Runs what was asked for after a module was imported; at once, when that has happened already."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], object]] = {}
        self._asking = _Asking()

    def wait(self, module: str, action: Callable[[], object]) -> None:
        """Run `action` when there is this module. Raises what `action` raises, when it runs at once."""
        if module in sys.modules:
            action()
            return
        self._waiting[module] = action
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self) -> None:
        """Wait for nothing any more."""
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders say. Asking is not importing: many ask first whether a library is there."""
        if fullname not in self._waiting or fullname in self._asking.names:
            return None
        self._asking.names.add(fullname)
        try:
            asked = (_asked(finder, fullname, path, target) for finder in tuple(sys.meta_path) if finder is not self)
            spec = next(filter(None, asked), None)
        finally:
            self._asking.names.discard(fullname)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Followed(spec.loader, partial(self._imported, fullname))
        return spec

    def _imported(self, module: str) -> None:
        action = self._waiting.pop(module, None)
        if action is not None:
            action()


def _asked(finder: object, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    if not hasattr(finder, "find_spec"):
        return None
    spec: ModuleSpec | None = finder.find_spec(fullname, path, target)
    return spec


class _Asking(threading.local):
    """What this thread is asking the other finders for: one that asks us in turn gets no answer."""

    def __init__(self) -> None:
        self.names: set[str] = set()


class _Followed(Loader):
    """A loader that runs an action after the module was made."""

    def __init__(self, inner: Loader, action: Callable[[], object]) -> None:
        self._inner = inner
        self._action = action

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner  # it is the loader that others know
        self._inner.exec_module(module)
        GUARD.run("import", self._action)


WHEN_IMPORTED = WhenImported()
"""The one of this process."""
