"""OpenAI embeddings."""

from __future__ import annotations

import base64
import zlib
from array import array
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import msgspec

from taximeter.simulator.asking import Ask, Block, bad_request, optional_count, required_text, text_block
from taximeter.simulator.dialects import Piece
from taximeter.simulator.drafting import Draft

_LONGEST = 3072
_NUMBERS = array("f", (Random(7).gauss(0, 0.03) for _ in range(2 * _LONGEST)))  # noqa: S311 - any vector will do


class OpenAIEmbeddings:
    provider = "openai"
    operation = "embeddings"
    api = "openai.embeddings"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return Ask(
            body=body, model=required_text(body, "model"), blocks=_blocks(body.get("input")), max_output_tokens=0
        )

    def response_id(self, _number: str) -> None:
        return None

    def whole(self, draft: Draft) -> bytes:
        body = draft.asked
        size = min(optional_count(body, "dimensions") or _usual_size(draft.model), _LONGEST)
        as_base64 = body.get("encoding_format") == "base64"
        tokens = draft.usage.input_tokens
        return msgspec.json.encode(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": i, "embedding": _vector(block.text, size, as_base64)}
                    for i, block in enumerate(_blocks(body.get("input")))
                ],
                "model": draft.model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    def streamed(self, draft: Draft, _tokens_per_piece: int) -> Iterator[Piece]:
        yield self.whole(draft), 0


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


def _vector(text: str, size: int, as_base64: bool) -> str | list[float]:
    start = zlib.crc32(text.encode()) % _LONGEST
    numbers = _NUMBERS[start : start + size]
    return base64.b64encode(numbers.tobytes()).decode() if as_base64 else numbers.tolist()
