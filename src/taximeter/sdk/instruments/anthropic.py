"""`anthropic`: the Anthropic API, and Claude at Bedrock, Vertex AI and Azure through the same library."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from taximeter.sdk.instruments.stainless import Instrument
from taximeter.sdk.instruments.stainless_call import Dialect


def _path_at_bedrock(options: Any) -> str:
    """Where the library will send a message: it puts the model into the path after we have looked."""
    body = options.json_data
    if not isinstance(body, dict) or not options.url.partition("?")[0].endswith(("/messages", "/complete")):
        return str(options.url)
    verb = "invoke-with-response-stream" if body.get("stream") else "invoke"
    return f"/model/{quote(str(body.get('model')), safe='')}/{verb}"


_PLAIN: Final = Dialect("anthropic", "anthropic")
_BEDROCK: Final = Dialect("anthropic", "bedrock", path_of=_path_at_bedrock)

INSTRUMENTS: Final = (
    Instrument(_PLAIN, "Anthropic", "AsyncAnthropic"),
    Instrument(_BEDROCK, "AnthropicBedrock", "AsyncAnthropicBedrock"),
    Instrument(_PLAIN, "AnthropicBedrockMantle", "AsyncAnthropicBedrockMantle"),
    Instrument(_PLAIN, "AnthropicVertex", "AsyncAnthropicVertex"),
)
