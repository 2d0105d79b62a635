"""YAML with the line of every value, `${NAME}` filled in from the environment, and its own mistakes.

`${NAME}` may stand unquoted anywhere in a value, also inside `{...}` where YAML itself would trip over the braces:
references are hidden from the YAML parser and put back into the values it found. What they stand for is always text
within one value; it can add neither keys nor lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from taximeter.errors import Mistake

Path = tuple[str | int, ...]

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}\n]*))?\}")
_OPEN, _SPLIT, _CLOSE = "\ue000", "\ue001", "\ue002"
"""Private-use characters: legal in plain YAML scalars and without a meaning there."""
_HIDDEN: Final = re.compile(f"{_OPEN}([^{_SPLIT}{_CLOSE}]*)(?:{_SPLIT}([^{_CLOSE}]*))?{_CLOSE}")


@dataclass(slots=True)
class Document:
    """The values of a file, the line (from 1) of each path in it, and what is wrong with its form."""

    values: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    unset: dict[Path, str] = field(default_factory=dict)
    """Paths whose whole value is a reference to a variable that is not set, and its name."""

    def line_of(self, path: Path) -> int | None:
        """The line of `path`, or of the nearest thing around it that is written in the file."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get(())


def dotted(path: Path) -> str:
    """`providers.openai.base_url`, `rules[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "file"


def read(text: str, environment: Mapping[str, str], *, ours: bool = False) -> Document:
    """The document in `text`; form errors are collected in `mistakes`, never raised. A file of `ours` is read by the C
    library where there is one: it takes a tenth of the time, and knows no end of what lies in what."""
    document = Document()
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if ours else yaml.SafeLoader
    try:
        loader = kind(_hide_references(text))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.mistakes.append(Mistake("file", f"not YAML: {error.reason} ({error.character!r})", line))
        return document
    try:
        node = loader.get_single_node()
        if node is not None:
            document.values = _Reader(document, loader, environment).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.mistakes.append(Mistake("file", f"not YAML: {error.problem}", mark.line + 1 if mark else None))
    except RecursionError:
        document.mistakes.append(Mistake("file", "not a configuration: it is nested too deep"))
    except yaml.YAMLError as error:
        document.mistakes.append(Mistake("file", f"not YAML: {error}"))
    finally:
        loader.dispose()
    return document


def _hide_references(text: str) -> str:
    def hidden(match: re.Match[str]) -> str:
        name, default = match.groups()
        return f"{_OPEN}{name}{_CLOSE}" if default is None else f"{_OPEN}{name}{_SPLIT}{default}{_CLOSE}"

    return _REFERENCE.sub(hidden, text)


@dataclass(frozen=True, slots=True)
class _Reader:
    document: Document
    loader: yaml.SafeLoader
    environment: Mapping[str, str]

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node.value, str) and _OPEN in node.value:
            return self._filled_in(node.value, path)
        try:
            return self.loader.construct_object(node)
        except ValueError as error:  # 2026-13-45 looks like a date
            self.document.mistakes.append(Mistake(dotted(path), f"not a value: {error}", self.document.line_of(path)))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._report_repeated_keys(node, path)
        self.loader.flatten_mapping(node)  # merge keys: `<<: *base`
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            self.document.lines[(*path, key)] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*path, key))
        return values

    def _report_repeated_keys(self, node: yaml.MappingNode, path: Path) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                self.document.mistakes.append(Mistake(dotted((*path, key)), "is given twice", line))
            seen.add(key)

    def _filled_in(self, text: str, path: Path) -> str | None:
        whole = _HIDDEN.fullmatch(text)
        if whole and whole[2] is None and not self.environment.get(whole[1]):
            self.document.unset[path] = whole[1]
            return None
        return _HIDDEN.sub(lambda reference: self._looked_up(reference, path), text)

    def _looked_up(self, reference: re.Match[str], path: Path) -> str:
        name, default = reference.groups()
        value = self.environment.get(name) or default
        if value is None:
            line = self.document.line_of(path)
            self.document.mistakes.append(Mistake(dotted(path), f"the variable {name} is not set", line))
            return ""
        return value
