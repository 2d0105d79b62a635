"""The spool: a durable log on local disk between where events are made and where they are kept.

`Spool` writes, `SpoolReader` follows, `adopt` looks after the dead, `Releaser` lets go of what is stored;
`taximeter.spool.sender.Sender` ships a spool to a server. Standard library only.
"""

from taximeter.spool.limits import LOSS_REASONS, SpoolHealth, SpoolLimits
from taximeter.spool.reader import Batch, Piece, SpoolReader
from taximeter.spool.recovery import Adopted, OpenCalls, adopt, open_calls
from taximeter.spool.release import Releaser
from taximeter.spool.segments import Segment, is_segment_id, list_segments
from taximeter.spool.writer import Spool

__all__ = [
    "LOSS_REASONS",
    "Adopted",
    "Batch",
    "OpenCalls",
    "Piece",
    "Releaser",
    "Segment",
    "Spool",
    "SpoolHealth",
    "SpoolLimits",
    "SpoolReader",
    "adopt",
    "is_segment_id",
    "list_segments",
    "open_calls",
]
