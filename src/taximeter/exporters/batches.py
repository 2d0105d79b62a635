"""What one request takes of many things: at most so many, and at most so many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(things: Iterable[T], weight: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """All of them in their order. One that weighs more than `most_bytes` is alone."""
    batch: list[T] = []
    size = 0
    for one in things:
        bytes_ = weight(one)
        if batch and (len(batch) == most or size + bytes_ > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += bytes_
    if batch:
        yield batch
