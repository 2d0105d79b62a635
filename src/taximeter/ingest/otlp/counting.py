"""What the counts of an emitter include: does the input hold the cache, does the output hold the reasoning.

The conventions say yes since 1.40; emitters differ, even one emitter between providers. The rules, in this order:

1. a part that is larger than its whole cannot be in it: add
2. a total that is the sum with the parts says that they are apart: add
3. the table says it
4. otherwise as the conventions have it: included

Which rule decided is kept with the event, so that a doubt can be settled later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

GEMINI: Final = frozenset({"google", "google-vertex"})

CLAUDES_CLOUDS: Final = frozenset({"aws-bedrock", "azure", "google", "google-vertex"})
"""Where Claude answers as it does at Anthropic. Elsewhere (OpenRouter, LiteLLM's proxy) it answers in OpenAI's form,
whose input has the cache."""


@dataclass(frozen=True, slots=True)
class Habit:
    """What an emitter's counts mean. None: this row does not say."""

    input_has_cache: bool | None = None
    output_has_reasoning: bool | None = None


INCLUSIVE: Final = Habit(input_has_cache=True, output_has_reasoning=True)
CACHE_APART: Final = Habit(input_has_cache=False, output_has_reasoning=True)
THOUGHTS_APART: Final = Habit(input_has_cache=True, output_has_reasoning=False)

ANY: Final = "*"

HABITS: Final[Mapping[tuple[str, str], Habit]] = {
    ("openllmetry", "anthropic"): INCLUSIVE,
    ("openllmetry", "aws-bedrock"): CACHE_APART,
    ("openllmetry", "google"): THOUGHTS_APART,
    ("openllmetry", "google-vertex"): THOUGHTS_APART,
    ("openllmetry.langchain", ANY): INCLUSIVE,
    ("openllmetry-js", "google"): THOUGHTS_APART,
    ("openllmetry-js", "google-vertex"): THOUGHTS_APART,
    ("openllmetry-js", ANY): INCLUSIVE,
    ("openlit.langchain", ANY): INCLUSIVE,
    ("openlit.claude-agent", ANY): INCLUSIVE,
    ("openlit.litellm", ANY): INCLUSIVE,
    ("openlit", "anthropic"): CACHE_APART,
    ("openlit", "aws-bedrock"): CACHE_APART,
    ("openlit", "google"): THOUGHTS_APART,
    ("openlit", "google-vertex"): THOUGHTS_APART,
    ("openinference", "anthropic"): INCLUSIVE,
    ("openinference", "aws-bedrock"): CACHE_APART,
    ("openinference.bedrock", ANY): CACHE_APART,
    ("openinference.bedrock-invoke-claude", ANY): INCLUSIVE,
    ("openinference.claude-agent", ANY): CACHE_APART,
    ("openinference.langchain", ANY): INCLUSIVE,
    ("openinference.litellm", ANY): INCLUSIVE,
    ("openinference.agno", "anthropic"): CACHE_APART,
    ("openinference.agno", "aws-bedrock"): CACHE_APART,
    ("openinference.pipecat", "anthropic"): CACHE_APART,
    ("openinference.pipecat", "aws-bedrock"): CACHE_APART,
    ("openinference.pipecat", "google"): THOUGHTS_APART,
    ("openinference.pipecat", "google-vertex"): THOUGHTS_APART,
    ("openinference", "google"): INCLUSIVE,
    ("openinference", "google-vertex"): INCLUSIVE,
    ("logfire", ANY): INCLUSIVE,
    ("pydantic-ai", ANY): INCLUSIVE,
    ("sentry", ANY): INCLUSIVE,
    ("anthropic-sdk", ANY): INCLUSIVE,
    ("otel", ANY): INCLUSIVE,
    ("otel.botocore", "aws-bedrock"): CACHE_APART,
    ("vercel.5", "anthropic"): CACHE_APART,
    ("vercel.5", "aws-bedrock"): CACHE_APART,
    ("vercel.6", ANY): INCLUSIVE,
    ("vercel.7", ANY): INCLUSIVE,
    ("litellm", ANY): INCLUSIVE,
    ("strands.litellm", ANY): INCLUSIVE,
    ("strands", "anthropic"): CACHE_APART,
    ("strands", "aws-bedrock"): CACHE_APART,
    ("google-adk.2", "google"): THOUGHTS_APART,
    ("google-adk.2", "google-vertex"): THOUGHTS_APART,
    ("google-adk", "google"): INCLUSIVE,
    ("google-adk", "google-vertex"): INCLUSIVE,
    ("agent-framework", "anthropic"): CACHE_APART,
    ("agent-framework", "aws-bedrock"): CACHE_APART,
    ("agent-framework", "google"): THOUGHTS_APART,
    ("spring-ai", "anthropic"): CACHE_APART,
    ("spring-ai", "aws-bedrock"): CACHE_APART,
    ("pipecat", "anthropic"): CACHE_APART,
    ("pipecat", "aws-bedrock"): CACHE_APART,
    ("pipecat", "google"): THOUGHTS_APART,
    ("pipecat", "google-vertex"): THOUGHTS_APART,
    ("tanstack", "anthropic"): CACHE_APART,
    ("tanstack", "google"): THOUGHTS_APART,
    ("mlflow.anthropic", ANY): CACHE_APART,
    ("mlflow.bedrock", ANY): CACHE_APART,
    ("genkit", "anthropic"): CACHE_APART,
    ("genkit", "aws-bedrock"): CACHE_APART,
    ("genkit", "google"): Habit(output_has_reasoning=False),
    ("genkit", "google-vertex"): Habit(output_has_reasoning=False),
    ("langsmith", "google"): THOUGHTS_APART,
    ("langsmith", "google-vertex"): THOUGHTS_APART,
    ("langsmith", ANY): INCLUSIVE,
    ("langfuse.keys", ANY): INCLUSIVE,
    ("langfuse.raw", ANY): INCLUSIVE,
    ("claude-code", ANY): CACHE_APART,
    ("claude-cowork", ANY): CACHE_APART,
    ("codex", ANY): INCLUSIVE,
    ("gemini-cli", ANY): THOUGHTS_APART,
    ("qwen-code", ANY): INCLUSIVE,
    (ANY, "openai"): INCLUSIVE,
    (ANY, "azure"): INCLUSIVE,
    (ANY, "groq"): Habit(input_has_cache=True),
    (ANY, "x-ai"): Habit(input_has_cache=True),
    (ANY, "google"): Habit(input_has_cache=True),
    (ANY, "google-vertex"): Habit(input_has_cache=True),
}
"""(emitter, provider) → what its counts mean. `langfuse.keys` has been added up where it was read. What is said of
`anthropic` holds for Claude at a cloud as well, where no row is about that cloud."""


class Given(NamedTuple):
    """The counts as they came. None is what was not said."""

    input: int | None
    output: int | None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    @property
    def cached(self) -> int:
        return (self.cache_read or 0) + (self.cache_write or 0)


class Counted(NamedTuple):
    """Input with its cache, output with its reasoning, and the rules that made them so; None where there was nothing
    to decide."""

    input: int | None
    output: int | None
    input_rule: str | None = None
    output_rule: str | None = None


PART_RULE: Final = "1 larger than its whole"
TOTAL_RULE: Final = "2 total"
CONVENTION_RULE: Final = "4 convention"
OVERLAP_RULE: Final = "1 parts overlap"
INFERRED_RULE: Final = "2 inferred from total"


def counted(given: Given, emitter: str, provider: str, model: str | None = None) -> Counted:
    """The counts with their parts inside, and which rule said so."""
    by_total = _apart_by_total(given)
    input_tokens, input_rule = given.input, None
    if given.cached:
        apart, input_rule = _cache_apart(given, by_total, emitter, provider, model or "")
        input_tokens = (given.input or 0) + given.cached if apart else given.input
    output, output_rule = given.output, None
    if given.reasoning:
        apart, output_rule = _reasoning_apart(given, by_total, emitter, provider)
        output = (given.output or 0) + given.reasoning if apart else given.output
    elif (thoughts := _thoughts_in_total(given, provider)) > 0:
        output, output_rule = (given.output or 0) + thoughts, INFERRED_RULE
    return Counted(input_tokens, output, input_rule, output_rule)


def _cache_apart(
    given: Given, by_total: tuple[bool, bool] | None, emitter: str, provider: str, model: str
) -> tuple[bool, str]:
    if given.cached > (given.input or 0):
        if provider == "openrouter" and "gemini" in model.lower():
            return False, OVERLAP_RULE
        return True, PART_RULE
    if by_total is not None:
        return by_total[0], TOTAL_RULE
    maker = "anthropic" if provider in CLAUDES_CLOUDS and "claude" in model.lower() else provider
    name, has_cache = _habit(emitter, provider, maker, "input_has_cache")
    return (not has_cache, f"3 {name}") if has_cache is not None else (False, CONVENTION_RULE)


def _reasoning_apart(given: Given, by_total: tuple[bool, bool] | None, emitter: str, provider: str) -> tuple[bool, str]:
    if (given.reasoning or 0) > (given.output or 0):
        return True, PART_RULE
    if by_total is not None:
        return by_total[1], TOTAL_RULE
    name, has_reasoning = _habit(emitter, provider, provider, "output_has_reasoning")
    return (not has_reasoning, f"3 {name}") if has_reasoning is not None else (False, CONVENTION_RULE)


def _apart_by_total(given: Given) -> tuple[bool, bool] | None:
    """Whether (cache, reasoning) lie outside, when exactly one reading makes the total; None when it says nothing.

    A total of input and output alone says nothing: some emitters add it up themselves.
    """
    if given.total is None or given.input is None or given.output is None:
        return None
    difference = given.total - given.input - given.output
    reasoning = given.reasoning or 0
    readings = ((True, False, given.cached), (False, True, reasoning), (True, True, given.cached + reasoning))
    fitting = [
        (cache, thoughts)
        for cache, thoughts, sum_of_parts in readings
        if difference == sum_of_parts > 0 and (given.cached or not cache) and (reasoning or not thoughts)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _thoughts_in_total(given: Given, provider: str) -> int:
    """Tokens of a Gemini answer that only its total knows: thoughts, or what tools put into the input."""
    if given.total is None or given.output is None or given.input is None:
        return 0
    if given.reasoning is not None or provider not in GEMINI:
        return 0
    difference = given.total - given.input - given.output
    return 0 if difference == given.cached else difference


@lru_cache(maxsize=1024)
def _habit(emitter: str, provider: str, maker: str, question: str) -> tuple[str, bool | None]:
    """The first row that answers: the emitter's part, the emitter's family, then any emitter; of each what it says of
    the provider, of the maker of the model there, of any provider."""
    family = emitter.partition(".")[0]
    own = [(name, who) for name in (emitter, family) for who in (provider, maker, ANY)]
    for row in (*own, (ANY, maker)):
        habit = HABITS.get(row)
        if habit is not None and (answer := getattr(habit, question)) is not None:
            return f"{row[0]}/{row[1]}", answer
    return "", None
