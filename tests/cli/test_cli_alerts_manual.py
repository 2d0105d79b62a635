"""docs/alerts.md says what there is, and its examples do what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from running_server import taximeter

from taximeter.alerts.channels.registry import KINDS
from taximeter.alerts.evidence import STEPS
from taximeter.alerts.rule_desk import read_rule
from taximeter.alerts.runbook import parse
from taximeter.config.alerting import AlertSettings, AutomationSettings, ChecksSettings, RuleSettings

MANUAL = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
BLOCKS = re.findall(r"```(?:yaml)?\n(.*?)```", MANUAL, re.DOTALL)
SECRETS = {"SLACK_WEBHOOK": "https://hooks.slack.example/services/T/B/x", "PAGERDUTY_KEY": "r" * 32}


def block(*words: str) -> str:
    """The one example that has all these words."""
    (found,) = [one for one in BLOCKS if all(word in one for word in words)]
    return str(found)


def table(heading: str) -> dict[str, str]:
    """First column → the rest, of the table under a heading. A first column may name several, apart by commas."""
    under = re.split(r"\n##+ ", MANUAL.partition(f"# {heading}\n")[2])[0]
    rows = re.findall(r"^\| (`[^|]+) \|(.*)\|$", under, re.MULTILINE)
    return {name: rest for names, rest in rows for name in re.findall(r"`(\w+)`", names)}


def written_names(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_configuration_is_right(tmp_path: Path) -> None:
    (tmp_path / "taximeter.yaml").write_text(block("rules:", "channels:", "escalate"))
    done = taximeter("rules", "check", "--config", str(tmp_path / "taximeter.yaml"), **SECRETS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scenario", [block("timeline:", "pager"), block("timeline:", "automation:")])
def test_a_scenario_goes_as_it_is_written(tmp_path: Path, scenario: str) -> None:
    (tmp_path / "taximeter.yaml").write_text("")
    (tmp_path / "my-night.yaml").write_text(scenario)
    command = shlex.split(block("rules check --scenario"))
    assert command[:3] == ["taximeter", "rules", "check"]
    config = ("--config", str(tmp_path / "taximeter.yaml"))
    done = taximeter(*command[1:-1], str(tmp_path / command[-1]), *config)
    assert done.returncode == 0, done.stderr
    assert "goes as it is written" in done.stderr


SHIPPED = sorted((Path(__file__).parents[1] / "alerts" / "scenarios").glob("*.yaml"))


def test_every_scenario_of_ours_can_be_played_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "taximeter.yaml").write_text("")
    played = [word for path in SHIPPED for word in ("--scenario", str(path))]
    done = taximeter("rules", "check", *played, "--config", str(tmp_path / "taximeter.yaml"))
    assert (done.returncode, done.stderr.count("goes as it is written")) == (0, len(SHIPPED)), done.stderr


def test_the_rule_to_try_is_one() -> None:
    command = shlex.split(block("rules preview"))
    rule = read_rule(yaml.safe_load(command[command.index("preview") + 1]))
    assert rule.settings.each == ["feature"]


def test_the_runbook_is_one() -> None:
    assert parse("mine", block("kinds: [")).kinds == ("volume_spike",)


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Rules of your own", written_names(RuleSettings)),
        ("Rules that need nothing learnt", written_names(ChecksSettings)),
        ("Channels", set(KINDS)),
        ("Runbooks", set(STEPS)),
        ("Escalation by itself", {name for name in written_names(AutomationSettings) if name.endswith("_after")}),
    ],
)
def test_a_table_names_everything_there_is_and_nothing_else(heading: str, names: set[str]) -> None:
    assert table(heading).keys() - {"alerts", "checks", "kind", "Setting"} == names


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_of_a_channel_are_told(kind: str) -> None:
    model, _make = KINDS[kind]()
    told = table("Channels")[kind]
    ours = {"kind", "api_url"} | ({"ca_file"} if kind == "pagerduty" else set())
    assert [name for name in written_names(model) - ours if f"`{name}`" not in told] == []


@pytest.mark.parametrize("setting", sorted(written_names(AlertSettings)))
def test_every_setting_of_alerts_is_told_of(setting: str) -> None:
    assert re.search(rf"\b{setting}\b", MANUAL)
