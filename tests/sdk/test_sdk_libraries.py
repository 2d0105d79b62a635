"""What is metered of which library, when, and who is said to have answered."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from mistralai.azure.client import MistralAzure
from mistralai.gcp.client import MistralGCP
from replay import Provider, Written, agrees, case

import taximeter
from taximeter.sdk.hosts import host_of
from taximeter.sdk.instruments import LIBRARIES, uninstrument_all
from taximeter.sdk.instruments.importing import WhenImported

DOCS = Path(__file__).parents[2] / "docs" / "sdk.md"


@pytest.mark.parametrize(
    ("base_url", "library", "provider"),
    [
        ("https://api.openai.com/v1/", "openai", "openai"),
        ("https://api.groq.com/openai/v1", "openai", "groq"),
        ("https://api.deepseek.com", "openai", "deepseek"),
        ("https://api.x.ai/v1", "openai", "x-ai"),
        ("https://openrouter.ai/api/v1", "openai", "openrouter"),
        ("https://api.perplexity.ai", "openai", "perplexity"),
        ("https://api.together.xyz/v1", "openai", "together"),
        ("https://api.fireworks.ai/inference/v1", "openai", "fireworks"),
        ("https://api.mistral.ai/v1", "openai", "mistral"),
        ("https://api.cohere.ai/compatibility/v1", "openai", "cohere"),
        ("http://localhost:11434/v1", "openai", "ollama"),
        ("http://127.0.0.1:8000/v1", "openai", "openai"),
        ("https://acme.openai.azure.com/openai", "openai", "azure"),
        ("https://acme.services.ai.azure.com/openai/v1", "openai", "azure"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "openai", "google"),
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi", "openai",
         "google-vertex"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/", "aws", "aws"),
        ("https://llm.acme.example/v1", "openai", "llm.acme.example"),
    ],
)  # fmt: skip
def test_the_provider_is_named_for_the_host(base_url: str, library: str, provider: str) -> None:
    assert host_of(base_url, None, library).provider == provider


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/", "eu-west-1"),
        ("https://us-east5-aiplatform.googleapis.com/v1", "us-east5"),
        ("https://api.anthropic.com", None),
    ],
)
def test_the_region_is_that_of_the_host(base_url: str, region: str | None) -> None:
    assert host_of(base_url, None).region == region


@pytest.mark.parametrize(
    ("region", "host"),
    [("us-east5", "us-east5-aiplatform.googleapis.com"), ("global", "aiplatform.googleapis.com")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_claude_at_vertex_is_counted_with_its_region(tmp_path: Path, region: str, host: str, stream: bool) -> None:
    """In a region it costs a tenth more than worldwide."""
    recorded = case("anthropic-stream-basic" if stream else "anthropic-cache-write-1h")
    body = recorded["response"]["body"].encode()
    asked = list[str]()

    def answers(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        kind = "text/event-stream" if stream else "application/json"
        return httpx2.Response(200, content=body, headers={"content-type": kind})

    taximeter.init(data=tmp_path)
    http = httpx2.Client(transport=httpx2.MockTransport(answers))
    client = taximeter.instrument(
        anthropic.AnthropicVertex(region=region, project_id="p", access_token="t", http_client=http)
    )
    said: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []}
    answer = client.messages.create(stream=stream, **said)
    if stream:
        list(answer)
    event = Written(tmp_path).event
    taximeter.shutdown()
    assert asked == [host]
    assert (event["provider"], event["region"]) == ("google-vertex", region)
    agrees(event, recorded["expected"])


def test_google_is_known_by_the_path_below_which_it_speaks_openais_protocol() -> None:
    assert host_of("https://generativelanguage.googleapis.com/v1beta/openai/", None).prefix == "/v1beta/openai"
    assert host_of("https://api.openai.com/v1", None).prefix == ""


def run(code: str, data: Path) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"TAXIMETER_DATA": str(data), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_nobody_imports_is_not_imported_and_what_is_imported_later_is_metered(tmp_path: Path) -> None:
    said = run(
        """
        import sys, taximeter
        found = taximeter.instrument_all()
        print("groq" in found, "groq" in sys.modules, "botocore" in sys.modules)
        import groq, botocore.client
        for patched in (groq.Groq.request, botocore.client.BaseClient._make_api_call):
            print(hasattr(patched, "__wrapped__"))
        print(type(groq.__spec__.loader).__module__)
        """,
        tmp_path,
    )
    assert said.splitlines() == ["True False False", "True", "True", "_frozen_importlib_external"]


MISTRAL_OF_VERSION_1 = {
    "__init__": "from .basesdk import BaseSDK",
    "client": "",
    "utils": "def retry(func, retries): ...\nasync def retry_async(func, retries): ...",
    "basesdk": """
        from mistralai import utils
        class BaseSDK:
            def do_request(self, hook_ctx, request): ...
            async def do_request_async(self, hook_ctx, request): ...
        """,
}
"""Where the library had its parts before version 2: module → source."""


@pytest.mark.parametrize(
    "order",
    ["import taximeter; taximeter.instrument_all(); import mistralai", "import mistralai; taximeter.instrument_all()"],
    ids=["imported later", "imported before"],
)
def test_mistralai_of_version_1_is_metered_where_it_has_its_parts(tmp_path: Path, order: str) -> None:
    (tmp_path / "mistralai").mkdir()
    for module, source in MISTRAL_OF_VERSION_1.items():
        (tmp_path / "mistralai" / f"{module}.py").write_text(textwrap.dedent(source))
    said = run(
        f"""
        import sys, taximeter
        sys.path.insert(0, {str(tmp_path)!r})
        {order}
        print(hasattr(mistralai.BaseSDK.do_request, "__wrapped__"))
        """,
        tmp_path,
    )
    assert said == "True"


def mistral_at_azure(url: str) -> Any:
    return MistralAzure(api_key="k", server_url=url)


def mistral_at_vertex(url: str) -> Any:
    return MistralGCP(project_id="p", access_token="k", server_url=url)


ASKED: dict[str, Any] = {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "?"}]}


def whole(client: Any) -> None:
    with client:
        client.chat.complete(**ASKED)


def streamed(client: Any) -> None:
    with client:
        list(client.chat.stream(**ASKED))


def asynchronously(client: Any) -> None:
    async def run() -> None:
        async with client:
            await client.chat.complete_async(**ASKED)

    asyncio.run(run())


@pytest.mark.parametrize("one_by_one", [True, False], ids=["one client", "all"])
@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (whole, "mistral-num-cached-tokens"),
        (streamed, "mistral-stream"),
        (asynchronously, "mistral-num-cached-tokens"),
    ],
)
@pytest.mark.parametrize(
    ("make", "called"),
    [(mistral_at_azure, ("azure", "/models/chat")), (mistral_at_vertex, ("google-vertex", "/v1/projects/p/"))],
)
def test_the_clients_of_mistralai_for_azure_and_vertex_are_metered_as_its_own(
    make: Callable[[str], Any],
    called: tuple[str, str],
    ask: Callable[[Any], None],
    answer: str,
    one_by_one: bool,
    provider: Provider,
    written: Written,
) -> None:
    recorded = case(answer)
    provider.says(recorded)
    client = make(provider.url)
    if one_by_one:
        taximeter.instrument(client)
    else:
        taximeter.instrument_all()
    try:
        ask(client)
    finally:
        uninstrument_all()
    agrees(written.event, recorded["expected"])
    assert (written.event["provider"], written.event["request_model"]) == (called[0], "mistral-small-latest")
    assert provider.requests[-1][0].startswith(called[1])


def test_a_module_that_is_there_is_seen_to_at_once() -> None:
    seen: list[str] = []
    WhenImported().wait("sys", lambda: seen.append("sys"))
    assert seen == ["sys"]


def test_a_library_that_is_asked_after_before_it_is_imported_is_metered(tmp_path: Path) -> None:
    said = run(
        """
        import taximeter
        taximeter.instrument_all()
        from importlib.util import find_spec
        print(find_spec("groq").name, find_spec("groq").origin == find_spec("groq").loader.get_filename())
        import groq
        print(hasattr(groq.Groq.request, "__wrapped__"))
        """,
        tmp_path,
    )
    assert said.splitlines() == ["groq True", "True"]


def test_finders_that_ask_one_another_find_a_library_all_the_same(tmp_path: Path) -> None:
    said = run(
        """
        import sys, taximeter
        class Asking:
            def find_spec(self, *asked):
                others = (finder for finder in sys.meta_path if finder is not self)
                return next(filter(None, (finder.find_spec(*asked) for finder in others)), None)
        sys.meta_path.insert(0, Asking())
        taximeter.instrument_all()
        import groq
        print(hasattr(groq.Groq.request, "__wrapped__"))
        """,
        tmp_path,
    )
    assert said == "True"


def test_a_library_that_can_be_imported_only_the_second_time_is_seen_to_then(tmp_path: Path) -> None:
    (tmp_path / "early_library.py").write_text("import sys\nsys.ready.pop()")
    said = run(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        sys.ready = []
        from taximeter.sdk.instruments.importing import WHEN_IMPORTED
        WHEN_IMPORTED.wait("early_library", lambda: print("seen"))
        try:
            import early_library
        except IndexError:
            sys.ready.append(1)
        import early_library
        """,
        tmp_path,
    )
    assert said == "seen"


def test_a_library_that_fails_while_it_is_imported_fails_as_ever(tmp_path: Path) -> None:
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('its own')")
    said = run(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from taximeter.sdk.instruments.importing import WHEN_IMPORTED
        WHEN_IMPORTED.wait("broken_library", lambda: print("never"))
        try:
            import broken_library
        except RuntimeError as error:
            print(error)
        """,
        tmp_path,
    )
    assert said == "its own"


def test_the_manual_names_every_library() -> None:
    manual = DOCS.read_text()
    assert [library.name for library in LIBRARIES if f"| `{library.name}` |" not in manual] == []


def test_the_manual_says_who_yields_to_whom() -> None:
    manual = DOCS.read_text()
    for layer in (1, 2):
        (row,) = [line for line in manual.splitlines() if line.startswith(f"| {layer} |")]
        assert [library.name for library in LIBRARIES if (f"`{library.name}`" in row) != (library.layer == layer)] == []
