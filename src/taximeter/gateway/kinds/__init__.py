"""Kinds of providers: how each protocol is called. A new one is a file here and a line below.

The names are those of `taximeter.config.known.KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taximeter.gateway.kinds.anthropic import ANTHROPIC
from taximeter.gateway.kinds.bedrock import BEDROCK
from taximeter.gateway.kinds.cohere import COHERE
from taximeter.gateway.kinds.gemini import GEMINI
from taximeter.gateway.kinds.kind import Kind, Signer
from taximeter.gateway.kinds.mistral import MISTRAL
from taximeter.gateway.kinds.ollama import OLLAMA
from taximeter.gateway.kinds.openai import AZURE, OPENAI, XAI
from taximeter.gateway.kinds.voyage import VOYAGE

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind for kind in (OPENAI, ANTHROPIC, AZURE, BEDROCK, COHERE, GEMINI, MISTRAL, OLLAMA, VOYAGE, XAI)
}

__all__ = ["KINDS", "OPENAI", "Kind", "Signer"]
