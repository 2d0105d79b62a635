"""Several servers on the same metadata: nothing is told twice, whoever takes over when."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from random import Random

import pytest
from export_rig import World
from receivers import WebhookReceiver, listening

from taximeter.compose.exporting import DONE_ONCE, Exporting, open_exporting
from taximeter.compose.jobs import Jobs
from taximeter.config.file import parse
from taximeter.errors import StoreError
from taximeter.exporters.series import total
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US
from taximeter.store.metadata import Metadata, OvertakenError

pytestmark = pytest.mark.timeout(360)


def open_server(here: World, url: str) -> tuple[Exporting, Jobs]:
    settings = parse(f"exporters: {{to: {{hook: {{kind: webhook, url: '{url}'}}}}}}", {})
    jobs = Jobs(here.clock)
    kept, alerting = here.metadata.exports, here.metadata.alerting
    return open_exporting(settings, here.store, kept, here.clock, jobs, list, alerting), jobs


def stored(here: World, measure: str) -> Decimal:
    return Decimal(here.store.query(Query(from_us=0, to_us=LATEST_US, measures=(measure,))).totals[measure])


@pytest.mark.parametrize("seed", range(2))
def test_two_servers_that_both_believe_to_have_the_lease_tell_everything_once(here: World, seed: int) -> None:
    chance, receiver = Random(seed), WebhookReceiver()
    with listening(receiver.take) as url:
        servers = [open_server(here, url) for _ in range(2)]
        for _ in range(12):
            here.traffic(chance, 10)
            exporting, _ = chance.choice(servers)
            here.clock.at_us += 60_000_000
            with suppress(StoreError):  # overtaken: it reads anew and goes on at its next turn
                exporting.feeds[0].turn()
                exporting.ways[0].turn()
        exporting.follow()
        exporting.feeds[0].turn()
        exporting.ways[0].turn()
    assert receiver.sums()["cost_usd"] == stored(here, "cost_usd")
    assert receiver.sums()["calls"] == 120


def test_a_server_without_the_lease_shows_what_the_other_one_keeps_and_does_nothing_itself(here: World) -> None:
    receiver = WebhookReceiver()
    with listening(receiver.take) as url:
        (_, jobs), (other, its_jobs) = open_server(here, url), open_server(here, url)
        its_jobs.once((DONE_ONCE,), lambda: False)
        here.call()
        for name in ("exports", "exports by user", "export to hook"):
            jobs._jobs[name].turn()
            its_jobs._jobs[name].turn()
            assert its_jobs.status[name].elsewhere
    assert len(receiver.headers) == 1
    other.follow()
    told = [total(feed.state.totals) for feed in other.feeds if feed.state is not None]
    assert len(told) == len(other.feeds)
    assert {one["cost_usd"] for one in told if "cost_usd" in one} == {Decimal("0.0125")}


def test_what_was_overtaken_is_not_kept(here: World) -> None:
    exports = here.metadata.exports
    exports.keep("position", "one", None)
    exports.keep("position", "two", "one")
    with pytest.raises(OvertakenError):
        exports.keep("position", "other", "one")
    with pytest.raises(OvertakenError):
        exports.keep("position", "other", None)
    with pytest.raises(OvertakenError):
        exports.advance("position", "other", "one", [], (1, "window"))
    assert exports.state("position") == "two"
    assert exports.windows("position", 0, 10) == []


def test_the_same_on_postgresql(postgres_database: str) -> None:
    metadata = Metadata(postgres_database)
    try:
        metadata.exports.advance("spend", "one", None, [], (1, "window"))
        with pytest.raises(OvertakenError):
            metadata.exports.advance("spend", "other", None, [], (1, "other"))
        assert metadata.exports.windows("spend", 0, 10) == ["window"]
    finally:
        metadata.close()
