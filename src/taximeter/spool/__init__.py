"""The spool: a durable log on local disk between where events are made and where they are kept.

`Spool` writes, `SpoolReader` follows, `adopt` looks after the dead; `taximeter.spool.sender.Sender` ships a spool
to a server. Standard library only.
"""

from taximeter.spool.segments import Segment, list_segments
from taximeter.spool.writer import Spool, SpoolHealth, SpoolLimits

__all__ = ["Segment", "Spool", "SpoolHealth", "SpoolLimits", "list_segments"]
