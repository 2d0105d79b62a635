"""The manual's pages for other people's tools: what they tell them to call is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from taximeter.server.otlp_in import PATHS

FOLDER = Path(__file__).parents[2] / "docs" / "integrations" / "clients"
INDEX = FOLDER / "README.md"
PAGES = {file.stem: file.read_text() for file in sorted({*FOLDER.iterdir()} - {INDEX})}
SERVER = "http://127.0.0.1:8787"
GATEWAY = {"/openai/v1", "/anthropic"}
"""The two providers that are there in any case, with what their clients put behind a base URL."""


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def exported(page: str) -> dict[str, str]:
    lines = "\n".join(snippets(page, "sh"))
    return {name: value.strip('"') for name, value in re.findall(r"^export (\w+)=(.*)$", lines, re.MULTILINE)}


def test_every_address_is_one_that_the_server_has() -> None:
    text = "\n".join(PAGES.values())
    found = {address.removeprefix(SERVER) for address in re.findall(r"http://[^\s\"`]+", text)}
    assert found == {"", *GATEWAY}


def test_the_collector_exports_signals_that_are_taken_where_they_are_taken() -> None:
    (written,) = snippets("opentelemetry-collector", "yaml")
    settings = yaml.safe_load(written)
    ((name, exporter),) = settings["exporters"].items()
    assert name.partition("/")[0] == "otlphttp"
    assert exporter["endpoint"] == SERVER
    assert exporter["headers"]["authorization"].startswith("Bearer ")
    for signal, pipeline in settings["service"]["pipelines"].items():
        assert f"/v1/{signal}" in PATHS
        assert pipeline["exporters"] == [name]


def test_claude_code_sends_its_log_events_in_a_form_that_is_spoken() -> None:
    said = exported("claude-code")
    assert said["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert "/v1/logs" in PATHS
    assert said["OTEL_EXPORTER_OTLP_ENDPOINT"] == SERVER
    assert said["OTEL_EXPORTER_OTLP_HEADERS"].startswith("authorization=Bearer")
    assert said["ANTHROPIC_BASE_URL"] == SERVER + "/anthropic"


def test_litellms_proxy_calls_the_gateway() -> None:
    (written,) = snippets("litellm", "yaml")
    (model,) = yaml.safe_load(written)["model_list"]
    assert model["litellm_params"]["api_base"] == SERVER + "/openai/v1"


@pytest.mark.parametrize("page", ["cursor", "langchain", "open-webui", "vercel-ai-sdk"])
def test_tools_with_a_base_url_have_that_of_the_gateway(page: str) -> None:
    assert SERVER + "/openai/v1" in PAGES[page]


def test_the_index_has_every_page() -> None:
    assert sorted(re.findall(r"^\| \[[^]]+\]\((.+?)\.md\)", INDEX.read_text(), re.MULTILINE)) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_which_key_it_needs_and_how_it_is_tested(page: str) -> None:
    assert re.search(r"scope\s`(gateway|ingest)`", PAGES[page])
    assert re.search(r"\bin a\stest\b", PAGES[page], re.IGNORECASE)
    assert re.findall(r"\]\((?!\.\./|http)", PAGES[page]) == []
