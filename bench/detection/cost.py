"""`python -m bench.detection.cost [SCOPES] [HOURS]`: share of a core and memory that detection takes, by active scopes.

Traffic of 1,000 events a second over so many scopes (features, their users and models). After HOURS of learning, ten
minutes are taken in as a server does it: every two seconds the minute under way, then the whole one. Asking the store
is not in it.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Final

import numpy as np

from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.detection import Detection, Minute
from taximeter.compose.detecting import DETECT_SECONDS

EVENTS_A_MINUTE: Final = 60_000
USERS_A_FEATURE: Final = 18
TURNS_A_MINUTE: Final = round(60 / DETECT_SECONDS)
MEASURED_MINUTES: Final = 10
FIRST: Final = 29_016_000


class Traffic:
    def __init__(self, scopes: int) -> None:
        self.detection = Detection(Calendar())
        features = max(1, scopes // (USERS_A_FEATURE + 2))
        keys = [(f"f{feature}", "m", f"u{user}") for feature in range(features) for user in range(USERS_A_FEATURE)]
        self._cells = np.array([self.detection.panel.cell(key, FIRST) for key in keys], np.int32)
        self._rate = EVENTS_A_MINUTE / len(keys)
        self._rng = np.random.default_rng(1)

    def minute(self, number: int) -> Minute:
        calls = self._rng.poisson(self._rate, len(self._cells))
        values = np.outer(calls, (1.0, 0.01, 1000.0, 600.0, 200.0, 0.001, 0.002))
        return Minute(number, self._cells, values)


def main(arguments: list[str]) -> int:
    scopes, hours = (int(given) for given in [*arguments, *("2000", "30")[len(arguments) :]])
    traffic = Traffic(scopes)
    last = FIRST + hours * 60
    for begins in range(FIRST, last, SLOT_MINUTES):
        traffic.detection.run([traffic.minute(minute) for minute in range(begins, begins + SLOT_MINUTES)])
    began = time.process_time()
    for minute in range(last, last + MEASURED_MINUTES):
        one = traffic.minute(minute)
        for turn in range(1, TURNS_A_MINUTE):
            traffic.detection.run([one], part=turn / TURNS_A_MINUTE)
        traffic.detection.run([one])
    share = (time.process_time() - began) / (MEASURED_MINUTES * 60)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{traffic.detection.panel.rows} scopes: {share:.1%} of one core, {megabytes:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
