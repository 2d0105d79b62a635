"""`kill -9` of a whole server while it delivers: every notification arrives, in order, and a copy is known as one.

`FLOW_KILLS=30` makes it the full run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from running_server import Server, eventually, running
from test_cli_alerts_server import call, post

sys.path.append(str(Path(__file__).parents[1] / "alerts"))
from vendors import Vendor, vendor  # type: ignore[import-not-found]

KILLS: Final = int(os.environ.get("FLOW_KILLS", "2"))

REPEATING: Final = """
rules:
  - {name: burn, measure: cost_usd, over: 1d, each: [feature], critical: "> 0.01"}
alerts:
  channels:
    hook: {kind: webhook, url: "%(url)s/hook"}
  routes:
    - {channels: [hook], repeat: 1s}
"""


def told(receiver: Vendor) -> list[str]:
    return [headers["idempotency-key"] for _path, headers, _body in receiver.taken]


def kill_at(server: Server, place: int) -> Callable[[int], None]:
    def kill(number: int) -> None:
        if number == place:
            server.process.kill()
            server.process.wait()

    return kill


@pytest.mark.timeout(600 + 60 * KILLS)
def test_a_server_that_is_killed_while_it_delivers_loses_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with vendor() as receiver:
        config = tmp_path / "taximeter.yaml"
        config.write_text(REPEATING % {"url": receiver.url})
        for kill in range(KILLS):
            with running(tmp_path / "data", "--config", str(config)) as server:
                around = "before" if kill % 2 else "after"
                setattr(receiver, around, kill_at(server, len(receiver.taken) + 2))
                if not kill:
                    post(server, call(1, "chat"))
                eventually(lambda one=server: one.process.poll() is not None)
                setattr(receiver, around, lambda _number: None)
        with running(tmp_path / "data", "--config", str(config)):
            known = len(receiver.taken)
            eventually(lambda: len(receiver.taken) > known + 2)
        keys = told(receiver)
    places = [int(key.rpartition("/")[2]) for key in keys]
    assert len({key.rpartition("/")[0] for key in keys}) == 1, "one incident, all the time"
    assert places == sorted(places)
    assert sorted(set(places)) == list(range(1, max(places) + 1)), "none is missing"
    assert len(places) - len(set(places)) <= KILLS
    assert [body["event"] for body in receiver.bodies].count("opened") <= 1 + KILLS
