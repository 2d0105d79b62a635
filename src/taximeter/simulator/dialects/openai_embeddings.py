"""OpenAI embeddings."""

from __future__ import annotations

import base64
import zlib
from array import array
from collections.abc import Mapping
from random import Random
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Block, bad_request, optional_count, required_text, text_block
from taximeter.simulator.dialects import Dialect, route
from taximeter.simulator.dialects.openai_chat import OPENAI
from taximeter.simulator.drafting import Draft

_LONGEST = 3072
_NUMBERS = array("f", (Random(7).gauss(0, 0.03) for _ in range(2 * _LONGEST)))  # noqa: S311 - any vector will do


class OpenAIEmbeddings(Dialect):
    manners = OPENAI
    operation = "embeddings"
    api = "openai.embeddings"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return Ask(
            body=body, model=required_text(body, "model"), blocks=_blocks(body.get("input")), max_output_tokens=0
        )

    def whole(self, draft: Draft) -> bytes:
        body = draft.asked
        size = optional_count(body, "dimensions") or _usual_size(draft.model)
        as_base64 = body.get("encoding_format") == "base64"
        tokens = draft.usage.input_tokens
        return msgspec.json.encode(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": i, "embedding": _written(block.text, size, as_base64)}
                    for i, block in enumerate(_blocks(body.get("input")))
                ],
                "model": draft.model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


def _blocks(asked: object) -> tuple[Block, ...]:
    if isinstance(asked, str) and asked:
        return (text_block(asked),)
    if not isinstance(asked, list) or not asked:
        raise bad_request("'$.input' is invalid.", "input")
    if isinstance(asked[0], int):
        return (Block("", len(asked)),)
    return tuple(text_block(part) if isinstance(part, str) else Block("", len(part)) for part in asked)


def _usual_size(model: str) -> int:
    return 3072 if model.endswith("-large") else 1536


def vector(text: str, size: int) -> list[float]:
    """The same numbers for the same text, `size` of them (at most 3,072)."""
    return _numbers(text, size).tolist()


def _numbers(text: str, size: int) -> array[float]:
    start = zlib.crc32(text.encode()) % _LONGEST
    return _NUMBERS[start : start + min(size, _LONGEST)]


def _written(text: str, size: int, as_base64: bool) -> str | list[float]:
    return base64.b64encode(_numbers(text, size).tobytes()).decode() if as_base64 else vector(text, size)


ROUTES: Final = (route("/v1/embeddings", OpenAIEmbeddings()),)
