"""docs/configuration.md and the settings say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taximeter.config.file import parse
from taximeter.config.known import KNOWN
from taximeter.config.reference import markdown, providers
from taximeter.config.settings import Provider, Settings
from taximeter.errors import ConfigurationError

DOCS = Path(__file__).parents[2] / "docs"
MANUAL = (DOCS / "configuration.md").read_text()
OF_THE_GATEWAY = (DOCS / "gateway.md").read_text()


def test_the_table_of_settings_is_the_one_rendered_from_the_models() -> None:
    between = re.search(r"<!-- settings -->\n(.*)\n<!-- /settings -->", MANUAL, re.DOTALL)
    assert between is not None
    assert between[1].strip() == markdown(), "run: python -m taximeter.config.reference docs/configuration.md"


VARIABLES = re.findall(r"^\| `(\w+)` \| (?:`(.*)`|none|needed) \| `(TAXIMETER_[A-Z_]+)` \|", MANUAL, re.MULTILINE)


@pytest.mark.parametrize(("setting", "default", "variable"), VARIABLES, ids=[row[2] for row in VARIABLES])
def test_a_variable_of_the_manual_is_not_passed_over(setting: str, default: str, variable: str) -> None:
    section = variable.removeprefix("TAXIMETER_").removesuffix(f"_{setting.upper()}").lower()
    assert is_taken_or_refused(section, setting, {variable: default or "7"})


def is_taken_or_refused(section: str, setting: str, environment: dict[str, str]) -> bool:
    try:
        return setting in getattr(parse("", environment), section).model_fields_set
    except ConfigurationError as refused:
        return section in str(refused)


def test_every_setting_has_a_description() -> None:
    models = [Provider, *(f.annotation for f in Settings.model_fields.values())]
    for model in models:
        for name, field in getattr(model, "model_fields", {}).items():
            assert field.description, name


def test_the_examples_are_valid() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", MANUAL + OF_THE_GATEWAY, re.DOTALL)
    assert examples
    for example in examples:
        parse(example, {"OPENAI_API_KEY": "x"})


def test_the_table_of_providers_is_the_one_that_is_used() -> None:
    between = re.search(r"<!-- providers -->\n(.*)\n<!-- /providers -->", OF_THE_GATEWAY, re.DOTALL)
    assert between is not None
    assert between[1].strip() == providers(), "run: python -m taximeter.config.reference"


def test_every_known_provider_works_with_a_key_in_the_environment_and_nothing_else() -> None:
    for name, known in KNOWN.items():
        if not known.key_variables:
            continue
        environment = {known.key_variables[0]: "sk", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"}
        provider = parse("", environment).providers[name]
        assert (provider.kind, provider.api_key is not None) == (known.kind, True)
        assert provider.base_url.startswith("https://")
