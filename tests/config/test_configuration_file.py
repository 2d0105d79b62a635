"""taximeter.yaml: what it means, and everything that can be wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from taximeter.config.file import load, parse
from taximeter.errors import ConfigurationError

FROM_THE_MANUAL = """\
providers:
  openai:    {base_url: https://api.openai.com/v1, api_key: ${OPENAI_API_KEY}}
  anthropic: {base_url: https://api.anthropic.com, api_key: ${ANTHROPIC_API_KEY}}
  local:     {kind: openai, base_url: http://127.0.0.1:9000/v1}
store:       {events: embedded, metadata: embedded, counters: memory}
"""


def mistakes(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, environment or {})
    return [str(mistake) for mistake in caught.value.mistakes]


def test_without_a_file_openai_and_anthropic_exist_with_the_keys_of_the_environment() -> None:
    providers = parse("", {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}).providers
    assert {name: (p.kind, p.base_url) for name, p in providers.items()} == {
        "openai": ("openai", "https://api.openai.com/v1"),
        "anthropic": ("anthropic", "https://api.anthropic.com"),
    }
    keys = {name: p.api_key.get_secret_value() for name, p in providers.items() if p.api_key}
    assert keys == {"openai": "sk-1", "anthropic": "sk-2"}


def test_the_example_of_the_manual_is_read_with_references_inside_braces() -> None:
    settings = parse(FROM_THE_MANUAL, {"OPENAI_API_KEY": "sk-1"})
    assert settings.providers["local"].base_url == "http://127.0.0.1:9000/v1"
    assert settings.providers["openai"].api_key is not None
    assert settings.providers["anthropic"].api_key is None, "an unset key means that clients bring their own"


@pytest.mark.parametrize("text", ["off", '"off"'])
def test_auth_is_off_with_or_without_quotes(text: str) -> None:
    assert parse(f"server: {{auth: {text}}}", {}).server.auth == "off"
    assert parse("", {"TAXIMETER_SERVER_AUTH": text.strip('"')}).server.auth == "off"


def test_a_provider_in_the_file_adds_to_the_defaults() -> None:
    providers = parse("providers: {openai: {api_key: sk-file}, groq: {base_url: https://api.groq.com/openai/v1}}", {})
    assert list(providers.providers) == ["openai", "anthropic", "groq"]
    assert providers.providers["openai"].base_url == "https://api.openai.com/v1"
    assert providers.providers["groq"].kind == "openai"


@pytest.mark.parametrize(
    ("text", "environment", "name", "base_url"),
    [
        ("providers: {groq: {}}", {}, "groq", "https://api.groq.com/openai/v1"),
        ("providers: {groq: }", {}, "groq", "https://api.groq.com/openai/v1"),
        ("providers: {groq: {base_url: https://own}}", {"GROQ_API_KEY": "k"}, "groq", "https://own"),
        ("", {"TAXIMETER_PROVIDERS_COHERE_API_KEY": "k"}, "cohere", "https://api.cohere.com"),
        ("", {"AWS_BEARER_TOKEN_BEDROCK": "k"}, "bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com"),
        ("providers: {bedrock: {}}", {"AWS_REGION": "eu-west-1"}, "bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ("providers: {azure: {}}", {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"}, "azure", "https://r.openai.azure.com"),
    ],
)  # fmt: skip
def test_a_known_name_brings_its_address(text: str, environment: dict[str, str], name: str, base_url: str) -> None:
    assert parse(text, environment).providers[name].base_url == base_url


def test_a_known_name_without_a_key_that_nobody_names_is_not_served() -> None:
    assert set(parse("", {"GROQ_API_KEY": "k"}).providers) == {"openai", "anthropic", "groq"}


def test_an_address_that_only_the_customer_knows_is_asked_for() -> None:
    assert mistakes("providers: {azure: {api_key: k}}") == ["line 1: providers.azure.base_url: is needed"]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:secret@db:5432/taximeter",
        "postgres://me:sec%40ret@a:1,b:2/taximeter?sslmode=require",
        "postgresql://db?user=me&password=secret",
        "postgresql:///taximeter",
    ],
)
def test_metadata_may_be_on_postgresql(address: str) -> None:
    settings = parse(f"store: {{metadata: '{address}'}}", {})
    assert settings.store.metadata == address
    assert address not in repr(settings)


@pytest.mark.parametrize(
    "address",
    [
        "me:secret@db/taximeter",
        "mysql://me:secret@db/taximeter",
        "postgresql://me:se@cret@db/x",
        "postgresql://me:se/secret@db/x",
        "postgresql://me:1?secret@db/x",
    ],
)
def test_what_is_no_address_of_metadata_is_refused_and_not_shown(address: str) -> None:
    [mistake] = mistakes("", {"TAXIMETER_STORE_METADATA": address})
    assert "store.metadata (TAXIMETER_STORE_METADATA): should" in mistake
    assert "secret" not in mistake


def test_secrets_do_not_show() -> None:
    settings = parse("providers: {openai: {api_key: sk-very-secret}}", {})
    assert "sk-very-secret" not in repr(settings)
    assert "sk-very-secret" not in str(mistakes("providers: {openai: {api_key: [sk-very-secret]}}"))


@pytest.mark.parametrize("url", ["http://user:PW@host/v1", "ftp://user:PW@host", "user:PW@host", "http://a:P@W@host"])
def test_a_password_in_an_address_is_refused_and_not_shown(url: str) -> None:
    (told,) = mistakes(f"providers: {{local: {{base_url: '{url}'}}}}")
    assert "PW" not in told
    assert "P@W" not in told
    assert "***@host" in told


@pytest.mark.parametrize("url", ["ftp://host/v1?key=PW", "ftp://u:x@host/v1?key=PW&a=b", "ftp://host?PW@host"])
def test_what_a_wrong_address_asks_is_not_shown(url: str) -> None:
    (told,) = mistakes(f"providers: {{local: {{base_url: '{url}'}}}}")
    assert "PW" not in told
    assert "ftp://" in told


@pytest.mark.parametrize("url", ["http://", "http://h:port/v1", "http://h:65536", "http://[::1]:x", "https://:443"])
def test_an_address_without_a_host_or_with_an_odd_port_is_a_mistake(url: str) -> None:
    (told,) = mistakes(f"providers: {{local: {{base_url: '{url}'}}}}")
    assert "should name a host" in told


@pytest.mark.parametrize("url", ["http://h:8080", "http://[::1]:80/v1", "http://[::1]", "https://h/v1:x"])
def test_an_address_may_have_a_port(url: str) -> None:
    assert parse(f"providers: {{local: {{base_url: '{url}'}}}}", {}).providers["local"].base_url == url


def test_every_wrong_name_and_missing_file_is_told_beside_the_others() -> None:
    text = """\
providers:
  api: {base_url: http://h}
  v1: {base_url: http://h, ca_file: none.pem}
  Big.Name: {base_url: http://h}
  -x: {base_url: http://h}
prices: {overrides: none.yaml}
server: {port: many}
"""
    told = mistakes(text)
    assert [one.split(":")[0] for one in told] == [f"line {line}" for line in (2, 3, 3, 4, 5, 6, 7)]
    assert sum("cannot name a provider" in one for one in told) == 4
    assert sum("there is no file" in one for one in told) == 2


@pytest.mark.parametrize(("text", "line"), [("\n\0\1", 2), ("a: 1\nserver: {port: 2026-13-45}", 2), ("[" * 9000, None)])
def test_odd_files_are_mistakes_not_tracebacks(text: str, line: int | None) -> None:
    told = mistakes(text)
    assert any(one.startswith(f"line {line}: " if line else "file: ") for one in told)


def test_all_mistakes_come_at_once_with_their_lines() -> None:
    text = """\
providers:
  openai: {base_ulr: https://api.openai.com/v1}
  local:
    kind: openia
server:
  port: eighty
  hots: 0.0.0.0
gateway:
  read_timeout_seconds: -1
limits:
  - {name: monthly}
servre: {}
store: {events: "mysql://x"}
"""
    assert mistakes(text) == [
        "line 2: providers.openai.base_ulr: there is no such setting; did you mean 'base_url'?",
        "line 3: providers.local.base_url: is needed",
        "line 4: providers.local.kind: should be 'openai', 'anthropic', 'azure', 'bedrock', 'cohere', "
        "'gemini', 'mistral', 'ollama', 'voyage' or "
        "'xai', not 'openia'",
        "line 6: server.port: should be a valid integer, unable to parse string as an integer, not 'eighty'",
        "line 7: server.hots: there is no such setting; did you mean 'host'?",
        "line 9: gateway.read_timeout_seconds: should be greater than 0, not -1",
        "line 11: limits[0].measure: is needed: one of cost_usd, input_tokens, output_tokens, total_tokens, requests, "
        "concurrent",
        "line 11: limits[0].scope: is needed: global, an attribute with `each: true`, or {attribute: value}",
        "line 11: limits[0].limit: is needed",
        "line 11: limits[0].window: is needed: one of minute, hour, day, week, month, rolling, lifetime",
        "line 12: servre: there is no such setting; did you mean 'server'?",
        "line 13: store.events: should be 'embedded', or an address that begins with clickhouse:// or clickhouses://, "
        "not 'mysql://x'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: [1", "line 1: file: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("- a\n- b", "line 1: file: should be a mapping of settings"),
        ("server:\n  port: 1\n  port: 2", "line 3: server.port: is given twice"),
        ("server: 5", "line 1: server: should be a valid dictionary or instance of ServerSettings, not 5"),
        ("server:\n  host: ${NOWHERE}", "line 2: server.host: the variable NOWHERE is not set"),
        ("server:\n  host: a${NOWHERE}", "line 2: server.host: the variable NOWHERE is not set"),
        ("providers: {api: {base_url: http://x}}", "the path /api is taximeter's own"),
        ("providers: {'a/b': {base_url: http://x}}", "small letters, digits, '-' and '_' only ([a-z0-9][a-z0-9_-]*)"),
        ("providers:\n  x: {base_url: ftp://x}", "should begin with http:// or https://"),
        ("providers: 7", "line 1: providers: should be a valid dictionary"),
        ("prices: {overrides: nowhere.yaml}", "there is no file nowhere.yaml"),
        ("server: {host: !!python/object:x y}", "line 1: file: not YAML: could not determine a constructor"),
    ],
)
def test_one_mistake(text: str, expected: str) -> None:
    found = mistakes(text)
    assert len(found) == 1, found
    assert expected in found[0]


def test_references_have_defaults_and_fill_parts_of_values() -> None:
    text = "server: {host: ${HOST:-0.0.0.0}, port: ${PORT}}\nproviders: {x: {base_url: http://h:1/${BASE}/v1}}"
    settings = parse(text, {"PORT": "99", "BASE": "h: {evil}"})
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 99)
    assert settings.providers["x"].base_url == "http://h:1/h: {evil}/v1", "a variable is text within one value"


def test_variables_override_the_file() -> None:
    environment = {
        "TAXIMETER_SERVER_PORT": "9999",
        "TAXIMETER_PROVIDERS_OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "TAXIMETER_PROVIDERS_MY_HOST_API_KEY": "k",
        "TAXIMETER_URL": "http://of-the-sdk",
    }
    settings = parse("server: {port: 1}\nproviders: {my-host: {base_url: http://x}}", environment)
    assert settings.server.port == 9999
    assert settings.providers["openai"].base_url == "http://127.0.0.1:1/v1"
    assert settings.providers["my-host"].api_key is not None


def test_a_misspelt_variable_is_a_mistake() -> None:
    expected = "TAXIMETER_SERVER_PROT: there is no such setting; did you mean 'TAXIMETER_SERVER_PORT'?"
    assert mistakes("", {"TAXIMETER_SERVER_PROT": "1"}) == [expected]


def test_merge_keys_and_anchors_work() -> None:
    text = "providers:\n  a: &a {base_url: http://a, kind: anthropic}\n  b: {<<: *a, base_url: http://b}"
    providers = parse(text, {}).providers
    assert (providers["b"].kind, providers["b"].base_url) == ("anthropic", "http://b")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("models: []")
    (tmp_path / "taximeter.yaml").write_text("prices: {overrides: prices.yaml}")
    loaded = load(tmp_path / "taximeter.yaml", {})
    assert loaded.settings.prices.overrides == tmp_path / "prices.yaml"


def test_the_file_is_found_by_name_then_variable_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIMETER_CONFIG", raising=False)
    assert load(environment={}).path is None
    Path("taximeter.yaml").write_text("server: {port: 1}")
    Path("other.yaml").write_text("server: {port: 2}")
    assert load(environment={}).settings.server.port == 1
    monkeypatch.setenv("TAXIMETER_CONFIG", "other.yaml")
    assert load(environment={}).settings.server.port == 2
    assert load(Path("taximeter.yaml"), {}).settings.server.port == 1


def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"server: {host: \xff}")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(tmp_path / "latin.yaml", {})


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("providers: {openai: {retries: {on: [429, 5xx, often]}}}", "should be a status such as 429"),
        ("providers: {openai: {retries: {attempts: 0}}}", "should be greater than or equal to 1"),
        ("providers: {openai: {retries: {atempts: 2}}}", "did you mean 'attempts'?"),
        ("providers: {openai: {fallback: [groq/llama]}}", "there is no provider for 'groq/llama'"),
        ("providers: {openai: {fallback: [anthropic]}}", "speaks another protocol (anthropic) than openai (openai)"),
        ("providers: {openai: {client_cert_file: none.pem}}", "there is no file none.pem"),
    ],
)
def test_what_is_wrong_with_a_policy_or_a_file_is_told(text: str, mistake: str) -> None:
    assert any(mistake in one for one in mistakes(text)), mistakes(text)


def test_a_policy_is_read() -> None:
    text = """\
providers:
  openai: {retries: {attempts: 3, on: [429, 5xx], backoff_seconds: 0}, fallback: [groq/openai/gpt-oss-120b, mistral]}
  groq: {}
  mistral: {}
"""
    openai = parse(text, {}).providers["openai"]
    assert openai.retries is not None
    assert (openai.retries.attempts, openai.retries.on) == (3, ("429", "5xx"))
    assert openai.fallback == ("groq/openai/gpt-oss-120b", "mistral")


@pytest.mark.parametrize("text", ["", "store: {events: embedded}\nserver: {port: 1}"])
def test_a_mistake_in_a_variable_is_told_by_its_name_and_no_line_of_the_file(text: str) -> None:
    (told,) = mistakes(text, {"TAXIMETER_SERVER_PORT": "abc"})
    assert told.startswith("server.port (TAXIMETER_SERVER_PORT): should be a valid integer")
