"""What is shipped for other platforms uses what exporters tell, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from receivers import aws

from taximeter.compose.exporting import mistakes
from taximeter.config.exporting import LABELS
from taximeter.config.file import parse
from taximeter.exporters.datadog_points import NAMES, TAGS

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "integrations" / "exporters.md"
SHIPPED = ROOT / "deploy" / "datadog"
TOLD_TAGS = {*(TAGS.get(label, label) for label in LABELS), "token_class"}


def queries(found: Any) -> list[str]:
    """Every `query` in a document of Datadog."""
    if isinstance(found, list):
        return [query for one in found for query in queries(one)]
    if not isinstance(found, dict):
        return []
    here = [found["query"]] if isinstance(found.get("query"), str) else []
    return [*here, *(query for one in found.values() for query in queries(one))]


def settings_in_manuals() -> list[Any]:
    """Every part of a configuration of ours in the manuals of integrations; those in `clients/` are of other tools."""
    pattern = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
    files = sorted(MANUAL.parent.glob("*.md"))
    return [pytest.param(text, id=file.stem) for file in files for text in pattern.findall(file.read_text())]


@pytest.mark.parametrize("written", settings_in_manuals())
def test_the_settings_in_the_manuals_are_right(written: str) -> None:
    assert mistakes(parse(written, {})) == []


@pytest.mark.parametrize("name", ["dashboard.json", "monitors.json"])
def test_what_is_shipped_for_datadog_asks_for_metrics_and_tags_that_are_told(name: str) -> None:
    asked = queries(json.loads((SHIPPED / name).read_text()))
    assert asked
    for query in asked:
        assert set(re.findall(r"llm\.\w+", query)) <= set(NAMES.values())
        grouped = {tag for tags in re.findall(r"by \{([^}]*)\}", query) for tag in tags.split(",")}
        scoped = {part.split(":")[0].lstrip("$") for scope in re.findall(r"llm\.\w+\{([^}]*)\}", query)
                  for part in scope.split(",")} - {"*"}  # fmt: skip
        assert grouped | scoped <= TOLD_TAGS
        assert query.count("llm.") == query.count(".as_count()"), "amounts are added up, not averaged"


def test_every_metric_told_to_datadog_is_on_its_dashboard() -> None:
    assert set(re.findall(r"llm\.\w+", (SHIPPED / "dashboard.json").read_text())) == set(NAMES.values())


def test_the_threshold_of_a_monitor_is_the_one_in_its_query() -> None:
    for monitor in json.loads((SHIPPED / "monitors.json").read_text()):
        assert float(monitor["query"].split()[-1]) == monitor["options"]["thresholds"]["critical"]


def test_the_alarm_of_the_manual_is_taken_by_cloudwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", MANUAL.read_text(), re.DOTALL | re.MULTILINE)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with aws() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        exec(compile(example, "manual", "exec"), {})
        made = boto3.client("cloudwatch").describe_alarms(AlarmNames=["llm-spend-of-an-hour"])["MetricAlarms"]
    assert [alarm["Threshold"] for alarm in made] == [100]
