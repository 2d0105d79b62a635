"""`python -m taximeter.cli.companion ...`: the simulator's commands, ended when the parent process is gone.

The parent holds the other end of our stdin. However it ends, the pipe closes, and then so do we: nobody wants a sample
application that goes on for ever.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Final

from taximeter.config import taken

FURTHER_ARGUMENTS: Final = "COMPANION_ARGUMENTS"
"""Of the variable with further arguments, as a JSON list: the environment of a process is its owner's alone to read."""


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from taximeter.simulator.__main__ import main

    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    sys.exit(main([*sys.argv[1:], *json.loads(taken(FURTHER_ARGUMENTS) or "[]")]))
