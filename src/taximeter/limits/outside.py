"""What of a request is not in it: why nothing can be said of what it may come to.

A document by its id, a search that the provider makes, an answer it remembers: all is billed, and none of it is seen
from here. Names are those of the wire; where a provider takes two spellings (Gemini), both are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

DEPTH: Final = 32
"""How far into a request is looked."""

_CLIENT_TOOLS: Final = (
    "function",
    "custom",
    "bash_",
    "text_editor_",
    "computer_",
    "memory_",
    "local_shell",
    "apply_patch",
)
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
_DOCUMENTS: Final = frozenset(
    {"file", "input_file", "document", "document_url", "video_url", "input_video", "container_upload"}
)
_DOCUMENTS_BY_KEY: Final = frozenset({"fileData", "file_data", "document", "video"})
_DOCUMENT: Final = "it brings a document, whose pages cannot be counted from here"
_ADDRESSES: Final = ("http:", "https:", "gs:", "s3:")
_SOUNDS: Final = frozenset({"input_audio", "audio_url"})
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
    "agent_id",
)
_KEPT_PROMPT: Final = ":prompt/"
"""In the ARN of a prompt that Bedrock keeps, which stands in the place of a model."""
_SERVED: Final = (
    "web_search_options",
    "mcp_servers",
    "plugins",
    "connectors",
    "guardrailConfig",
    "guardrail_config",
    "enable_search",
)
_SEARCHING: Final = re.compile(r"deep-research|-search-preview|-search-api|:online$|(^|/)compound(-|$)")
"""Models that search, or ask other models, by themselves; what they find is billed as input, or has fees of its own."""
_PASSED_ON: Final = frozenset({"top_k", "topK", "thinking", "reasoning_config", "reasoningConfig", "anthropic_beta"})
"""What Converse may hand on to a model without another cost."""


def parts(value: object, depth: int = DEPTH) -> Iterator[Mapping[str, Any]]:
    """Every object inside a payload, but for what the arguments of tools are made of: those are words, whatever a tool
    calls them (`{"type": "file"}`)."""
    if depth == 0:
        return
    if isinstance(value, Mapping):
        yield value
        arguments = _arguments_in(value)
        for name, inner in value.items():
            if isinstance(inner, Mapping | list) and name != arguments:
                yield from parts(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, Mapping | list):
                yield from parts(inner, depth - 1)


def _arguments_in(part: Mapping[str, Any]) -> str | None:
    """Where the arguments of a tool are, when a part calls one: at Anthropic, in Converse; at Gemini."""
    if part.get("type") == "tool_use" or "toolUseId" in part:
        return "input"
    return "args" if "args" in part and "name" in part else None


def blocks(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What the messages of a request are made of: their own parts, and those of the results of tools in them."""
    for message in _objects(payload.get("messages")):
        yield from _of_content(message.get("content"))
    for content in _contents(payload):
        yield from _objects(content.get("parts"))


def _contents(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Gemini's: of a conversation, of what is embedded, or of each of several that are."""
    yield from _objects(payload.get("contents"))
    for one in (payload, *_objects(payload.get("requests"))):
        if isinstance(content := one.get("content"), Mapping):
            yield content


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


def what_is_outside(payload: Mapping[str, Any], model: str) -> str | None:
    """Why the cost cannot be bounded from the request; None when it can."""
    for name in _REMEMBERED:
        if payload.get(name) and (name != "prompt" or _is_id(payload[name])):
            return f"its input is kept by the provider ({name})"
    if any(payload.get(name) for name in _SERVED):
        return "it uses what the provider adds and charges for (tools, guardrails)"
    return _by_model(model) or _served_tool(payload) or _passed_on(payload) or _summed_up(payload) or _brought(payload)


def _by_model(model: str) -> str | None:
    if _KEPT_PROMPT in model:
        return "its input is kept by the provider (a prompt)"
    return "its model searches by itself, which is billed beside it" if _SEARCHING.search(model) else None


def _summed_up(payload: Mapping[str, Any]) -> str | None:
    """Anthropic's and OpenAI's way to shorten a conversation while it is answered: one more call."""
    asked = payload.get("context_management")
    edits = asked.get("edits") if isinstance(asked, Mapping) else asked
    compacts = any(str(edit.get("type")).startswith("compact") for edit in _objects(edits))
    return "the provider may sum up its conversation, which is billed beside it" if compacts else None


def _brought(payload: Mapping[str, Any]) -> str | None:
    """What a prompt brings along that is not all in it."""
    if any(_is_reference(item) for item in _objects(payload.get("input"))):
        return "its input is kept by the provider (an item by its id)"
    if any(isinstance(message.get("audio"), Mapping) for message in _objects(payload.get("messages"))):
        return "its input is kept by the provider (an answer that was spoken)"
    return document_in(payload)


def thoughts_elsewhere(payload: Mapping[str, Any]) -> int:
    """How many items of a prompt stand for what a model thought, which is not in them: neither sealed, as OpenAI's are,
    nor in plain words, as those of open models."""
    thoughts = (one for one in _objects(payload.get("input")) if one.get("type") == "reasoning")
    return sum(1 for one in thoughts if not one.get("encrypted_content") and not one.get("content"))


def _is_reference(item: Mapping[str, Any]) -> bool:
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and "role" not in item)


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


def document_in(payload: Mapping[str, Any]) -> str | None:
    """Why what lies in a prompt, or where it points to, has no bound; None when it has."""
    for part in parts(payload):
        kind = part.get("type")
        if isinstance(kind, str) and kind in _DOCUMENTS:
            return _DOCUMENT
        if isinstance(kind, str) and kind in _SOUNDS and _is_elsewhere(part.get(kind)):
            return "it brings sound by its address, whose length is not known here"
    return _DOCUMENT if any(_is_document(block) for block in blocks(payload)) else None


def _is_elsewhere(media: object) -> bool:
    address = media.get("url") if isinstance(media, Mapping) else media
    return isinstance(address, str) and address.lower().startswith(_ADDRESSES)


def _is_document(block: Mapping[str, Any]) -> bool:
    media = media_of(block)
    return (media is not None and not media.startswith(_SEEN_MEDIA)) or any(key in block for key in _DOCUMENTS_BY_KEY)
