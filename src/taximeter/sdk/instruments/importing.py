"""Doing something when a module is imported for the first time, without importing it for that."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol of importlib
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        action = self._waiting.pop(fullname, None)
        if action is None:
            return None
        spec = find_spec(fullname)  # of the other finders: this one does not know the name any more
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Followed(spec.loader, action)
        return spec


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
