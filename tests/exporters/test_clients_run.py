"""The manual's pages for other people's tools, carried out: what each example sends is a call in the store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from collector_here import collecting
from server_rig import PATIENCE_SECONDS, Running, eventually, running
from test_clients_manual import PAGES, SERVER, snippets

from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

pytestmark = pytest.mark.timeout(360)
MAY_INSTALL = pytest.mark.timeout(900)

LOG_EVENT = """
import time
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

provider = LoggerProvider(resource=Resource.create({"service.name": "claude-code"}))
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
provider.get_logger("com.anthropic.claude_code.events").emit(LogRecord(
    timestamp=time.time_ns(),
    body="claude_code.api_request",
    attributes={"event.name": "api_request", "model": "claude-sonnet-4-5", "input_tokens": 12, "output_tokens": 20},
))
provider.shutdown()
"""
SPAN = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
names = {"operation.name": "chat", "provider.name": "openai", "request.model": "gpt-4o", "usage.input_tokens": 12,
         "usage.output_tokens": 20}
with provider.get_tracer("app").start_as_current_span("chat gpt-4o") as span:
    span.set_attributes({"gen_ai." + name: value for name, value in names.items()})
provider.shutdown()
"""
ANTHROPIC = """
import anthropic
anthropic.Anthropic().messages.create(
    model="claude-sonnet-5", max_tokens=50, messages=[{"role": "user", "content": "Hello"}]
)
"""
CHAT = """
import os, openai
client = openai.OpenAI(base_url=os.environ["OPENAI_API_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
assert client.models.list().data
messages = [{"role": "user", "content": "Hello"}]
assert list(client.chat.completions.create(model="gpt-4o", messages=messages, stream=True))
"""
ROUTER = """
import os, litellm, yaml
router = litellm.Router(model_list=yaml.safe_load(os.environ["SETTINGS"])["model_list"])
router.completion(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
"""


@dataclass(frozen=True)
class Here:
    server: Running

    def key(self, scope: str, name: str) -> str:
        """A key whose calls have its name as their feature."""
        told = {"name": name, "scope": scope, "attributes": {"feature": name}}
        made = httpx.post(
            self.server.url + "/api/v1/keys", json=told, headers=self.server.headers, timeout=PATIENCE_SECONDS
        )
        return str(made.raise_for_status().json()["key"])

    def calls(self, feature: str) -> list[dict[str, Any]]:
        question = {
            "measures": ["calls", "failed_calls", "input_tokens", "output_tokens", "unpriced_calls"],
            "filters": {"feature": feature},
            "group_by": ["provider"],
            "from": "1d",
        }
        url = self.server.url + "/api/v1/query"
        answer = httpx.post(url, json=question, headers=self.server.headers, timeout=PATIENCE_SECONDS)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["rows"]
        return found

    def assert_called(self, feature: str, provider: str) -> None:
        (row,) = eventually(lambda: self.calls(feature))
        assert (row["provider"], row["calls"], row["failed_calls"], row["unpriced_calls"]) == (provider, 1, 0, 0)
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0

    def written(self, text: str, key: str) -> str:
        """An example of the manual, with the address and a key of this server."""
        assert SERVER in text
        return text.replace(SERVER, self.server.url).replace("KEY\n", f"{key}\n").replace('KEY"\n', f'{key}"\n')


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with RunningSimulator(Settings(seed=5, output_tokens_median=10)) as simulator:
        settings = f"""
providers:
  openai: {{base_url: {simulator.openai_url}, api_key: sk-real}}
  anthropic: {{base_url: {simulator.anthropic_url}, api_key: sk-real}}
"""
        with running(tmp_path_factory.mktemp("clients"), settings) as server:
            yield Here(server)


def run(command: list[str], **environment: str) -> None:
    others = ("OPENAI_", "ANTHROPIC_", "OTEL_", "TAXIMETER_")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    patient = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OTEL_EXPORTER_OTLP_TIMEOUT": "90"}
    surroundings = {**mine, **patient, **environment}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def run_after(shell: str, program: str) -> None:
    """A program of Python in a shell that was told the lines of the manual."""
    run(["bash", "-euc", shell + '\nexec "$0" -c "$1"', sys.executable, program])


def test_no_page_has_an_example_that_is_not_run_below() -> None:
    examples = {page: re.findall(r"^```(\w+)$", text, re.MULTILINE) for page, text in PAGES.items()}
    assert examples == {
        "claude-code": ["sh", "sh"],
        "cursor": ["text"],
        "langchain": ["python"],
        "litellm": ["yaml", "python"],
        "open-webui": ["sh"],
        "opentelemetry-collector": ["yaml"],
        "vercel-ai-sdk": ["ts"],
    }


@pytest.mark.parametrize(
    ("page", "number", "scope", "program", "provider"),
    [
        ("claude-code", 0, "ingest", LOG_EVENT, "anthropic"),
        ("claude-code", 1, "gateway", ANTHROPIC, "anthropic"),
        ("open-webui", 0, "gateway", CHAT, "openai"),
    ],
)
def test_settings_in_a_shell(here: Here, page: str, number: int, scope: str, program: str, provider: str) -> None:
    feature = f"{page} {number}"
    run_after(here.written(snippets(page, "sh")[number], here.key(scope, feature)), program)
    here.assert_called(feature, provider)


def test_the_address_for_cursor(here: Here) -> None:
    (address,) = snippets("cursor", "text")
    key = here.key("gateway", "Cursor")
    url = here.written(address, key).strip()
    run([sys.executable, "-c", CHAT], OPENAI_API_BASE_URL=url, OPENAI_API_KEY=key)
    here.assert_called("Cursor", "openai")


def test_the_models_of_litellms_proxy(here: Here) -> None:
    (settings,) = snippets("litellm", "yaml")
    key = here.key("gateway", "proxy")
    program = [sys.executable, "-c", ROUTER]
    run(program, SETTINGS=settings.replace(SERVER, here.server.url), TAXIMETER_KEY=key)
    here.assert_called("proxy", "openai")


@pytest.mark.parametrize("page", ["litellm", "langchain"])
def test_python_through_the_gateway(here: Here, page: str) -> None:
    (example,) = snippets(page, "python")
    run([sys.executable, "-c", example.replace(SERVER, here.server.url)], TAXIMETER_KEY=here.key("gateway", page))
    here.assert_called(page, "openai")


@MAY_INSTALL
def test_the_vercel_ai_sdk(here: Here, javascript: Callable[..., str]) -> None:
    (example,) = snippets("vercel-ai-sdk", "ts")
    environment = {"TAXIMETER_KEY": here.key("gateway", "vercel")}
    javascript(example.replace(SERVER, here.server.url), environment=environment)
    here.assert_called("vercel", "openai")


@MAY_INSTALL
@pytest.mark.skipif(sys.platform != "linux", reason="the collector is a program for Linux")
def test_a_collector_sends_where_the_manual_says(here: Here, agent: Path, tmp_path: Path) -> None:
    (written,) = snippets("opentelemetry-collector", "yaml")
    (exporter,) = yaml.safe_load(written)["exporters"].values()
    said = exporter["headers"]["authorization"].replace("${env:TAXIMETER_KEY}", here.key("ingest", "collector"))
    to = exporter["endpoint"].replace(SERVER, here.server.url)
    with collecting(agent, tmp_path, to, "--otlp-exporter-custom-headers", f"authorization={said}") as url:
        run([sys.executable, "-c", SPAN], OTEL_EXPORTER_OTLP_ENDPOINT=url)
        here.assert_called("collector", "openai")
