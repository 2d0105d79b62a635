"""New derivations of costs as the lines that engines read."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Final

from taximeter.core.cost import COMPONENTS, Unpriced
from taximeter.store.events.repricing import NewCost

_components: Final = attrgetter(*COMPONENTS)
_COMPONENTS: Final = ("{{" + ",".join(f'"{name}":"{{:f}}"' for name in COMPONENTS) + "}}").format


def stored_line(new: NewCost) -> str:
    """The id and the cost columns as JSON."""
    cost = new.cost
    version = _quoted(cost.price_version)
    if isinstance(cost, Unpriced):
        return f'{{"event_id":"{new.event_id}","unpriced_reason":"{cost.reason}","price_version":{version}}}'
    return (
        f'{{"event_id":"{new.event_id}","cost_usd":"{cost.total:f}","cost":{_COMPONENTS(*_components(cost))},'
        f'"cache_read_saving_usd":{_usd(cost.cache_read_saving)},'
        f'"cache_write_surcharge_usd":{_usd(cost.cache_write_surcharge)},'
        f'"price_version":{version},"price_rule":{_quoted(cost.price_rule)}}}'
    )


def _usd(amount: Decimal | None) -> str:
    return "null" if amount is None else f'"{amount:f}"'


_quoted: Final = lru_cache(maxsize=1024)(json.dumps)
"""Rules and versions are few."""
