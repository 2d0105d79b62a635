"""What is read: `RequestFacts` from a request, `Reading` from its answer."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from taximeter.core.facts import fact
from taximeter.core.usage import NOTHING_COUNTED, Usage

CHARACTERS_PER_TOKEN: Final = 4
"""Rule of thumb for English text and code; Chinese or Japanese text is nearer to one character per token."""


@fact(frozen=True, slots=True)
class RequestFacts:
    """What a request says about the call to come.

    `input_characters` is the size of its text (prompts, messages, tool definitions; no media), the basis of an
    estimate. `asks_for_stream_usage` is whether an OpenAI stream was told to end with its usage.

    `wanted` is what a job is asked for and its answer, fetched later, does not say again (`Flavour.begins_job`).
    `usage_id` is the job whose answer is fetched, where the body names it (see `Reading.usage_id`).
    `background`: it goes on when nobody listens to its stream any more, and can be fetched when it has ended.
    """

    operation: str
    model: str | None = None
    stream: bool = False
    max_output_tokens: int | None = None
    input_characters: int = 0
    asks_for_stream_usage: bool = False
    wanted: object = None
    usage_id: str | None = None
    background: bool = False


@fact(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an answer says about the call. Unknown is None, never zero.

    - `usage` has its parts inside their wholes already; `usage_conflict` says that something had to be cut for it
    - `usage_estimated`: a part of it is what the provider documents as usual, as nobody remembers what was asked for
    - `by_model` is filled only when several models answered; `usage` is then their sum
    - `not_billed`: the provider does not charge for this (an error, a token count)
    - `region`: where it was served, when the answer says so
    - `error_type`: the type of an error body, or of an error inside a stream that had begun well
    - `reported_cost_usd`: the price the provider itself names
    - `finished`: the body was complete, or the stream's terminal event was seen
    - `items`: the calls, when one answer holds several (`Flavour.several`): each becomes an event of its own; the
      counts of the whole are their sum
    - `usage_id`: the id under which this very usage is told again elsewhere, when that is not `response_id`: a batch
      and the file of its results have the same one. Whoever counted it counts no second one
    - `output_characters`: text seen, for an estimate when usage is missing: all of a stream so far (reasoning and
      tool arguments included), or of a whole answer that reports no usage
    """

    response_model: str | None = None
    usage: Usage = NOTHING_COUNTED
    usage_conflict: bool = False
    usage_estimated: bool = False
    by_model: tuple[tuple[str, Usage], ...] = ()
    not_billed: bool = False
    service_tier: str | None = None
    region: str | None = None
    response_id: str | None = None
    error_type: str | None = None
    reported_cost_usd: Decimal | None = None
    finished: bool = False
    output_characters: int = 0
    usage_id: str | None = None
    items: tuple[Reading, ...] = ()


NOTHING_READ: Final = Reading()


def of_what_is_told_later(reading: Reading) -> Reading:
    """The reading of a call whose cost is told by an answer that is fetched later: of its own it costs nothing."""
    return replace(reading, usage=NOTHING_COUNTED, output_characters=0, not_billed=True)


def estimated_tokens(characters: int) -> int:
    """Tokens that so much text comes to, by rule of thumb (`CHARACTERS_PER_TOKEN`), rounded up.

    Only for calls whose provider said nothing; the event is then marked `usage_estimated`.
    """
    return -(-max(characters, 0) // CHARACTERS_PER_TOKEN)
