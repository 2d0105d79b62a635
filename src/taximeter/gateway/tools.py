"""What everything in the gateway works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from taximeter.clock import Clock
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import UsageEvent
from taximeter.extract import Jobs
from taximeter.extract.openai_live import CountedSeconds
from taximeter.gateway.admission import Admission
from taximeter.gateway.draining import Draining
from taximeter.gateway.guard import Guard
from taximeter.gateway.identities import Identities
from taximeter.gateway.polled import Counted
from taximeter.gateway.recorder import Recorder
from taximeter.gateway.settings import GatewaySettings
from taximeter.gateway.upstream import Upstream

Price = Callable[[UsageEvent], Cost | Unpriced]


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts of one gateway that its requests share."""

    upstream: Upstream
    recorder: Recorder
    price: Price | None
    clock: Clock
    settings: GatewaySettings
    guard: Guard
    identities: Identities
    counted: Counted
    draining: Draining
    admission: Admission | None = None
    jobs: Jobs = field(default_factory=Jobs)
    counted_seconds: CountedSeconds = field(default_factory=CountedSeconds)
