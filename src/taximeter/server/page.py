"""The page: the files that `ui/` was built into, with the headers that keep them safe and fast.

The built files hold no data and no secrets, but they too are for those who are signed in: who is not gets the
sign-in page, which needs nothing beside itself.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import mimetypes
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from taximeter.errors import AuthenticationError, NotFoundError
from taximeter.server.access import Access
from taximeter.server.answers import Headers, Receive, Scope, Send, answer, answer_error

BUILT: Final = Path(__file__).parent / "page"

_POLICY: Final = (
    "default-src 'self'; script-src 'self'{scripts}; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_FOREVER: Final = (b"cache-control", b"private, max-age=31536000, immutable")
_COMPRESSED: Final = frozenset({".html", ".js", ".css", ".svg", ".json"})
_BUILT_COMPRESSED: Final = ".br"
"""What the build lays beside a file, compressed further than there is time for when it is asked for."""
_REFUSED: Final = re.compile(rb"q=0(\.0*)?")
_FOR_A_DAY: Final = (b"cache-control", b"private, max-age=86400")
_ASK_EACH_TIME: Final = (b"cache-control", b"no-cache")

NOT_BUILT: Final = """<!doctype html><meta charset="utf-8"><title>taximeter</title>
<body style="font:16px/1.5 system-ui;max-width:40em;margin:4em auto;padding:0 1em">
<h1>The page is not built yet</h1>
<p>The server is running; only its page is missing. Build it once, then reload:</p>
<pre>make page</pre>
<p>Meanwhile <code>taximeter report</code>, <code>taximeter top</code> and <code>taximeter tail</code> answer in the
terminal.</p>
"""

_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1c1f24"/>'
    '<path d="M6 22h20M8 22v-6M13 22V11M18 22v-8M23 22V7" stroke="#f5b800" stroke-width="3" stroke-linecap="round" '
    'fill="none"/></svg>'
)
"""As in `ui/public`: the file is for those who are signed in, and a browser asks for one at once."""
ICON_LINK: Final = f'<link rel="icon" href="data:image/svg+xml,{quote(_ICON)}">'

_LOOK: Final = """
:root { color-scheme: light dark; --ground: #f6f7f9; --surface: #fff; --edge: #ccd2da; --dim: #5d6675 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #121418; --surface: #1b1e24; --edge: #3a414c; --dim: #a3acbb }
}
body { margin: 0; padding: 12vh 16px 16px; background: var(--ground); font: 16px/1.5 Inter, system-ui, sans-serif }
main { max-width: 24em; margin: auto; padding: 28px; border: 1px solid var(--edge); border-radius: 10px;
  background: var(--surface) }
h1 { margin: 0; font-size: 24px }
label { font-size: 14px; font-weight: 600 }
input, button { box-sizing: border-box; width: 100%; padding: 9px 12px; border: 1px solid var(--edge);
  border-radius: 8px; font: inherit }
input { margin: 4px 0 12px; background: transparent }
button { border-color: #fcc419; background: #fcc419; color: #1b1e24; font-weight: 600; cursor: pointer }
.dim { margin-bottom: 0; font-size: 14px; color: var(--dim) }
a { color: inherit }
"""

SIGN_IN: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{icon}
<title>Sign in · taximeter</title>
<style>{look}</style>
<main>
<h1>taximeter</h1>
<p>{reason}</p>
<form action="/signin" method="post">
<label>Sign-in token or admin key
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Sign in</button>
</form>
<p class="dim">The sign-in link is printed when the server starts. A new one: <code>taximeter keys signin</code></p>
<p class="dim"><a href="/">I am signed in already</a></p>
</main>
"""


def sign_in_page(reason: str = "Sign in to see what is being spent.") -> bytes:
    return SIGN_IN.format(look=_LOOK, icon=ICON_LINK, reason=reason).encode()


def security_headers(document: bytes = b"") -> Headers:
    """Scripts are files of this server, and those that the document brings itself: each is named by its hash."""
    hashes = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(document))
    scripts = "".join(f" 'sha256-{base64.b64encode(one).decode()}'" for one in hashes)
    return (
        (b"content-security-policy", _POLICY.format(scripts=scripts).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
    )


async def answer_html(send: Send, status: int, html: bytes, headers: Headers = ()) -> None:
    content_type = (b"content-type", b"text/html; charset=utf-8")
    await answer(send, status, html, [content_type, (b"cache-control", b"no-store"), *security_headers(), *headers])


class Page:
    """Serves the built files: `/` and every path that names one."""

    def __init__(self, access: Access, directory: Path = BUILT) -> None:
        self._access = access
        self._directory = directory
        self._compressed: dict[Path, tuple[int, bytes]] = {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`/`: the page for those who are signed in, the sign-in page for the others."""
        try:
            await asyncio.to_thread(self._access.caller, scope)  # a session is looked up in the store
        except AuthenticationError:
            await answer_html(send, 401, sign_in_page())
            return
        index = self._directory / "index.html"
        if not index.is_file():
            await answer_html(send, 200, NOT_BUILT.encode())
            return
        document = await asyncio.to_thread(index.read_bytes)
        await self._answer_file(scope, send, index, (_ASK_EACH_TIME, *security_headers(document)))

    async def file(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """A file beside the index. Names in `assets/` carry a hash of their content, so they never change."""
        path = scope["path"].lstrip("/")
        try:
            await asyncio.to_thread(self._access.caller, scope)  # a session is looked up in the store
            wanted = self._inside(path)
        except (AuthenticationError, NotFoundError) as error:
            await answer_error(send, error)
            return
        caching = _FOREVER if path.startswith("assets/") else _FOR_A_DAY
        await self._answer_file(scope, send, wanted, (caching, *security_headers()))

    def has(self, path: str) -> bool:
        """Whether a path of one segment names a built file (a favicon, a manifest)."""
        name = path.lstrip("/")
        if not name or "/" in name or name == "index.html":
            return False
        try:
            return (self._directory / name).is_file()
        except OSError:  # no file could have a name so long
            return False

    def _inside(self, path: str) -> Path:
        try:
            wanted = (self._directory / path).resolve()
            is_ours = wanted.is_relative_to(self._directory.resolve()) and wanted.is_file()
        except (OSError, ValueError):  # no file could have this name
            is_ours = False
        if not is_ours:
            raise NotFoundError(f"there is nothing at /{path}")
        return wanted

    async def _answer_file(self, scope: Scope, send: Send, file: Path, headers: Headers) -> None:
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind == "application/javascript":
            kind += "; charset=utf-8"
        coding, body = await asyncio.to_thread(self._coded, file, _codings(scope))
        coded = [(b"content-encoding", coding)] if coding else []
        await answer(
            send, 200, body, [(b"content-type", kind.encode()), (b"vary", b"accept-encoding"), *coded, *headers]
        )

    def _coded(self, file: Path, taken: frozenset[bytes]) -> tuple[bytes, bytes]:
        """The name of a coding, empty for none, and the file in it."""
        built = file.with_name(file.name + _BUILT_COMPRESSED)
        if b"br" in taken and built.is_file():
            return b"br", built.read_bytes()
        if b"gzip" in taken and file.suffix in _COMPRESSED:
            return b"gzip", self._gzipped(file)
        return b"", file.read_bytes()

    def _gzipped(self, file: Path) -> bytes:
        """A file compressed, once for each state of it. There are few, and they are ours."""
        state = file.stat().st_mtime_ns
        known = self._compressed.get(file)
        if known is None or known[0] != state:
            known = self._compressed[file] = state, gzip.compress(file.read_bytes(), mtime=0)
        return known[1]


def _codings(scope: Scope) -> frozenset[bytes]:
    """What the client takes; some name a coding only to refuse it."""
    named = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    parted = (one.partition(b";") for one in named.replace(b" ", b"").lower().split(b","))
    return frozenset(name for name, _, weight in parted if not _REFUSED.fullmatch(weight))
