"""Facts that are made for every call: frozen to whoever writes code, and cheap to make.

A frozen dataclass sets each field through `object.__setattr__`, which for a dozen fields takes three times as long as
assigning them. Type checkers read `fact` as `dataclass` itself, and refuse to change a frozen field; while a program
runs nothing looks after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["fact"]

if TYPE_CHECKING:
    from dataclasses import dataclass as fact
else:
    from dataclasses import dataclass

    def fact(*, frozen: bool, slots: bool, kw_only: bool = False):
        """`dataclass`, compared and hashed by its fields as a frozen one is."""
        return dataclass(slots=slots, kw_only=kw_only, unsafe_hash=frozen)
