"""Every scenario file goes as it is written: states, incidents, routes, escalation, silences, hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from taximeter.alerts.scenario import parse_scenario, played
from taximeter.errors import UsageError

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))


def written(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenario_goes_as_it_is_written(path: Path) -> None:
    assert [str(one) for one in played(parse_scenario(written(path)))] == []


def test_a_scenario_that_goes_otherwise_says_where_and_how() -> None:
    scenario = {
        "channels": ["slack"],
        "timeline": [{"at": "1m", "observe": [{"rule": "r"}], "told": []}],
    }
    assert [str(one) for one in played(parse_scenario(scenario))] == [
        "at 60s: expected [], told ['slack opened threshold']"
    ]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no timeline": ({"channels": ["slack"]}, "timeline"),
    "a time without a unit": ({"channels": [], "timeline": [{"at": "5"}]}, "duration"),
    "a timeline that runs backwards": ({"channels": [], "timeline": [{"at": "5m"}, {"at": "1m"}]}, "order"),
    "an unknown word": ({"channels": [], "timeline": [{"at": "5m", "seen": []}]}, "seen"),
    "steps out of order": (
        {
            "channels": ["a"],
            "timeline": [{"at": "0m"}],
            "routes": [{"escalate": [{"after": "2m", "channels": ["a"]}, {"after": "1m", "channels": ["a"]}]}],
        },
        "escalate",
    ),
    "days that are none": (
        {"channels": [], "timeline": [{"at": "0m"}], "routes": [{"active": [{"days": "someday"}]}]},
        "days",
    ),
    "a year of seconds": ({"channels": [], "tick": "1s", "timeline": [{"at": "365d"}]}, "ticks"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_scenario_says_what_is_wrong(name: str) -> None:
    scenario, word = BAD[name]
    with pytest.raises(UsageError, match=word):
        parse_scenario(scenario)
