"""No example in the README and the manual is untested: each has a test that runs it, or a reason why none does."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Final

import pytest
from documented_blocks import BLOCKS, ROOT, Block, of
from opentelemetry.util.re import parse_env_headers

from taximeter.alerts.runbook import parse as runbook
from taximeter.compose.exporting import mistakes
from taximeter.config.file import parse
from taximeter.pricing.price_file import parse as parse_prices
from taximeter.server.otlp_in import PATHS

IN_PYTHON: Final = "docs/test_examples_in_python.py"
HERE: Final = "docs/test_documented_blocks.py"
READING: Final = "exporters/test_reading.py"
OF_INTEGRATIONS: Final = "docs/integrations/"

RUN_BY: Final[dict[tuple[str, str], tuple[int, str, str]]] = {
    ("README.md", "python"): (2, IN_PYTHON, "test_the_first_example_of_a_page_is_metered"),
    ("docs/sdk.md", "python"): (2, IN_PYTHON, "test_the_first_example_of_a_page_is_metered"),
    ("docs/outcomes.md", "python"): (1, IN_PYTHON, "test_the_outcome_of_the_manual_is_told"),
    ("docs/limits.md", "python"): (1, IN_PYTHON, "test_limits_of_the_sdk_are_taken"),
    ("docs/alerts.md", "message"): (
        1,
        "alerts/test_first_lines.py",
        "test_the_message_of_the_manual_is_what_slack_shows",
    ),
    ("docs/alerts.md", "runbook"): (1, HERE, "test_the_runbook_of_the_manual_is_one"),
    ("docs/alerts.md", "scenario"): (2, "cli/test_cli_alerts_manual.py", "test_a_scenario_goes_as_it_is_written"),
    ("docs/prices.md", "yaml"): (1, HERE, "test_the_prices_of_the_manual_are_taken"),
    ("docs/otlp.md", "sh"): (1, HERE, "test_what_opentelemetry_is_told_is_where_it_is_taken"),
    ("docs/sql.md", "sql"): (10, "store/test_sql.py", "test_an_example_of_the_manual_is_answered"),
    (f"{OF_INTEGRATIONS}files.md", "sql"): (
        3,
        "exporters/test_filing.py",
        "test_the_queries_of_the_manual_read_them",
    ),
    (f"{OF_INTEGRATIONS}grafana.md", "sql"): (
        1,
        "exporters/test_clickhouse_dashboards.py",
        "test_the_user_of_the_manual_may_read_what_the_panels_read",
    ),
    (f"{OF_INTEGRATIONS}notebooks.md", "python"): (3, READING, "test_the_python_of_the_manual_runs"),
    (f"{OF_INTEGRATIONS}notebooks.md", "sh"): (2, READING, "test_the_commands_of_the_manual_run"),
    (f"{OF_INTEGRATIONS}focus.md", "sh"): (2, READING, "test_the_commands_of_the_manual_run"),
    (f"{OF_INTEGRATIONS}focus.md", "text"): (
        1,
        "exporters/test_focus_validator.py",
        "test_the_foundations_validator_finds_nothing_wrong",
    ),
    (f"{OF_INTEGRATIONS}odata.md", "sh"): (
        1,
        READING,
        "test_the_odata_feed_asked_as_its_manual_says_has_the_sums_of_the_page",
    ),
    (f"{OF_INTEGRATIONS}powerbi.md", "powerquery"): (
        2,
        READING,
        "test_a_query_in_m_gives_a_table_with_the_sums_of_the_page",
    ),
    (f"{OF_INTEGRATIONS}odata.md", "powerquery"): (
        1,
        READING,
        "test_the_query_in_m_of_the_odata_feed_gives_a_table_with_the_sums_of_the_page",
    ),
    (f"{OF_INTEGRATIONS}prometheus.md", "promql"): (
        5,
        "exporters/test_prometheus.py",
        "test_every_recording_rule_and_every_panel_returns_data_from_a_server_under_load",
    ),
    (f"{OF_INTEGRATIONS}exporters.md", "python"): (
        1,
        "exporters/test_shipped.py",
        "test_the_alarm_of_the_manual_is_taken_by_cloudwatch",
    ),
}
"""Page and kind of example → how many there are, and the file (below `tests/`) and test that run them."""

RUN_HERE: Final = {
    "commands": ("docs/test_commands_of_the_manual.py", "test_a_command_of_the_manual_is_taken"),
    "yaml": (HERE, "test_settings_are_right"),
    "json": (
        "docs/test_answers_of_the_manual.py",
        "test_json_of_the_manual_is_what_a_server_takes_or_answers",
    ),
}
"""Kind of example, on any page → the test that runs all of them."""

CLIENTS: Final = "docs/integrations/clients/"
RUN_AS_CLIENTS: Final = ("exporters/test_clients_run.py", "test_no_page_has_an_example_that_is_not_run_below")
"""Every example on a page for another tool is counted there."""

NOT_RUN: Final = {
    ("README.md", "make"): "the tests themselves are run by them",
    ("docs/architecture.md", "drawing"): "drawings of the parts",
    ("docs/cli.md", "list of commands"): "the list of commands; test_cli_manual holds the sections to them",
    ("docs/gateway.md", "address"): "the form of an address",
}
"""Page and kind → why nothing runs it."""


def kind(block: Block) -> str:
    """What an example is, where its language alone does not tell."""
    if block.page == "docs/alerts.md":
        starts = {"CRITICAL": "message", "---": "runbook", "channels:": "scenario"}
        if told := starts.get(block.text.split()[0]):
            return told
    if block.commands and block.language in ("", "sh", "bash") and block.page != "docs/integrations/focus.md":
        return "commands"
    if block.language:
        return block.language
    if block.page == "docs/architecture.md":
        return "drawing"
    return {"make": "make", "taximeter": "list of commands"}.get(block.text.split()[0], "address")


def test_every_example_has_a_test_that_runs_it_or_a_reason_why_none_does() -> None:
    found = Counter((block.page, kind(block)) for block in BLOCKS if not block.page.startswith(CLIENTS))
    known = {*RUN_BY, *NOT_RUN}
    assert [where for where in found if where not in known and where[1] not in RUN_HERE] == []
    assert {where: count for where, (count, _, _) in RUN_BY.items()} == {where: found[where] for where in RUN_BY}
    assert set(NOT_RUN) <= set(found)


RUNNING: Final = sorted({*(tuple(run[1:]) for run in RUN_BY.values()), *RUN_HERE.values(), RUN_AS_CLIENTS})


@pytest.mark.parametrize(("file", "test"), RUNNING)
def test_the_tests_that_run_examples_are_there(file: str, test: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def examples(wanted: str) -> list[Block]:
    mine = [block for block in BLOCKS if not block.page.startswith(CLIENTS) and kind(block) == wanted]
    return [block for block in mine if (block.page, wanted) not in RUN_BY]


@pytest.mark.parametrize("block", examples("yaml"), ids=str)
def test_settings_are_right(block: Block) -> None:
    environment = {"OPENAI_API_KEY": "x", "SLACK_WEBHOOK": "https://hooks.slack.example/x", "PAGERDUTY_KEY": "r" * 32}
    assert mistakes(parse(block.text, environment)) == []


def test_the_prices_of_the_manual_are_taken() -> None:
    (block,) = of("docs/prices.md", "yaml")
    told = parse_prices(block.text, "file")
    assert (len(told.entries), len(told.aliases)) == (4, 3)


def test_the_runbook_of_the_manual_is_one() -> None:
    (block,) = (block for block in of("docs/alerts.md", "") if kind(block) == "runbook")
    told = runbook("own", block.text)
    assert (told.kinds, len(told.steps)) == (("volume_spike",), 3)


def test_what_opentelemetry_is_told_is_where_it_is_taken() -> None:
    (block,) = of("docs/otlp.md", "sh")
    told = dict(line.removeprefix("export ").split("=", 1) for line in block.text.splitlines())
    assert "/v1/traces" in PATHS
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:8787"
    headers = told["OTEL_EXPORTER_OTLP_HEADERS"].split('"')[1]
    assert parse_env_headers(headers) == {"authorization": "Bearer KEY"}
