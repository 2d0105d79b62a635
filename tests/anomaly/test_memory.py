"""What detection holds is bounded by the scopes that it watches."""

from __future__ import annotations

import tracemalloc

import numpy as np
from detection_traffic import MONDAY

from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.detection import Detection, Minute

SCOPES = 200
MOST_BYTES_A_SCOPE = 125_000
"""2,000 of them beside an interpreter with numpy, of 50 MB: 300 MB."""


def test_a_scope_takes_at_most_125_kilobytes_with_what_is_reckoned_meanwhile() -> None:
    tracemalloc.start()
    try:
        detection = Detection(Calendar())
        cells = np.array([detection.panel.cell(("chat", "mini", f"u{user}"), MONDAY) for user in range(SCOPES)])
        values = np.tile((10.0, 0.0, 10_000.0, 6000.0, 2000.0, 0.01, 0.02), (SCOPES, 1))
        for begins in range(MONDAY, MONDAY + 2 * 60, SLOT_MINUTES):
            detection.run([Minute(minute, cells, values) for minute in range(begins, begins + SLOT_MINUTES)])
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes / detection.panel.rows <= MOST_BYTES_A_SCOPE
