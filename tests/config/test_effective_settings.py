"""The settings in force may be shown to an administrator: where each is from, and no secret in any of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from taximeter.config.effective import MASK, Origin, ShownSetting, effective, shown_text
from taximeter.config.file import Loaded, load

PLANTED = "pl4nted"
SECRETS = f"""
providers:
  openai: {{base_url: "https://host/{PLANTED}c?key={PLANTED}d", api_key: {PLANTED}e}}
  local: {{kind: openai, base_url: "http://127.0.0.1:9", proxy: "http://{PLANTED}f:{PLANTED}g@proxy:3128"}}
store:
  events: clickhouse://u:{PLANTED}h@clickhouse:8123/db?password={PLANTED}i
  metadata: postgresql://u:{PLANTED}j@postgres:5432/db?sslpassword={PLANTED}k
  counters: redis://:{PLANTED}l@redis:6379/0
alerts:
  channels:
    slack: {{kind: slack, token: {PLANTED}m, channel: "#alerts"}}
    hook: {{kind: webhook, url: "https://hooks/{PLANTED}n", headers: {{authorization: {PLANTED}o}}}}
exporters:
  to:
    datadog: {{kind: datadog, api_key: {PLANTED}p}}
"""


def loaded(tmp_path: Path, text: str, environment: dict[str, str]) -> Loaded:
    path = tmp_path / "taximeter.yaml"
    path.write_text(text)
    return load(path, environment)


def shown(read: Loaded) -> dict[str, ShownSetting]:
    sections = effective(read.settings, read.origins)
    return {setting.name: setting for section in sections for setting in section.settings}


def told(read: Loaded) -> str:
    return json.dumps([asdict(section) for section in effective(read.settings, read.origins)], default=str)


def test_no_secret_of_a_file_and_its_environment_is_ever_shown(tmp_path: Path) -> None:
    read = loaded(tmp_path, SECRETS, {"ANTHROPIC_API_KEY": f"{PLANTED}q", "HTTPS_PROXY": f"http://u:{PLANTED}r@p:1"})
    assert PLANTED not in told(read)
    assert PLANTED in "".join(map(str, read.settings.store.metadata)), "it was planted where it is used"


def test_every_text_of_a_provider_that_is_an_address_or_a_secret_is_masked(tmp_path: Path) -> None:
    found = shown(loaded(tmp_path, SECRETS, {}))
    assert found["providers.openai.api_key"].value == MASK
    assert found["providers.openai.base_url"].value == f"https://host/{MASK}"
    assert found["providers.local.base_url"].value == "http://127.0.0.1:9"
    assert found["providers.local.api_key"].value is None
    assert found["store.metadata"].value == f"postgresql://postgres:5432/{MASK}"
    assert found["store.counters"].value == f"redis://redis:6379/{MASK}"
    assert found["alerts.channels"].value == {
        "slack": {"kind": "slack", "token": MASK, "channel": MASK},
        "hook": {"kind": "webhook", "url": MASK, "headers": MASK},
    }


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://u:PLANTED#x@host/db", f"postgresql://host/{MASK}"),
        ("postgresql://u:p[PLANTED@host:5432/db", f"postgresql://host:5432/{MASK}"),
        ("postgresql://u:PLANTED@x@host/db", f"postgresql://host/{MASK}"),
        ("postgresql://u:PLANTED@[host/db", f"postgresql://{MASK}"),
    ],
)
def test_of_an_address_that_no_parser_agrees_about_nothing_of_the_password_is_shown(address: str, told: str) -> None:
    assert shown_text(address) == told


FILE = """
server: {port: 9000, session_hours: 12}
providers:
  openai: {api_key: sk-of-the-file}
limits:
  - {name: daily, scope: global, measure: requests, limit: 5, window: day}
rules:
  - {name: dear, measure: cost_usd, critical: "> 50"}
"""
ENVIRONMENT = {
    "TAXIMETER_SERVER_PORT": "9001",
    "TAXIMETER_PROVIDERS_OPENAI_KEY_HEADER": "x-key",
    "GEMINI_API_KEY": "g",
    "AZURE_OPENAI_API_KEY": "a",
    "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com",
}


@pytest.mark.parametrize(
    ("name", "value", "origin"),
    [
        ("server.host", "0.0.0.0", Origin("command line", "--host")),
        ("server.port", 9001, Origin("environment", "TAXIMETER_SERVER_PORT")),
        ("server.session_hours", 12.0, Origin("file", "2")),
        ("server.auth", "required", Origin("default")),
        ("providers.openai.api_key", MASK, Origin("file", "4")),
        ("providers.openai.base_url", f"https://api.openai.com/{MASK}", Origin("default")),
        ("providers.openai.key_header", "x-key", Origin("environment", "TAXIMETER_PROVIDERS_OPENAI_KEY_HEADER")),
        ("providers.gemini.api_key", MASK, Origin("environment", "GEMINI_API_KEY")),
        ("providers.gemini.base_url", "https://generativelanguage.googleapis.com", Origin("default")),
        ("providers.azure.base_url", "https://mine.openai.azure.com", Origin("environment")),
        ("limits", ["daily"], Origin("file", "5")),
        ("rules", ["dear"], Origin("file", "7")),
        ("retention.events_days", None, Origin("default")),
        ("alerts.channels", {}, Origin("default")),
    ],
)
def test_where_each_setting_is_from(tmp_path: Path, name: str, value: Any, origin: Origin) -> None:
    read = loaded(tmp_path, FILE, ENVIRONMENT).with_flags("server", {"host": "0.0.0.0", "port": None})
    setting = shown(read)[name]
    assert (setting.value, setting.origin) == (value, origin)


def test_every_section_of_the_manual_is_shown_with_what_it_means(tmp_path: Path) -> None:
    read = loaded(tmp_path, FILE, {})
    sections = effective(read.settings, read.origins)
    assert [section.name for section in sections] == list(type(read.settings).model_fields)
    assert all(setting.about for section in sections for setting in section.settings)
