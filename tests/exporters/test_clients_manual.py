"""The manual's page for other people's tools: what it tells them to call is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from taximeter.server.otlp_in import PATHS

PAGE = (Path(__file__).parents[2] / "docs" / "integrations" / "clients.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
SERVER = "http://127.0.0.1:8787"
GATEWAY = {"/openai/v1", "/anthropic"}
"""The two providers that are there in any case, with what their clients put behind a base URL."""


def snippets(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


def exported(section: str) -> dict[str, str]:
    lines = "\n".join(snippets(section, "sh"))
    return {name: value.strip('"') for name, value in re.findall(r"^export (\w+)=(.*)$", lines, re.MULTILINE)}


def test_every_address_is_one_that_the_server_has() -> None:
    found = {address.removeprefix(SERVER) for address in re.findall(r"http://[^\s\"`]+", PAGE)}
    assert found == {"", *GATEWAY}


def test_the_collector_exports_signals_that_are_taken_where_they_are_taken() -> None:
    (written,) = snippets("OpenTelemetry Collector", "yaml")
    settings = yaml.safe_load(written)
    ((name, exporter),) = settings["exporters"].items()
    assert name.partition("/")[0] == "otlphttp"
    assert exporter["endpoint"] == SERVER
    assert exporter["headers"]["authorization"].startswith("Bearer ")
    for signal, pipeline in settings["service"]["pipelines"].items():
        assert f"/v1/{signal}" in PATHS
        assert pipeline["exporters"] == [name]


def test_claude_code_sends_its_log_events_in_a_form_that_is_spoken() -> None:
    said = exported("Claude Code")
    assert said["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert "/v1/logs" in PATHS
    assert said["OTEL_EXPORTER_OTLP_ENDPOINT"] == SERVER
    assert said["OTEL_EXPORTER_OTLP_HEADERS"].startswith("authorization=Bearer")
    assert said["ANTHROPIC_BASE_URL"] == SERVER + "/anthropic"


def test_litellms_proxy_calls_the_gateway() -> None:
    (written,) = snippets("LiteLLM's proxy", "yaml")
    (model,) = yaml.safe_load(written)["model_list"]
    assert model["litellm_params"]["api_base"] == SERVER + "/openai/v1"


@pytest.mark.parametrize("section", ["Cursor", "Open WebUI", "Vercel AI SDK"])
def test_tools_with_a_base_url_have_that_of_the_gateway(section: str) -> None:
    assert SERVER + "/openai/v1" in SECTIONS[section]
