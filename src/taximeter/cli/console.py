"""Where words go: answers to stdout, everything else to stderr.

What calls say of themselves is printed too, and whoever makes a call chooses it. So text is shown as it is: it is no
markup (`/users/[id]` is a route), and what would steer the terminal is shown as a sign.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

PIPED_COLUMNS: Final = 200
"""Width of tables that are not for a terminal: nothing needs to be cut there."""

_LINES: Final = frozenset("\n\t")
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_DELETE: Final = 0x7F
_PICTURES: Final = 0x2400
"""Where Unicode has its pictures of control characters, in their order."""
_TURNS: Final = frozenset(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
"""They change the direction of what follows, so that something else is read."""

_SIGNS: Final = {
    **{code: chr(_PICTURES + code) for code in range(0x20)},
    **dict.fromkeys(range(_DELETE, 0xA0), _REPLACED),
    **{ord(turn): _REPLACED for turn in _TURNS},
}
_SIGNS_BETWEEN_LINES: Final = {code: sign for code, sign in _SIGNS.items() if chr(code) not in _LINES}


def one_line(text: str) -> str:
    """What steers a terminal as signs, the ends of lines too: `a\\nb` is `a␊b`."""
    return text.translate(_SIGNS)


class _PlainConsole(Console):
    """Texts are no markup, and steer nothing. What is to have a style is a `Text`."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(text.translate(_SIGNS_BETWEEN_LINES), **how)


def _console(**how: Any) -> Console:
    return _PlainConsole(markup=False, emoji=False, highlight=False, **how)


OUT: Final = _console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)
ERR: Final = _console(stderr=True)


def write(text: str) -> None:
    """Text as it is, without any markup."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def note(text: str) -> None:
    """A line for people, beside the answer."""
    ERR.print(text, style="dim", soft_wrap=True)


def complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"taximeter: {one_line(' '.join(text.split()))}\n")
