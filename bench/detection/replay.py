"""Feed a history to the product's detection, minute by minute, and write down what it told."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.detection.histories import context, holidays, minute_of, minute_text, minutes
from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.detection import Detection, Minute


def detection_for(told: dict[str, Any], *, blind: bool = False) -> Detection:
    allowed = {
        feature: {entry["model"]: minute_of(entry["from"]) for entry in known["allowed_models"]}
        for feature, known in told["features"].items()
    }
    prices = {model: listed["output"] for model, listed in told["prices_usd_per_mtok"].items()}
    calendar = Calendar(told["timezone"], () if blind else holidays(told))
    return Detection(calendar, allowed=None if blind else allowed, prices=prices)


def replay(folder: Path, *, blind: bool = False) -> list[dict[str, Any]]:
    told = context(folder)
    held = minutes(folder, told)
    detection = detection_for(told, blind=blind)
    numbers = np.full(len(held.cells), -1, np.int32)
    alerts, block = [], []
    for minute, cells, values in held:
        for cell in cells[numbers[cells] < 0]:
            numbers[cell] = detection.panel.cell(held.cells[cell], minute)
        block.append(Minute(minute, numbers[cells], values))
        if (minute + 1) % SLOT_MINUTES == 0:
            alerts += [alert(news) for news in detection.run(block) if news.news != "closed"]
            block = []
    return alerts


def alert(news: Any) -> dict[str, Any]:
    scope = {"user_bucket" if name == "user_id" else name: value for name, value in news.incident.scope}
    return {
        "time": minute_text(news.minute + 1),
        "type": news.incident.kind,
        "scope": scope,
        "severity": news.incident.severity,
        "what": news.news,
        "ratio": round(news.incident.ratio, 2),
        "score": round(news.incident.score, 1),
        "window": news.incident.window,
    }


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    blind = "--blind" in sys.argv
    for folder in map(Path, [a for a in sys.argv[2:] if not a.startswith("--")]):
        began = time.process_time()
        alerts = replay(folder, blind=blind)
        (out / f"{folder.name}.json").write_text(json.dumps(alerts, indent=0))
        print(folder.name, len(alerts), "alerts", round(time.process_time() - began, 1), "s", flush=True)


if __name__ == "__main__":
    main()
