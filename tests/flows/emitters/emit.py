"""Calls with the real client libraries, watched by a real instrumentation that sends OTLP: `emit.py NAME`.

It runs in an environment that holds nothing but the libraries of requirements/emitters/NAME.txt. Where the providers
are and where OTLP goes is in the environment: `PROVIDERS_URL`, `OTEL_EXPORTER_OTLP_*`, `LEDGER_TAG`; with `WITH_SDK`
taximeter's own SDK watches too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

TAG = os.environ["LEDGER_TAG"]
HEADERS = {"X-Ledger-Tag": TAG}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
MANUAL = "manual " * 1500
LONG: list[Any] = [{"role": "system", "content": MANUAL}, *HELLO]
CACHED: list[Any] = [{"type": "text", "text": MANUAL, "cache_control": {"type": "ephemeral"}}]


# ── instrumentations ────────────────────────────────────────────────────────────────────────────────────────────


def _exporting() -> Any:
    """OpenTelemetry's own SDK, sending batches over HTTP."""
    exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
    sdk = import_module("opentelemetry.sdk.trace")
    provider = sdk.TracerProvider()
    provider.add_span_processor(import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor(exporter))
    import_module("opentelemetry.trace").set_tracer_provider(provider)
    return provider


def _instrumented(*instrumentors: tuple[str, str]) -> Callable[[], None]:
    provider = _exporting()
    for module, name in instrumentors:
        getattr(import_module(module), name)().instrument(tracer_provider=provider)
    flush: Callable[[], None] = provider.force_flush
    return flush


def openllmetry() -> Callable[[], None]:
    place = "opentelemetry.instrumentation"
    return _instrumented((f"{place}.openai", "OpenAIInstrumentor"), (f"{place}.anthropic", "AnthropicInstrumentor"))


def openinference() -> Callable[[], None]:
    place = "openinference.instrumentation"
    return _instrumented((f"{place}.openai", "OpenAIInstrumentor"), (f"{place}.anthropic", "AnthropicInstrumentor"))


def otel_genai() -> Callable[[], None]:
    place = "opentelemetry.instrumentation.genai"
    return _instrumented((f"{place}.openai", "OpenAIInstrumentor"), (f"{place}.anthropic", "AnthropicInstrumentor"))


def otel_v2() -> Callable[[], None]:
    return _instrumented(("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor"))


def openlit() -> Callable[[], None]:
    import_module("openlit").init(disable_metrics=True)
    flush: Callable[[], None] = import_module("opentelemetry.trace").get_tracer_provider().force_flush
    return flush


def logfire() -> Callable[[], None]:
    library = import_module("logfire")
    library.configure(send_to_logfire=False, console=False, service_name=TAG)
    library.instrument_openai()
    library.instrument_anthropic()
    flush: Callable[[], None] = library.force_flush
    return flush


def langfuse() -> Callable[[], None]:
    """Langfuse's client sends to `/api/public/otel` of its own host; the exporter is what it lets be replaced."""
    provider = _exporting()
    client = import_module("langfuse").Langfuse(
        public_key="pk-lf-x", secret_key="sk-lf-x", base_url="http://127.0.0.1:9", tracer_provider=provider
    )
    del client
    import_module("langfuse.openai")
    flush: Callable[[], None] = provider.force_flush
    return flush


EMITTERS: dict[str, Callable[[], Callable[[], None]]] = {
    "openllmetry": openllmetry,
    "openinference": openinference,
    "openlit": openlit,
    "logfire": logfire,
    "otel-genai": otel_genai,
    "otel-v2": otel_v2,
    "langfuse": langfuse,
}


# ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────


def clients() -> tuple[Any, Any, Any]:
    url, key = os.environ["PROVIDERS_URL"], os.environ.get("PROVIDERS_KEY", "sk-x")
    openai_url = os.environ.get("OPENAI_URL", f"{url}/v1")
    anthropic_url = os.environ.get("ANTHROPIC_URL", url)
    openai = import_module("langfuse.openai" if sys.argv[1] == "langfuse" else "openai")
    options = {"api_key": key, "max_retries": 0, "default_headers": HEADERS}
    anthropic = import_module("anthropic").Anthropic(base_url=anthropic_url, **options)
    return openai.OpenAI(base_url=openai_url, **options), openai.AsyncOpenAI(base_url=openai_url, **options), anthropic


def openai_calls(gpt: Any) -> None:
    chat = gpt.chat.completions.create
    chat(model="gpt-4o-mini", messages=HELLO)
    for _ in range(2):
        chat(model="gpt-4o", messages=LONG)
    list(chat(model="gpt-4o-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    chat(model="o3-mini", messages=HELLO)
    with suppress(Exception):
        chat(model="gpt-4o-mini", messages=HELLO, extra_headers={"X-Simulator-Fault": "bad_request"})


def further_openai_calls(gpt: Any) -> None:
    gpt.responses.create(model="gpt-5-mini", input="hello")
    list(gpt.responses.create(model="gpt-5-mini", input="hello", stream=True))
    gpt.embeddings.create(model="text-embedding-3-small", input="hello there")


async def an_asynchronous_call(gpt: Any) -> None:
    await gpt.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    await gpt.close()


def anthropic_calls(claude: Any) -> None:
    about: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 500}
    claude.messages.create(messages=HELLO, **about)
    for _ in range(2):
        claude.messages.create(system=CACHED, messages=HELLO, **about)


def main() -> None:
    flush = EMITTERS[sys.argv[1]]()
    gpt, asynchronous, claude = clients()
    if os.environ.get("WITH_SDK"):
        taximeter = import_module("taximeter")
        taximeter.init(service=TAG)
        taximeter.instrument_all()
    openai_calls(gpt)
    further_openai_calls(gpt)
    asyncio.run(an_asynchronous_call(asynchronous))
    anthropic_calls(claude)
    flush()


if __name__ == "__main__":
    main()
