"""What of a request is not in it: why nothing can be said of what it may come to.

A document by its id, a search that the provider makes, an answer it remembers: all is billed, and none of it is seen
from here. Names are those of the wire; where a provider takes two spellings (Gemini), both are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

DEPTH: Final = 32
"""How far into a request is looked."""

_CLIENT_TOOLS: Final = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")
_SERVED_BY_KEY: Final = frozenset(
    {
        "googleSearch",
        "googleSearchRetrieval",
        "enterpriseWebSearch",
        "googleMaps",
        "codeExecution",
        "computerUse",
        "urlContext",
        "retrieval",
        "fileSearch",
        "google_search",
        "google_search_retrieval",
        "enterprise_web_search",
        "google_maps",
        "code_execution",
        "computer_use",
        "url_context",
        "file_search",
        "mcpServers",
        "systemTool",
    }
)
_DOCUMENTS: Final = frozenset({"file", "input_file", "document", "video_url", "input_video", "container_upload"})
_DOCUMENTS_BY_KEY: Final = frozenset({"fileData", "file_data", "document", "video"})
_SEEN_MEDIA: Final = ("image/", "audio/", "text/")
"""What may lie in a request itself: the tokens of an image have a bound, those of sound and text are fewer than its
bytes. Pages and frames are not."""
_REMEMBERED: Final = (
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "cachedContent",
    "cached_content",
    "promptVariables",
    "conversation_id",
)
_SERVED: Final = ("web_search_options", "mcp_servers", "plugins", "connectors", "guardrailConfig", "guardrail_config")
_PASSED_ON: Final = frozenset({"top_k", "topK", "thinking", "reasoning_config", "reasoningConfig", "anthropic_beta"})
"""What Converse may hand on to a model without another cost."""


def parts(value: object, depth: int = DEPTH) -> Iterator[Mapping[str, Any]]:
    """Every object inside a payload."""
    if depth == 0:
        return
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            if isinstance(inner, Mapping | list):
                yield from parts(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, Mapping | list):
                yield from parts(inner, depth - 1)


def blocks(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What the messages of a request are made of: their own parts, and those of the results of tools in them."""
    for message in _objects(payload.get("messages")):
        yield from _of_content(message.get("content"))
    for content in _objects(payload.get("contents")):
        yield from _objects(content.get("parts"))


def _of_content(content: object) -> Iterator[Mapping[str, Any]]:
    for block in _objects(content):
        yield block
        result = block.get("toolResult")
        if isinstance(result, Mapping):
            yield from _objects(result.get("content"))


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, Mapping):
            yield one


def media_of(block: Mapping[str, Any]) -> str | None:
    """The media type of what lies in a block (Gemini's `inlineData`); None when nothing does."""
    data = block.get("inlineData") or block.get("inline_data")
    return str(data.get("mimeType") or data.get("mime_type") or "") if isinstance(data, Mapping) else None


def what_is_outside(payload: Mapping[str, Any]) -> str | None:
    """Why the cost cannot be bounded from the request; None when it can."""
    for name in _REMEMBERED:
        if payload.get(name) and (name != "prompt" or _is_id(payload[name])):
            return f"its input is kept by the provider ({name})"
    if any(payload.get(name) for name in _SERVED):
        return "it uses what the provider adds and charges for (tools, guardrails)"
    return _served_tool(payload) or _passed_on(payload) or _document(payload)


def _is_id(prompt: object) -> bool:
    """Whether `prompt` names one that the provider keeps (Responses), not one that is there (Completions)."""
    return isinstance(prompt, Mapping)


def _served_tool(payload: Mapping[str, Any]) -> str | None:
    config = payload.get("toolConfig")
    tools = payload.get("tools") or (config.get("tools") if isinstance(config, Mapping) else None)
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, Mapping):
            continue
        kind = str(tool.get("type") or next((key for key in tool if key in _SERVED_BY_KEY), "function"))
        if not kind.startswith(_CLIENT_TOOLS):
            return f"it uses a tool of the provider ({kind[:40]}), whose results are billed as input"
    return None


def _passed_on(payload: Mapping[str, Any]) -> str | None:
    fields = payload.get("additionalModelRequestFields")
    odd = sorted(set(fields) - _PASSED_ON) if isinstance(fields, Mapping) else []
    return f"it hands on fields that the model may charge for ({str(odd[0])[:40]})" if odd else None


def _document(payload: Mapping[str, Any]) -> str | None:
    shown = any(part.get("type") in _DOCUMENTS for part in parts(payload))
    if shown or any(_is_document(block) for block in blocks(payload)):
        return "it brings a document, whose pages cannot be counted from here"
    return None


def _is_document(block: Mapping[str, Any]) -> bool:
    media = media_of(block)
    return (media is not None and not media.startswith(_SEEN_MEDIA)) or any(key in block for key in _DOCUMENTS_BY_KEY)
