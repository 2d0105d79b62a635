"""What the server has to say while it runs: one line a fault, on stderr."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Final

CUT_SHORT: Final = "ASGI callable returned without completing response."
"""uvicorn says so when the gateway ends an answer that its provider did not end. It is recorded as such."""


class OneLine(logging.Formatter):
    """`taximeter: message`, and of an exception its type, its message and where it came from."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"taximeter: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {_fault(record.exc_info[1], record.exc_info[2])}"
        return " ".join(text.split())


def _fault(error: BaseException, trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def log_in_lines() -> None:
    """Warnings and worse of all parts, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    handler.addFilter(lambda record: record.getMessage() != CUT_SHORT)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
