"""The span of OpenTelemetry that a call is made in, when the application has OpenTelemetry at all.

It is how a call is recognised that an instrumentation sends over OTLP as well, where its answer has no id.
"""

from __future__ import annotations

import sys
from typing import Any, Final

TRACE: Final = "opentelemetry.trace"
loaded_modules: Final = sys.modules


def span_members() -> str:
    """`,"trace_id":"...","span_id":"..."`, as they stand in a record; empty without a span."""
    trace: Any = loaded_modules.get(TRACE)
    if trace is None:
        return ""
    context = trace.get_current_span().get_span_context()
    return f',"trace_id":"{context.trace_id:032x}","span_id":"{context.span_id:016x}"' if context.is_valid else ""
