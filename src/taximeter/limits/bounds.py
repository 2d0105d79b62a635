"""How much a call can come to at most, told from its request alone, without network.

Input. Tokenizers of today's models split bytes: no token is shorter than one byte, so a prompt has at most as many
tokens as bytes. What a provider adds by itself (chat markup, the instructions for tools) is bounded by constants. The
part of a prompt that was sent before, as the beginning of an earlier call, is known exactly (`prompts`).

Output. The allowance of the request, for each choice. Where it states none, or more than can be afforded, the request
is given a smaller one: `allowance_key` says in which field.

What cannot be bounded so (a document by its id, a search that the provider makes) has a reason instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from taximeter.extract.reading import RequestFacts

BYTES_OF_A_TOKEN: Final = 1
"""The shortest token."""

MARKUP_TOKENS: Final = 16
"""Added by a provider for each message, at most; and as often for the request itself."""

TOOLS_TOKENS: Final = 1_024
"""Added by a provider to a request with tools: its instructions how to use them (Anthropic names up to 530)."""

IMAGE_TOKENS: Final[Mapping[str, int]] = {"anthropic": 5_000, "openai": 50_000}
"""One image at its highest resolution: Anthropic's largest; OpenAI's dearest, of gpt-4o-mini, is 48,169."""

DEFAULT_ALLOWANCE: Final = 32_768
"""Output tokens allowed to a request that states none, under a limit that must not be overspent."""

SMALLER_ALLOWANCES: Final = (
    ("gpt-4o", 16_384),
    ("chatgpt-4o", 16_384),
    ("gpt-4.1", 32_768),
    ("gpt-4", 4_096),
    ("gpt-3.5", 4_096),
)
"""Models that write less at most, and refuse a request for more; the first beginning that fits."""

ALLOWED_BEFORE_THINKING: Final = ("o1", "o3", "o4", "gpt-5")
"""Models that know `max_completion_tokens` only. Compatible hosts mostly know `max_tokens` only."""

LEAST_OUTPUT: Final = 256
"""A call is not cut down below so many output tokens: it is refused instead."""

AFTER_THINKING: Final = 1_024
"""Output tokens that are left to a call that thinks first, behind its thinking budget."""

LEASED_MODELS: Final = ("gpt-3.5", "gpt-4o", "gpt-4.1", "gpt-4-", "claude-")
"""Models whose streams show every token they write, unless they think. Only of these streams is held by the slice:
what is written unseen would be billed without having been held."""

_ALLOWANCES: Final[Mapping[str, tuple[str, ...]]] = {
    "openai.chat": ("max_completion_tokens", "max_tokens"),
    "openai.completions": ("max_tokens",),
    "openai.responses": ("max_output_tokens",),
    "anthropic.messages": ("max_tokens",),
}
_WRITES_NOTHING: Final = frozenset({"embeddings", "rerank", "none"})
_WRITES: Final = frozenset({"chat", "text_completion", "generate_content"})
_CLIENT_TOOLS: Final = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")
_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
_OUTSIDE: Final = frozenset({"file", "input_file", "document", "video_url", "input_video", "container_upload"})
_REMEMBERED: Final = ("previous_response_id", "conversation", "prompt", "background")
_SERVED_TOOLS: Final = ("web_search_options", "mcp_servers", "plugins")
_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class CallBound:
    """What a request can come to. `output_tokens` is its allowance for one choice; None: it states none.

    `unbounded` is why nothing can be said, None when something can. `fixed_output` is written beside the allowance, at
    most. `least_output` is the smallest allowance that makes sense.
    """

    input_tokens: int
    output_tokens: int | None
    choices: int = 1
    fixed_output: int = 0
    least_output: int = LEAST_OUTPUT
    allowance_key: str | None = None
    leased: bool = False
    caches_for_an_hour: bool = False
    unbounded: str | None = None
    usual_allowance: int = DEFAULT_ALLOWANCE

    @property
    def clampable(self) -> bool:
        """Whether the request can be given a smaller allowance."""
        return self.allowance_key is not None


def bound_of(
    flavour: str | None,
    facts: RequestFacts,
    payload: Mapping[str, Any],
    size_bytes: int,
    known: tuple[int, int] = (0, 0),
) -> CallBound:
    """The bound of a request: its flavour's name, its facts, its JSON and the size of that.

    `known`: so many tokens at the beginning are known exactly, and take so many of the bytes.
    """
    if facts.operation in _WRITES_NOTHING:
        return CallBound(_input_of(flavour, payload, size_bytes, known), 0)
    if flavour is None or facts.operation not in _WRITES:
        return CallBound(0, None, unbounded=f"what a call of '{facts.operation or 'this path'}' may cost is not known")
    thinking = _thinking_budget(payload)
    return CallBound(
        input_tokens=_input_of(flavour, payload, size_bytes, known),
        output_tokens=facts.max_output_tokens,
        choices=_choices(payload),
        fixed_output=_size_of(payload.get("prediction")),
        least_output=LEAST_OUTPUT if thinking is None else thinking + AFTER_THINKING,
        allowance_key=_allowance_key(flavour, facts.model or "", payload),
        usual_allowance=next(
            (n for name, n in SMALLER_ALLOWANCES if (facts.model or "").startswith(name)), DEFAULT_ALLOWANCE
        ),
        leased=facts.stream and thinking is None and _shows_all(facts.model, payload),
        caches_for_an_hour='"1h"' in str(payload.get("cache_control", "")) or _has_hour(payload),
        unbounded=_what_is_outside(payload),
    )


def _input_of(flavour: str | None, payload: Mapping[str, Any], size_bytes: int, known: tuple[int, int]) -> int:
    tokens, their_bytes = known
    messages = payload.get("messages") or payload.get("input") or ()
    count = len(messages) if isinstance(messages, list) else 1
    images = sum(1 for part in _parts(payload, _DEPTH) if part.get("type") in _IMAGES)
    family = "anthropic" if (flavour or "").startswith("anthropic") else "openai"
    added = MARKUP_TOKENS * (count + 1) + images * IMAGE_TOKENS[family]
    if payload.get("tools") or payload.get("functions"):
        added += TOOLS_TOKENS
    return tokens + max(size_bytes - their_bytes, 0) // BYTES_OF_A_TOKEN + added


def _parts(value: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """Every object inside a payload."""
    if depth == 0:
        return
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            if isinstance(inner, Mapping | list):
                yield from _parts(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, Mapping | list):
                yield from _parts(inner, depth - 1)


def _what_is_outside(payload: Mapping[str, Any]) -> str | None:
    """Why the input cannot be told from the request; None when it can."""
    remembered = [name for name in _REMEMBERED if payload.get(name) and (name != "prompt" or _is_id(payload[name]))]
    if remembered:
        return f"its input is kept by the provider ({remembered[0]})"
    if any(payload.get(name) for name in _SERVED_TOOLS):
        return "it uses tools of the provider, whose results are billed as input"
    tools = payload.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type", "function") if isinstance(tool, Mapping) else "function"
        if not str(kind).startswith(_CLIENT_TOOLS):
            return f"it uses a tool of the provider ({str(kind)[:40]}), whose results are billed as input"
    if any(part.get("type") in _OUTSIDE for part in _parts(payload, _DEPTH)):
        return "it brings a document, whose pages cannot be counted from here"
    return None


def _is_id(prompt: object) -> bool:
    """Whether `prompt` names one that the provider keeps (Responses), not one that is there (Completions)."""
    return isinstance(prompt, Mapping)


def _choices(payload: Mapping[str, Any]) -> int:
    wanted = [value for name in ("n", "best_of") if isinstance(value := payload.get(name), int)]
    prompts = payload.get("prompt")
    several = len(prompts) if isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list) else 1
    return max([1, *wanted]) * several


def _thinking_budget(payload: Mapping[str, Any]) -> int | None:
    """Tokens that the model may think before it writes; 0 when it may as long as it likes; None: it does not."""
    thinking = payload.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") != "disabled":
        budget = thinking.get("budget_tokens")
        return budget if isinstance(budget, int) and budget > 0 else 0
    return 0 if payload.get("reasoning") or payload.get("reasoning_effort") else None


def _shows_all(model: str | None, payload: Mapping[str, Any]) -> bool:
    return (model or "").startswith(LEASED_MODELS) and payload.get("modalities", ["text"]) == ["text"]


def _allowance_key(flavour: str, model: str, payload: Mapping[str, Any]) -> str | None:
    """The field that states the allowance, else the one that this model knows; None: there is none."""
    keys = _ALLOWANCES.get(flavour, ())
    stated = next((key for key in keys if payload.get(key) is not None), None)
    if stated is not None or not keys:
        return stated
    return keys[0] if model.startswith(ALLOWED_BEFORE_THINKING) else keys[-1]


def _size_of(value: object) -> int:
    return len(str(value).encode("utf-8", "replace")) if value else 0


def _has_hour(payload: Mapping[str, Any]) -> bool:
    """Whether a part of the prompt is to be cached for an hour, which costs more than the usual five minutes."""
    return any(
        isinstance(control := part.get("cache_control"), Mapping) and control.get("ttl") == "1h"
        for part in _parts(payload, _DEPTH)
    )
