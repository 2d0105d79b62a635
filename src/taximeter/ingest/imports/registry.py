"""All formats, and which of them a file is. A new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from taximeter.errors import UsageError
from taximeter.ingest.imports.anthropic_usage import AnthropicUsage
from taximeter.ingest.imports.claude_code import ClaudeCode
from taximeter.ingest.imports.codex import Codex
from taximeter.ingest.imports.cursor import Cursor
from taximeter.ingest.imports.gemini_cli import GeminiCli
from taximeter.ingest.imports.generic import Generic
from taximeter.ingest.imports.helicone import Helicone
from taximeter.ingest.imports.langfuse import Langfuse
from taximeter.ingest.imports.litellm_logs import LiteLLMLogs
from taximeter.ingest.imports.native import Native
from taximeter.ingest.imports.openai_usage import OpenAIUsage
from taximeter.ingest.imports.openrouter import OpenRouter
from taximeter.ingest.imports.otlp_json import OtlpJson
from taximeter.ingest.imports.row import Format, LeftOut, Row, Values

_ALL: Final[tuple[Format, ...]] = (
    Native(),
    OpenAIUsage(),
    AnthropicUsage(),
    LiteLLMLogs(),
    Langfuse(),
    Helicone(),
    OtlpJson(),
    GeminiCli(),
    ClaudeCode(),
    Codex(),
    Cursor(),
    OpenRouter(),
    Generic(),
)
FORMATS: Final[Mapping[str, Format]] = {one.name: one for one in _ALL}
"""By name, the most particular first: a file is the first format that recognises a row of it."""

GENERIC: Final = "generic"

LOOKED_AT: Final = 200
"""Rows at the beginning of a file by which its format is told."""


def format_named(name: str) -> Format:
    """Raises UsageError when there is none of this name."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(f"there is no format '{name}'", hint="formats: " + ", ".join(FORMATS)) from None


def recognised(beginning: Iterable[Values]) -> Format | None:
    """The format of a file whose first rows these are."""
    rows = list(beginning)
    return next((one for one in _ALL if any(map(one.recognises, rows))), None)


COLUMNS_NAMED: Final = 20
_OF_A_TRACE: Final = frozenset({"id", "timestamp", "totalCost", "latency"})


def advice(first_row: Row | LeftOut) -> str:
    """What to do with a file of no known format."""
    if isinstance(first_row, LeftOut):
        return "name it with --format, or its columns with --map FIELD=COLUMN"
    if _is_trace(first_row.values):
        return "a trace of Langfuse names no model: export its observations"
    if str(first_row.values.get("type")).startswith(("thread.", "turn.")):
        return "what `codex exec --json` prints names no model and no time: import its session from ~/.codex/sessions"
    columns = ", ".join(" ".join(str(name).split())[:40] for name in list(first_row.values)[:COLUMNS_NAMED])
    named = "--map started_at=COLUMN --map model=COLUMN --map input_tokens=COLUMN --map output_tokens=COLUMN"
    return f"name it with --format, or its columns ({columns}) with {named}"


def _is_trace(values: Values) -> bool:
    return values.keys() >= _OF_A_TRACE
