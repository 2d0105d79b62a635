"""`python -m bench.detection HISTORIES SCORE.py [--blind]`: the product and others on the same labelled histories.

HISTORIES has a folder for each history (usage.parquet, context.json, labels.json); SCORE.py says what counts as a hit.
Labels are read by the scoring only. About a minute of CPU for a history.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from bench.detection.histories import context, minutes
from bench.detection.others import OTHERS, alerts_of, hourly_usd, hours_of_week
from bench.detection.replay import replay

MILD: Final = (1.75, 2.2)
"""Volume spikes that warn and no more, as multiples of what is expected."""


def main(arguments: list[str]) -> int:
    blind = "--blind" in arguments
    folders, scoring = (Path(argument) for argument in arguments if not argument.startswith("--"))
    score = _module(scoring)
    results: dict[str, list[dict[str, Any]]] = {}
    mild: list[bool] = []
    for folder in sorted(path.parent for path in folders.glob("*/context.json")):
        labels = json.loads((folder / "labels.json").read_text())
        for name, alerts in _detected(folder, blind=blind):
            results.setdefault(name, []).append(score.score_one(labels, alerts))
        mild += _found_mild(labels, results["taximeter"][-1]["rows"])
    print(score.table(score.summary(results["taximeter"])))
    print(f"volume spikes of {MILD[0]} to {MILD[1]} times: {sum(mild)} of {len(mild)} found")
    print("\n| Detector | F1 | precision | recall | median minutes | false alarms a week |\n|---|---|---|---|---|---|")
    for name, found in results.items():
        all_ = score.summary(found)["all"]
        print(
            f"| {name} | {all_['f1']:.2f} | {all_['precision']:.2f} | {all_['recall']:.2f} "
            f"| {all_['ttd_median']:.0f} | {all_['fa_week']:.2f} |"
        )
    return 0


def _found_mild(labels: dict[str, Any], rows: list[dict[str, Any]]) -> list[bool]:
    size = {label["id"]: label["magnitude"] for label in labels["incidents"] if label["type"] == "volume_spike"}
    return [row["hit"] for row in rows if MILD[0] <= size.get(row["id"], 0.0) <= MILD[1]]


def _detected(folder: Path, *, blind: bool) -> list[tuple[str, list[dict[str, Any]]]]:
    began = time.process_time()
    ours = replay(folder, blind=blind)
    print(f"{folder.name}: {len(ours)} alerts, {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
    told = context(folder)
    held = minutes(folder, told)
    usd = hourly_usd(held)
    clock = hours_of_week(held.first, (len(held.begins) - 1) // 60, told["timezone"])
    others = ((name, alerts_of(held.first, usd, clock, detector)) for name, detector in OTHERS.items())
    return [("taximeter", ours), *others]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
