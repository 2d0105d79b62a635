"""The `taximeter` command. The base install has only the SDK, so a missing part is said in one line."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = ("typer", "rich", "yaml", "pydantic", "duckdb", "sqlalchemy", "uvicorn", "fastapi")


def main() -> None:
    """Runs the command line and ends the process: 0 good, 1 the answer is no, 2 wrong use."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            "taximeter: the command line and the server are not installed (pip install 'taximeter[server]')\n"
        )
        raise SystemExit(1)
    from taximeter.cli.app import run

    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
