"""What instruments of frameworks share: a call that is counted only if nobody below counts it.

Whether somebody does is known when it is over, so such a call has no begin record. Its answer is told in OpenAI's
shape, which every framework can be brought into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from taximeter.extract import Reading, flavour_for
from taximeter.sdk import meter as meters
from taximeter.sdk.call import Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import Host
from taximeter.sdk.instruments.attempts import OK, Told
from taximeter.sdk.yielding import Watch, counted

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
EMBEDDINGS: Final = "/v1/embeddings"
COMPLETIONS: Final = "/v1/completions"

PROVIDERS: Final = {
    "amazon_bedrock": "aws",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "google_genai": "google",
    "google_vertexai": "google-vertex",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vertex_ai": "google-vertex",
    "vertex_ai_beta": "google-vertex",
    "voyage": "voyageai",
    "xai": "x-ai",
}
"""Frameworks' words for providers where ours differ."""


class Watched:
    """One call of a framework, from its begin to its end. Its methods run under the guard."""

    __slots__ = ("_cached", "_call", "_watch")

    def __init__(
        self,
        provider: str,
        path: str,
        body: Mapping[str, Any],
        *,
        region: str | None = None,
        reads_usage_chunks: bool = False,
    ) -> None:
        flavour = flavour_for("openai", "POST", path)
        if flavour is None:
            raise LookupError(path)
        meter = meters.meter()
        self._call = Call(meter, flavour, body, Host(PROVIDERS.get(provider, provider), region=region))
        self._cached = False
        self._watch = Watch(reads_usage_chunks)
        self._watch.begin()

    @property
    def provider(self) -> str:
        return self._call.host.provider

    def over(self) -> bool:
        """The framework has done its work. True when nobody below has counted it, so that we do."""
        self._watch.end()
        if self._watch.told:
            return False
        counted()
        return True

    def from_cache(self) -> None:
        """The framework has the answer already: nobody is asked for it."""
        self._cached = True

    def answered(self, told: Callable[[Any], object], result: Any) -> None:
        """`told(result)`: what the framework got, as an answer in OpenAI's shape."""
        self._call.headed(OK, 1)
        GUARD.run_or("answer", self._told, self._unreadable, told, result)

    def _told(self, told: Callable[[Any], object], result: Any) -> None:
        if self._cached:
            self._call.cached(told(result))
        else:
            self._call.answered(told(result))

    def _unreadable(self, _told: object, _result: object) -> None:
        self._call.unreadable(OK)

    def read(self, reading: Reading) -> None:
        """The same, read already."""
        self._call.headed(OK, 1)
        self._call.finish("error" if reading.error_type else "ok", reading)

    def failed(self, error: BaseException) -> None:
        status = getattr(error, "status_code", None)
        if isinstance(error, Exception) and isinstance(status, int):
            self._call.tried(Told(status, b""), error)
        else:
            self._call.failed(error)

    def begins_to_stream(self) -> None:
        self._call.headed(OK, 1)
        self._call.follow("")

    def took(self, event: Mapping[str, Any]) -> None:
        self._call.took_event(event)

    def exhausted(self) -> None:
        self._call.exhausted("cached" if self._cached else "ok")

    def let_go(self) -> None:
        if self._cached:
            self.exhausted()
        else:
            self._call.let_go()
