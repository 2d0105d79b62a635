"""Runbooks: Markdown for people, with the first steps as names of questions that are asked when an alert fires.

    ---
    kinds: [volume_spike]
    action: Limit the one who calls most, or pause its key.
    steps: [contributors, deployments, errors_and_retries]
    ---
    # More calls than usual
    ...

A step is a name of `evidence.STEPS`, or a query of one's own: `{name, query: {measures, group_by, limit}}`, asked for
the alert's scope and time. A file of one's own with the name of a shipped one takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from taximeter.errors import ConfigurationError, Mistake

SUFFIX: Final = ".md"
_FENCE: Final = "---\n"
_KEYS: Final = ("kinds", "action", "steps")


@dataclass(frozen=True, slots=True)
class Step:
    """A question. `query` is None for those that are named."""

    name: str
    query: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """`name` is that of its file. `text` is Markdown."""

    name: str
    title: str
    kinds: tuple[str, ...]
    action: str | None
    steps: tuple[Step, ...]
    text: str


def shipped() -> dict[str, Runbook]:
    """The runbooks that come with the product, by name."""
    folder = files("taximeter.alerts") / "runbooks"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(SUFFIX)}
    return {name.removesuffix(SUFFIX): parse(name.removesuffix(SUFFIX), text) for name, text in sorted(texts.items())}


def load(directory: Path | None) -> dict[str, Runbook]:
    """The shipped runbooks, with those of a directory over them. Raises ConfigurationError with all mistakes."""
    books, mistakes = shipped(), []
    for path in sorted(directory.glob(f"*{SUFFIX}")) if directory is not None else ():
        try:
            books[path.stem] = parse(path.stem, path.read_text("utf-8"))
        except (ValueError, OSError) as error:
            mistakes.append(Mistake(str(path), str(error)))
    if mistakes:
        raise ConfigurationError(str(directory), mistakes)
    return books


def parse(name: str, text: str) -> Runbook:
    """Raises ValueError saying what is wrong."""
    head, body = _parts(text)
    unknown = [key for key in head if key not in _KEYS]
    if unknown:
        raise ValueError(f"there is no setting {unknown[0]!r}; there are: {', '.join(_KEYS)}")
    return Runbook(
        name=name,
        title=_title(body) or name,
        kinds=tuple(str(kind) for kind in head.get("kinds") or ()),
        action=head.get("action"),
        steps=tuple(_step(one) for one in head.get("steps") or ()),
        text=body,
    )


def _parts(text: str) -> tuple[Mapping[str, Any], str]:
    if not text.startswith(_FENCE):
        return {}, text
    head, fence, body = text.removeprefix(_FENCE).partition(_FENCE)
    if not fence:
        raise ValueError("the head that begins with --- does not end")
    try:
        found = yaml.safe_load(head) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"the head is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("the head should be settings, one a line")
    return found, body.lstrip("\n")


def _title(body: str) -> str | None:
    return next((line.removeprefix("# ").strip() for line in body.splitlines() if line.startswith("# ")), None)


def _step(written: object) -> Step:
    if isinstance(written, str):
        return Step(written)
    if isinstance(written, dict) and isinstance(written.get("query"), dict) and written.get("name"):
        return Step(str(written["name"]), written["query"])
    raise ValueError(f"a step is a name, or {{name, query}}, not {written!r}")


def for_kind(books: Mapping[str, Runbook], kind: str, named: str | None = None) -> Runbook | None:
    """The runbook that an alert names, else the one of its kind."""
    if named is not None:
        return books.get(named)
    return next((book for book in books.values() if kind in book.kinds), None)
