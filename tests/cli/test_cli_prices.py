"""`taximeter prices`: shown with their origin, set, checked, imported, refreshed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running_server import Done, taximeter

from taximeter.pricing.snapshot import bundled
from taximeter.pricing.snapshot_file import dump


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def prices(data: Path, *arguments: str) -> Done:
    return taximeter("prices", *arguments, TAXIMETER_DATA=str(data), TAXIMETER_CONFIG=str(_config(data)))


def _config(data: Path) -> Path:
    """A configuration of the test's own, so that none of the machine's is read."""
    path = data.with_name("taximeter.yaml")
    if not path.exists():
        path.write_text("{}")
    return path


def shown(data: Path, *arguments: str) -> dict[str, Any]:
    done = prices(data, "show", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["prices"]
    return {**row, "rates": {rate["rate"]: rate["usd"] for rate in row["rates"]}, "all": row["rates"]}


# ── show ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "usd"),
    [
        (["gpt-4o", "--at", "2024-06-01"], ("5", "15")),
        (["gpt-4o", "--at", "2026-11-20"], ("2.5", "10")),
        (["gpt-4o", "--at", "2026-11-20", "--tier", "batch"], ("1.25", "5")),
        (["claude-opus-5", "--at", "2026-11-20", "--region", "us"], ("5.5", "27.5")),
        (["gpt-4.1", "--provider", "azure", "--at", "2026-11-20", "--region", "data-zone-eu"], ("2.2", "8.8")),
    ],
)
def test_a_price_is_shown_as_it_was(data: Path, arguments: list[str], usd: tuple[str, str]) -> None:
    row = shown(data, *arguments)
    assert (row["rates"]["input"], row["rates"]["output"]) == usd


def test_every_rate_names_layer_and_rule(data: Path) -> None:
    prices(data, "set", "gpt-4o", "--output", "8", "--from", "2026-11-01", "--rate", "input=2", "--source", "contract")
    row = shown(data, "gpt-4o", "--at", "2026-11-20")
    rules = {rate["rate"]: rate["trail"][-1]["rule"] for rate in row["all"]}
    assert rules["output"] == "override:openai/gpt-4o@2026-11-01"
    assert rules["web_searches"] == "corrections:openai/*"
    assert {rate["trail"][-1]["source"] for rate in row["all"] if rate["rate"] == "output"} == {"contract"}


def test_people_see_a_table(data: Path) -> None:
    done = prices(data, "show", "gpt-4o", "--at", "2024-06-01")
    assert done.returncode == 0
    assert "genai-prices:openai/gpt-4o-2024-05-13" in done.stdout
    assert "from 2024-05-13T00:00:00.000000Z until 2024-10-02T00:00:00.000000Z" in done.stderr


def test_an_unknown_model_is_a_no_with_names_to_choose_from(data: Path) -> None:
    done = prices(data, "show", "gpt-4oo")
    assert done.returncode == 1
    assert "no price: unknown_provider" in done.stdout
    assert "gpt-4o" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", "gpt-4o", "--at", "soon"], "--at soon: not a day or an instant"),
        (["set", "gpt-4o", "--rate", "input"], "--rate input: not NAME=USD"),
        (["set", "nobody-knows-it", "--input", "1"], "say whose price it is with --provider"),
        (["set", "gpt-4o", "--input", "-1"], "is negative"),
        (["set", "gpt-4o", "--input", "five"], "should be a decimal number"),
        (["set", "gpt-4o", "--input", "0"], "needs 'free: true'"),
        (["set", "gpt-4o"], "says no price"),
        (["check", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["import", "nowhere.json", "--format", "litellm"], "cannot be read"),
        (["refresh", "--from", "nowhere.json"], "cannot be read"),
        (["refresh", "--from", "nowhere.json", "--factor", "0.5"], ""),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(data: Path, arguments: list[str], expected: str) -> None:
    done = prices(data, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not data.exists()


# ── set ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_set_and_the_one_before_ends(data: Path) -> None:
    first = prices(data, "set", "gpt-4o", "--input", "4", "--output", "12", "--format", "json")
    second = prices(data, "set", "gpt-4o", "--input", "3", "--output", "9", "--from", "2026-12-01", "--format", "json")
    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads(second.stdout)["ended"] == ["override:openai/gpt-4o"]
    found = [shown(data, "gpt-4o", "--at", day)["rates"]["input"] for day in ("2026-11-30", "2026-12-01")]
    assert found == ["4", "3"]


def test_a_discount_for_a_team(data: Path) -> None:
    prices(data, "set", "*", "--provider", "openai", "--multiply", "0.9", "--kind", "commitment", "--team", "core")
    at = ["gpt-4o", "--at", "2026-11-20"]
    assert shown(data, *at)["rates"]["input"] == "2.5"
    assert shown(data, *at, "--team", "core")["rates"]["input"] == "2.25"


def test_the_configured_file_is_the_one_that_is_written(data: Path) -> None:
    own = data.with_name("own.yaml")
    own.write_text("# our prices\nprices: []\n")
    _config(data).write_text(f"prices: {{overrides: {own}}}")
    assert prices(data, "set", "gpt-4o", "--input", "4").returncode == 0
    assert own.read_text().startswith("# our prices\n")
    assert shown(data, "gpt-4o")["rates"]["input"] == "4"
    assert not data.exists()


def test_a_unit_and_a_free_price(data: Path) -> None:
    prices(data, "set", "m", "--provider", "local", "--input", "0", "--free", "--unit", "pages=0.001")
    row = shown(data, "m", "--provider", "local")
    assert row["rates"] == {"input": "0", "pages": "0.001"}


# ── check ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_good_file_is_good(data: Path) -> None:
    file = data.with_name("good.yaml")
    file.write_text('prices:\n  - {provider: p, match: m, rates: {input: "1"}}\n')
    done = prices(data, "check", str(file))
    assert (done.returncode, "good, 1 prices" in done.stdout) == (0, True)


def test_all_mistakes_of_a_file_are_listed_with_their_lines(data: Path) -> None:
    file = data.with_name("bad.yaml")
    file.write_text(
        "prices:\n"
        '  - {provider: p, match: m, rates: {input: "-1"}}\n'
        "  - {provider: p, match: n, rates: {input: 0.30000000000000004}}\n"
        '  - {provider: p, match: o, rates: {inputs: "1"}}\n'
        '  - {provider: p, match: q, rates: {input: "0"}}\n'
    )
    done = prices(data, "check", str(file))
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["line 2", "line 3", "line 4", "line 5"]
    told = json.loads(prices(data, "check", str(file), "--format", "json").stdout)["mistakes"]
    assert [mistake["line"] for mistake in told] == [2, 3, 4, 5]


# ── import and refresh ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_list_is_imported(data: Path) -> None:
    file = data.with_name("list.json")
    model = {"litellm_provider": "deepinfra", "input_cost_per_token": 3.5e-07, "output_cost_per_token": 4e-07}
    file.write_text(json.dumps({"deepinfra/some-model": model}))
    done = prices(data, "import", str(file), "--format", "litellm")
    assert done.returncode == 0
    row = shown(data, "some-model", "--provider", "deepinfra")
    assert (row["rates"]["input"], row["all"][0]["trail"][0]["layer"]) == ("0.35", "litellm")


def newer(data: Path, usd: str) -> Path:
    raw = dump(bundled().providers)
    openai = next(provider for provider in raw if provider["id"] == "openai")
    next(model for model in openai["models"] if model["id"] == "gpt-4o")["prices"]["input_mtok"] = usd
    file = data.with_name("newer.json")
    file.write_text(json.dumps(raw))
    return file


def test_newer_data_are_taken_over_from_now_on(data: Path) -> None:
    done = prices(data, "refresh", "--from", str(newer(data, "3")), "--format", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["taken"], len(told["moves"])) == (0, True, 1)
    assert shown(data, "gpt-4o", "--at", "2026-06-01")["rates"]["input"] == "2.5"
    assert shown(data, "gpt-4o", "--at", "2030-01-01")["rates"]["input"] == "3"
    again = prices(data, "refresh", "--from", str(newer(data, "3")))
    assert "nothing new" in again.stderr


def test_a_price_that_moves_too_far_needs_to_be_accepted(data: Path) -> None:
    file = str(newer(data, "30"))
    refused = prices(data, "refresh", "--from", file)
    assert refused.returncode == 1
    assert "too far" in refused.stdout
    assert shown(data, "gpt-4o", "--at", "2030-01-01")["rates"]["input"] == "2.5"
    assert prices(data, "refresh", "--from", file, "--factor", "12", "--dry-run").returncode == 0
    assert not (data / "prices").exists()
    assert prices(data, "refresh", "--from", file, "--accept").returncode == 0
    assert shown(data, "gpt-4o", "--at", "2030-01-01")["rates"]["input"] == "30"


def test_data_of_another_form_are_not_taken_over(data: Path) -> None:
    file = data.with_name("newer.json")
    file.write_text('{"gpt-4o": {}}')
    done = prices(data, "refresh", "--from", str(file))
    assert (done.returncode, "should be a list of providers" in done.stderr) == (2, True)
    assert not data.exists()
