"""A progress bar for work that says how much of it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from taximeter.cli.console import ERR


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Told what is done, and of how much; shown where there is somebody to see it."""
    if not ERR.is_terminal:
        yield lambda _done, _all: None
        return
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, of_all: bar.update(task, completed=done, total=of_all)
