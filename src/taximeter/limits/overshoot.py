"""How far limits may be exceeded by the calls that are under way now.

Under `exact` admission only by streams that are held by the slice and are cut, or given up (`on_hangup: cancel`), while
their provider is further ahead of what was seen than is held for that: by the rest of their allowance at most. Under
`expected` by what calls may come to beyond what such calls usually do.
"""

from __future__ import annotations

from collections.abc import Iterable

from taximeter.limits.amounts import Amounts
from taximeter.limits.rules import Ruled
from taximeter.limits.verdict import Admitted

Exceeded = dict[tuple[str, str], int | None]
"""By the limit's name and the value of its `each`; None: a call is under way that nobody can bound."""


def may_exceed(under_way: Iterable[Admitted]) -> Exceeded:
    """What some calls may come to beyond what is held of them."""
    found: Exceeded = {}
    for admitted in under_way:
        for ruled in admitted.ruled:
            key = (ruled.limit.name, ruled.value)
            so_far, more = found.get(key, 0), _beyond(admitted, ruled)
            found[key] = None if so_far is None or more is None else so_far + more
    return found


def _beyond(admitted: Admitted, ruled: Ruled) -> int | None:
    if ruled.limit.measure in ("requests", "concurrent"):
        return 0
    held = admitted.held if ruled.exact else admitted.usual
    if admitted.uncounted or (not ruled.exact and admitted.ask.bound.unbounded is not None):
        return None
    most = _most(admitted)
    return max(most.of(ruled.limit.measure) - held.of(ruled.limit.measure), 0)


def _most(admitted: Admitted) -> Amounts:
    """What a call can come to, all of its allowance written."""
    read, written = admitted.ask.bound.input_tokens, max(admitted.most_output, admitted.held.output_tokens)
    return Amounts(admitted.rates.nano_usd(read, written), read, written)
