"""Which models belong together."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot import expressions as exp

from taximeter.store.events import families
from taximeter.store.events.families import Family, family

# fmt: off
MODELS = [
    ("gpt-4o",                                      "gpt-4o"),
    ("gpt-4o-2024-08-06",                           "gpt-4o"),
    ("openai/gpt-4o",                               "gpt-4o"),
    ("gpt-4o-mini-2024-07-18",                      "gpt-4o-mini"),
    ("gpt-4.1-mini",                                "gpt-4.1-mini"),
    ("gpt-4-0613",                                  "gpt-4"),
    ("o3-2025-04-16",                               "o3"),
    ("o3-mini",                                     "o3-mini"),
    ("claude-3-5-sonnet-20241022",                  "claude-sonnet"),
    ("us.anthropic.claude-sonnet-4-5-v1:0",         "claude-sonnet"),
    ("claude-haiku-4-5",                            "claude-haiku"),
    ("models/gemini-2.5-flash-lite",                "gemini-flash-lite"),
    ("gemini-2.5-pro",                              "gemini-pro"),
    ("meta-llama/Llama-3.3-70B-Instruct",           "llama-3"),
    ("our-own-model",                               "our-own-model"),
]
# fmt: on


@pytest.mark.parametrize(("model", "expected"), MODELS)
def test_a_model_has_its_family(model: str, expected: str) -> None:
    assert _evaluated(family(exp.Literal.string(model))) == expected


def test_no_model_has_no_family() -> None:
    assert _evaluated(family(exp.cast(exp.null(), "TEXT"))) is None


def test_the_first_family_that_is_met_counts() -> None:
    known = [Family("b", ("*b*",)), Family("ab", ("a*", "*c"))]
    assert [_evaluated(family(exp.Literal.string(model), known)) for model in ("ab", "axc", "zc", "z")] == [
        "b",
        "ab",
        "ab",
        "z",
    ]


def test_a_pattern_that_engines_read_differently_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("data") / "families.yaml"
    file.write_text('[{family: odd, patterns: ["50%"]}]')
    monkeypatch.setattr(families, "FILE", file)
    families.families.cache_clear()
    try:
        with pytest.raises(ValueError, match="50%"):
            families.families()
    finally:
        families.families.cache_clear()


def _evaluated(expression: exp.Expr) -> object:
    with duckdb.connect() as connection:
        (value,) = connection.execute(exp.select(expression).sql(dialect="duckdb")).fetchone() or (None,)
    return value
