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
from dataclasses import dataclass, replace
from typing import Any, Final

from taximeter.extract.gemini_options import options_named, spellings
from taximeter.extract.payload import count
from taximeter.extract.reading import RequestFacts
from taximeter.limits.allowances import DEFAULT_ALLOWANCE, allowance_key, key_for, usual_allowance
from taximeter.limits.outside import blocks, document_in, media_of, parts, thoughts_elsewhere, what_is_outside
from taximeter.limits.prompts import NOTHING_KNOWN, Known

BYTES_OF_A_TOKEN: Final = 1
"""The shortest token."""

MARKUP_TOKENS: Final = 16
"""Added by a provider for each message, at most; and as often for the request itself."""

TOOLS_TOKENS: Final = 1_024
"""Added by a provider to a request with tools: its instructions how to use them (Anthropic names up to 530)."""

IMAGE_TOKENS: Final[Mapping[str, int]] = {"anthropic": 5_000}
"""One image at its highest resolution, by family."""

DEAREST_IMAGE_TOKENS: Final = 50_000
"""One image of any other: OpenAI's dearest, of gpt-4o-mini, is 48,169."""

THOUGHT_TOKENS: Final = 128_000
"""What a model may have thought that its provider keeps and reads again: all that it may write at once."""

LEAST_OUTPUT: Final = 256
"""A call is not cut down below so many output tokens: it is refused instead."""

AFTER_THINKING: Final = 1_024
"""Output tokens that are left to a call that thinks first, behind its thinking budget."""

DOCUMENTS_OF_A_SEARCH: Final = 100
CHUNK_BYTES: Final = 250
"""A document beyond 500 tokens, the query among them, is billed as several. A token has a byte at least; the query
takes half of them at most."""

LEASED_MODELS: Final = ("gpt-3.5", "gpt-4o", "gpt-4.1", "gpt-4-", "claude-")
"""Models whose streams show every token they write, unless they think. Only of these streams is held by the slice:
what is written unseen would be billed without having been held."""

MOST_MODELS: Final = 16
"""That may answer a request; OpenRouter takes three."""

_WRITES_NOTHING: Final = frozenset({"embeddings", "rerank", "none"})
_WRITES: Final = frozenset({"chat", "text_completion", "generate_content"})
_IMAGES: Final = frozenset({"image", "image_url", "input_image"})


def tier_asked(payload: Mapping[str, Any]) -> str | None:
    """The tier that a request asks for, in the words of every protocol. A speed and a latency are tiers to us."""
    if payload.get("speed") == "fast":
        return "fast"
    performance = payload.get("performanceConfig")
    if isinstance(performance, Mapping) and performance.get("latency") == "optimized":
        return "latency_optimized"
    for name in ("service_tier", "serviceTier"):
        tier = payload.get(name)
        tier = tier.get("type") if isinstance(tier, Mapping) else tier
        if isinstance(tier, str):
            return tier
    return None


def models_beside(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Models that may answer in the place of the one that is asked for, in the words of OpenRouter."""
    named = payload.get("models")
    return tuple(str(name) for name in named[:MOST_MODELS]) if isinstance(named, list) else ()


@dataclass(frozen=True, slots=True)
class CallBound:
    """What a request can come to. `output_tokens` is its allowance for one choice; None: it states none.

    `unbounded` is why nothing can be said, None when something can. `fixed_output` is written beside the allowance, at
    most. `least_output` is the smallest allowance that makes sense. `searches` are units of search, of a reranking.
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
    searches: int = 0

    @property
    def clampable(self) -> bool:
        """Whether the request can be given a smaller allowance."""
        return self.allowance_key is not None


def bound_of(
    flavour: str | None,
    facts: RequestFacts,
    payload: Mapping[str, Any],
    size_bytes: int,
    known: Known = NOTHING_KNOWN,
) -> CallBound:
    """The bound of a request: its flavour's name, its facts, its JSON and the size of that.

    `known` is a beginning of its prompt whose tokens are known exactly.
    """
    if facts.operation in _WRITES_NOTHING:
        read = _input_of(flavour, payload, size_bytes, known) + _query_again(payload)
        return CallBound(read, 0, unbounded=document_in(payload), searches=_searches(payload))
    if flavour is None or facts.operation not in _WRITES:
        return CallBound(0, None, unbounded=f"what a call of '{facts.operation or 'this path'}' may cost is not known")
    thinking = _thinking_budget(payload)
    key = allowance_key(flavour, facts.model or "", payload)
    return CallBound(
        input_tokens=_input_of(flavour, payload, size_bytes, known),
        output_tokens=_stated(facts.max_output_tokens),
        choices=_choices(payload),
        fixed_output=_size_of(payload.get("prediction")),
        least_output=LEAST_OUTPUT if thinking is None else thinking + AFTER_THINKING,
        allowance_key=key,
        usual_allowance=usual_allowance(flavour, facts.model or ""),
        leased=facts.stream and thinking is None and _shows_all(facts.model, payload),
        caches_for_an_hour=_has_hour(payload),
        unbounded=what_is_outside(payload, facts.model or "") or _unseen_answer(payload),
    )


def charged_later(bound: CallBound) -> CallBound:
    """The bound of a request that begins what will cost something: a batch, a video, a session of somebody's own."""
    why = "it begins what is charged for later, or where nobody sees it"
    return replace(bound, unbounded=why, allowance_key=None, leased=False)


def with_model(bound: CallBound, model: str) -> CallBound:
    """The bound of the same request to another model."""
    key = bound.allowance_key if bound.output_tokens is not None else key_for(model, bound.allowance_key)
    allowance = min(bound.usual_allowance, usual_allowance("", model))
    return replace(
        bound, leased=bound.leased and model.startswith(LEASED_MODELS), allowance_key=key, usual_allowance=allowance
    )


def _input_of(flavour: str | None, payload: Mapping[str, Any], size_bytes: int, known: Known) -> int:
    payload = known.rest_of(payload)
    messages = payload.get("messages") or payload.get("input") or payload.get("contents") or ()
    several = len(messages) if isinstance(messages, list) else 1
    family = (flavour or "").partition(".")[0]
    added = MARKUP_TOKENS * (several + 1) + _images(payload) * IMAGE_TOKENS.get(family, DEAREST_IMAGE_TOKENS)
    added += THOUGHT_TOKENS * thoughts_elsewhere(payload)
    if any(payload.get(name) for name in ("tools", "functions", "toolConfig")):
        added += TOOLS_TOKENS
    return known.tokens + max(size_bytes - known.size_bytes, 0) // BYTES_OF_A_TOKEN + added


def _stated(allowance: int | None) -> int | None:
    """An allowance; None where it is none: -1 means "without end" to Ollama and others."""
    return allowance if allowance is None or allowance >= 0 else None


def _query_again(payload: Mapping[str, Any]) -> int:
    """A reranking reads its query beside each document; its tokens are counted as often (Voyage)."""
    documents = payload.get("documents")
    return _size_of(payload.get("query")) * len(documents) if isinstance(documents, list) else 0


def _searches(payload: Mapping[str, Any]) -> int:
    """Units that a reranking is billed by at most (Cohere): a hundred documents, of which long ones count as several.

    https://docs.cohere.com/docs/rerank-overview
    """
    documents = payload.get("documents")
    sizes = [_size_of(one) for one in documents] if isinstance(documents, list) else []
    return -(-sum(size // CHUNK_BYTES + 1 for size in sizes) // DOCUMENTS_OF_A_SEARCH)


def _images(payload: Mapping[str, Any]) -> int:
    """How many images a prompt has; their bytes say little of their tokens."""
    named = sum(1 for part in parts(payload) if part.get("type") in _IMAGES)
    for one in (payload, *_messages(payload)):  # Ollama's messages, what Cohere embeds
        named += len(images) if isinstance(images := one.get("images"), list) else 0
    return named + sum(1 for block in blocks(payload) if _is_image(block))


def _messages(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    messages = payload.get("messages")
    for one in messages if isinstance(messages, list) else ():
        if isinstance(one, Mapping):
            yield one


def _is_image(block: Mapping[str, Any]) -> bool:
    untyped = "image" in block and "type" not in block
    return untyped or (media_of(block) or "").startswith("image/")


def hears(payload: Mapping[str, Any]) -> bool:
    """Whether sound is read or written, whose tokens have rates of their own."""
    spoken = "audio" in (payload.get("modalities") or ())
    shown = any(part.get("type") == "input_audio" for part in parts(payload))
    return spoken or shown or any((media_of(block) or "").startswith("audio/") for block in blocks(payload))


def _unseen_answer(payload: Mapping[str, Any]) -> str | None:
    """Why what an answer writes has no bound in tokens: it may draw, or speak (Gemini)."""
    if len(options_named(payload, "maxOutputTokens")) > 1:
        return "it states its allowance twice"
    wanted = [asked for asked in options_named(payload, "responseModalities") if asked]
    return None if all(asked == ["TEXT"] for asked in wanted) else "it may answer with more than text"


def _choices(payload: Mapping[str, Any]) -> int:
    stated = (payload.get("n"), payload.get("best_of"), *options_named(payload, "candidateCount"))
    wanted = [whole for value in stated if (whole := count(value)) is not None]
    prompts = payload.get("prompt")
    several = len(prompts) if isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list) else 1
    return max([1, *wanted]) * several


def _thinking_budget(payload: Mapping[str, Any]) -> int | None:
    """Tokens that the model may think before it writes; 0 when it may as long as it likes; None: it does not."""
    passed_on = payload.get("additionalModelRequestFields")
    thinking = payload.get("thinking") or (passed_on.get("thinking") if isinstance(passed_on, Mapping) else None)
    if isinstance(thinking, Mapping) and thinking.get("type") != "disabled":
        return _positive(thinking.get("budget_tokens"))
    for thinking in options_named(payload, "thinkingConfig"):
        if isinstance(thinking, Mapping):
            return max(_positive(thinking.get(name)) for name in spellings("thinkingBudget"))
    return 0 if payload.get("reasoning") or payload.get("reasoning_effort") else None


def _positive(budget: object) -> int:
    return budget if isinstance(budget, int) and budget > 0 else 0


def _shows_all(model: str | None, payload: Mapping[str, Any]) -> bool:
    return (model or "").startswith(LEASED_MODELS) and payload.get("modalities", ["text"]) == ["text"]


def _size_of(value: object) -> int:
    return len(str(value).encode("utf-8", "replace")) if value else 0


def _has_hour(payload: Mapping[str, Any]) -> bool:
    """Whether some of the prompt is to be cached for longer than is usual, which costs more: for an hour (Anthropic,
    Bedrock), for twelve (OpenAI)."""
    return any(
        isinstance(control := part.get(name), Mapping) and control.get("ttl") in ("1h", "12h")
        for part in parts(payload)
        for name in ("cache_control", "cachePoint", "prompt_cache_options")
    )
