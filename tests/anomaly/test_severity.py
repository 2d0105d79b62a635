"""Critical is said of what surely is: near the threshold few calls are a warning, and many say which side it is."""

from __future__ import annotations

import pytest

from taximeter.anomaly.detectors import cache_severity, share_severity, storm_severity, surely_critical
from taximeter.anomaly.finding import Severity
from taximeter.anomaly.rules import Thresholds

RULES = Thresholds()


@pytest.mark.parametrize(
    ("first", "again", "severity"),
    [(4, 8, "warning"), (40, 80, "critical"), (400, 700, "critical"), (400, 600, "warning")],
)
def test_a_storm(first: float, again: float, severity: Severity) -> None:
    assert storm_severity(first, again, RULES) == severity


@pytest.mark.parametrize(
    ("first", "calls", "severity"), [(10, 4.5, "warning"), (1000, 450, "critical"), (3, 3, "critical")]
)
def test_a_dear_model(first: float, calls: float, severity: Severity) -> None:
    assert share_severity(first, calls, RULES.share_critical) == severity


@pytest.mark.parametrize(
    ("rate", "calls", "severity"), [(0.35, 20, "warning"), (0.35, 1000, "critical"), (0.1, 20, "critical")]
)
def test_a_cold_cache(rate: float, calls: float, severity: Severity) -> None:
    assert cache_severity(rate, calls, RULES) == severity


@pytest.mark.parametrize(
    ("ratio", "deviation", "severity"), [(2.6, 0.3, "warning"), (2.6, 0.05, "critical"), (4.0, 0.3, "critical")]
)
def test_a_multiple_of_what_is_expected(ratio: float, deviation: float, severity: Severity) -> None:
    assert surely_critical(ratio, RULES.volume_critical, deviation) == severity
