"""Whatever happens to a store, and in whichever order, it answers what plain Python works out from what it should hold.

Events come, some late and some again; sums are added up; users are deleted, and copies of their events come once more;
events are priced anew. `PROPERTY_EXAMPLES=5000` takes its time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import naive_answers as naive
import records_at_random as at_random
from all_stores import emptied
from hypothesis import given
from hypothesis import strategies as st
from test_events_properties import examples, tries

from taximeter.core.cost import COMPONENTS, Cost, Unpriced
from taximeter.store.events import EventStore
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.repricing import NewCost, Repricing

Record = dict[str, Any]
PRICED_ANEW = ("cost_usd", "cost", "cache_read_saving_usd", "cache_write_surcharge_usd", "unpriced_reason")


@dataclass
class Life:
    """A store beside what it should hold: records by event id."""

    store: EventStore
    around_us: int
    held: dict[str, Record] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    runs: int = 0

    def append(self, records: Sequence[Record]) -> None:
        self.store.append([json.dumps(record).encode() for record in records], {})
        for record in records:
            if record.get("user_id") not in self.deleted:
                self.held.setdefault(record["event_id"], record)

    def delete(self, user_id: str) -> None:
        events = [event_id for event_id, record in self.held.items() if record.get("user_id") == user_id]
        gone = self.store.delete_user(user_id, self.around_us + 100 * at_random.DAY_US)
        assert (gone.events, gone.remaining_rows) == (len(events), 0)
        self.deleted.add(user_id)
        for event_id in events:
            del self.held[event_id]

    def price_anew(self, event_ids: Sequence[str], cost: Cost | Unpriced) -> None:
        self.runs += 1
        run = Repricing(id=f"run {self.runs}", kind="reprice", asked_at_us=0, asked_by="me", request={})
        known = [event_id for event_id in event_ids if event_id in self.held]
        new = [NewCost(event_id, naive.started_us(self.held[event_id]), cost) for event_id in known]
        self.store.restate(new, run, self.around_us)
        for event_id in known:
            facts = {name: value for name, value in self.held[event_id].items() if name not in PRICED_ANEW}
            self.held[event_id] = {**facts, **derived(cost)}


def derived(cost: Cost | Unpriced) -> Record:
    """The fields of a record that re-pricing replaces."""
    if isinstance(cost, Unpriced):
        return {"unpriced_reason": cost.reason}
    beside = {"cache_read_saving_usd": cost.cache_read_saving, "cache_write_surcharge_usd": cost.cache_write_surcharge}
    return {
        "cost_usd": f"{cost.total:f}",
        "cost": {name: f"{getattr(cost, name):f}" for name in COMPONENTS},
        **{name: f"{amount:f}" for name, amount in beside.items() if amount is not None},
    }


amounts = st.just(Decimal(0)) | st.decimals(0, 1_000, places=12)
costs = st.builds(
    Cost,
    **dict.fromkeys(COMPONENTS, amounts),
    price_version=st.just("v2"),
    price_rule=st.just("r2"),
    cache_read_saving=st.none() | amounts,
    cache_write_surcharge=st.none() | amounts,
)
new_prices = costs | st.just(Unpriced("unknown_model", "v2"))
users = st.sampled_from(at_random.NAMES)


def live_a_little(data: st.DataObject, life: Life, records: Sequence[Record]) -> None:
    """One thing that happens."""
    some = st.lists(st.sampled_from(records), max_size=len(records)) if records else st.just([])
    match data.draw(st.sampled_from(("append", "append", "roll up", "roll up a part", "delete", "price anew"))):
        case "append":
            life.append(data.draw(some))
        case "roll up":
            life.store.roll_up(LATEST_US)
        case "roll up a part":
            life.store.roll_up(life.around_us + data.draw(st.integers(-3, 24)) * at_random.HOUR_US)
        case "delete":
            life.delete(data.draw(users))
        case "price anew":
            ids = dict.fromkeys(record["event_id"] for record in data.draw(some))
            life.price_anew(list(ids), data.draw(new_prices))


def test_a_store_answers_from_what_it_should_hold_whatever_happens(events: EventStore) -> None:
    @tries(examples(events) // 5)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[Record]]) -> None:
        timezone, around_us, records = history
        life = Life(emptied(events), around_us)
        query = data.draw(at_random.rolled_queries(timezone, around_us) | at_random.queries(timezone, around_us))
        life.append(records)
        for _ in range(data.draw(st.integers(1, 4))):
            live_a_little(data, life, records)
            assert events.query(query).as_dict() == naive.answer(list(life.held.values()), query)
        assert events.verify().differing == ()

    holds()
