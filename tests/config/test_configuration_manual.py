"""docs/configuration.md and the settings say the same."""

from __future__ import annotations

import re
from pathlib import Path

from taximeter.config.file import parse
from taximeter.config.reference import markdown
from taximeter.config.settings import Provider, Settings

MANUAL = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def test_the_table_of_settings_is_the_one_rendered_from_the_models() -> None:
    between = re.search(r"<!-- settings -->\n(.*)\n<!-- /settings -->", MANUAL, re.DOTALL)
    assert between is not None
    assert between[1].strip() == markdown(), "run: python -m taximeter.config.reference docs/configuration.md"


def test_every_setting_has_a_description() -> None:
    models = [Provider, *(f.annotation for f in Settings.model_fields.values())]
    for model in models:
        for name, field in getattr(model, "model_fields", {}).items():
            assert field.description, name


def test_the_examples_are_valid() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
    assert examples
    for example in examples:
        parse(example, {"OPENAI_API_KEY": "x"})
