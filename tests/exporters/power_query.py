"""Queries in M, carried out: as much of the language and its library as the manual's queries use.

Microsoft's parser reads a query, and this evaluates the tree. It is not Power Query: no credentials, no folding, no
privacy levels. What it does not know, a function, an option or a form of the language, is an error.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, partial
from typing import Any, Final
from xml.etree import ElementTree

import httpx

Tree = Mapping[str, Any]
UTF_8: Final = 65001
NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class QueryError(Exception):
    """What Power Query would show instead of a table, or what is not known here."""


@dataclass(frozen=True)
class Type:
    name: str


@dataclass
class Table:
    columns: list[str]
    rows: list[dict[str, Any]]
    types: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> list[Any]:
        return [row[self._known(name)] for row in self.rows]

    def _known(self, name: str) -> str:
        if name not in self.columns:
            raise QueryError(f"the column {name!r} of the table was not found")
        return name


def carry_out(tree: Tree, parameters: Mapping[str, Any], get: Get) -> Any:
    """The value of a query. `parameters` are those of the workbook; `get` fetches."""
    return Evaluation(get).value(tree, Names({**parameters}))


@dataclass(frozen=True)
class Get:
    """Fetches as Power Query does: an answer that is no success ends the query."""

    user: tuple[str, str] | None = None
    """What was said when it asked how to connect; None is anonymous."""

    def __call__(self, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> httpx.Response:
        if self.user is not None and "Authorization" in headers:
            raise QueryError("the header Authorization is for anonymous access alone")
        answer = httpx.get(url, params=query, headers=dict(headers), auth=self.user, timeout=60)
        if answer.status_code != 200:
            raise QueryError(f"{answer.status_code}: {answer.text}")
        return answer


class Names:
    """The names that an expression sees. A value is worked out when it is first asked for."""

    def __init__(self, values: dict[str, Any], outer: Names | None = None) -> None:
        self._values, self._outer = values, outer
        self.waiting: dict[str, Callable[[], Any]] = {}

    def __getitem__(self, name: str) -> Any:
        if name in self.waiting:
            self._values[name] = self.waiting.pop(name)()
        if name in self._values:
            return self._values[name]
        if self._outer is None:
            raise QueryError(f"the name {name!r} was not recognized")
        return self._outer[name]


def _elements(node: Tree) -> list[Tree]:
    return [one["node"] for one in node["content" if "content" in node else "variableList"]["elements"]]


def _name(written: str) -> str:
    return written[2:-1].replace('""', '"') if written.startswith('#"') else written


OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "&": lambda left, right: left + right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
}


class Evaluation:
    def __init__(self, get: Get) -> None:
        self._library = library(get)

    def value(self, node: Tree, names: Names) -> Any:
        form = getattr(self, f"_{node['kind']}", None)
        if form is None:
            raise QueryError(f"{node['kind']} is not known here")
        return form(node, names)

    def _LetExpression(self, node: Tree, names: Names) -> Any:  # noqa: N802
        inner = Names({}, names)
        for one in _elements(node):
            inner.waiting[_name(one["key"]["literal"])] = partial(self.value, one["value"], inner)
        return self.value(node["expression"], inner)

    def _LiteralExpression(self, node: Tree, names: Names) -> Any:  # noqa: N802
        text = node["literal"]
        if node["literalKind"] == "Text":
            return text[1:-1].replace('""', '"')
        if node["literalKind"] == "Numeric":
            return int(text) if text.isdigit() else float(text)
        return {"true": True, "false": False, "null": None}[text]

    def _IdentifierExpression(self, node: Tree, names: Names) -> Any:  # noqa: N802
        name = _name(node["identifier"]["literal"])
        return self._library[name] if name in self._library else names[name]

    def _RecordExpression(self, node: Tree, names: Names) -> dict[str, Any]:  # noqa: N802
        return {_name(one["key"]["literal"]): self.value(one["value"], names) for one in _elements(node)}

    def _ListExpression(self, node: Tree, names: Names) -> list[Any]:  # noqa: N802
        return [self.value(one, names) for one in _elements(node)]

    def _TypePrimaryType(self, node: Tree, names: Names) -> Type:  # noqa: N802
        return Type(f"type {node['paired']['primitiveTypeKind']}")

    def _EachExpression(self, node: Tree, names: Names) -> Callable[[Any], Any]:  # noqa: N802
        return lambda row: self.value(node["paired"], Names({"_": row}, names))

    def _FieldSelector(self, node: Tree, names: Names) -> Any:  # noqa: N802
        """A field of what `each` is about."""
        return _field(names["_"], _name(node["content"]["literal"]))

    def _operation(self, node: Tree, names: Names) -> Any:
        operator = node["operatorConstant"]["constantKind"]
        left = self.value(node["left"], names)
        if operator in ("and", "or"):
            return left if left is (operator == "or") else self.value(node["right"], names)
        if operator not in OPERATORS:
            raise QueryError(f"the operator {operator} is not known here")
        right = self.value(node["right"], names)
        try:
            return OPERATORS[operator](left, right)
        except TypeError as error:
            raise QueryError(f"cannot apply operator {operator}: {error}") from error

    _ArithmeticExpression = _EqualityExpression = _LogicalExpression = _RelationalExpression = _operation

    def _RecursivePrimaryExpression(self, node: Tree, names: Names) -> Any:  # noqa: N802
        value = self.value(node["head"], names)
        for one in node["recursiveExpressions"]["elements"]:
            match one["kind"]:
                case "InvokeExpression":
                    value = value(*(self.value(argument, names) for argument in _elements(one)))
                case "ItemAccessExpression":
                    value = _item(value, self.value(one["content"], names))
                case "FieldSelector":
                    value = _field(value, _name(one["content"]["literal"]))
                case kind:
                    raise QueryError(f"{kind} is not known here")
        return value


def _item(value: Any, wanted: Any) -> Any:
    """An item by its number, or the row of a table by some of its fields."""
    rows = value.rows if isinstance(value, Table) else value
    if isinstance(wanted, int):
        return rows[wanted]
    found = [row for row in rows if all(row.get(name) == one for name, one in wanted.items())]
    if len(found) != 1:
        raise QueryError(f"the key matched {len(found)} rows in the table")
    return found[0]


def _field(record: Any, name: str) -> Any:
    if not isinstance(record, dict) or name not in record:
        raise QueryError(f"the field {name!r} of the record was not found")
    value = record[name]
    return value() if isinstance(value, Later) else value


@dataclass
class Later:
    """A table that is fetched when it is looked at."""

    fetch: Callable[[], Table]

    def __call__(self) -> Table:
        return self.fetch()


# ── the library ───────────────────────────────────────────────────────────────────────────────────────────


def library(get: Get) -> dict[str, Any]:
    return {
        "Web.Contents": lambda url, options=None: _contents(get, url, options or {}),
        "OData.Feed": lambda url, headers=None, options=None: _feed(get, url, headers or {}, options or {}),
        "Csv.Document": _csv,
        "QuoteStyle.Csv": "Csv",
        "Table.PromoteHeaders": _promoted,
        "Table.TransformColumnTypes": typed,
        "Table.SelectRows": _selected,
        "Table.SelectColumns": _chosen,
        "Currency.Type": Type("Currency.Type"),
        "Int64.Type": Type("Int64.Type"),
        "#date": date,
    }


def _options(given: Mapping[str, Any], *known: str) -> None:
    if unknown := set(given) - set(known):
        raise QueryError(f"{sorted(unknown)} are not valid options here")


def _contents(get: Get, url: str, options: Mapping[str, Any]) -> bytes:
    _options(options, "RelativePath", "Query", "Headers")
    for name, value in options.get("Query", {}).items():
        if not isinstance(value, str):
            raise QueryError(f"{name} of the query is no text")
    path = options.get("RelativePath", "")
    address = f"{url.rstrip('/')}/{path.lstrip('/')}" if path else url
    return get(address, options.get("Headers", {}), options.get("Query")).content


def _csv(document: bytes, options: Mapping[str, Any]) -> Table:
    """Columns without names, of text."""
    _options(options, "Delimiter", "Encoding", "QuoteStyle")
    if options.get("Encoding") != UTF_8 or options.get("QuoteStyle") != "Csv":
        raise QueryError("text that is not UTF-8, or breaks its rows within quotes, is not known here")
    read = list(csv.reader(io.StringIO(document.decode(), newline=""), delimiter=options["Delimiter"], strict=True))
    columns = [f"Column{number}" for number in range(1, len(read[0]) + 1)]
    return Table(columns, [dict(zip(columns, row, strict=True)) for row in read])


def _promoted(table: Table) -> Table:
    first, *others = table.rows
    columns = [first[name] for name in table.columns]
    if len(set(columns)) < len(columns):
        raise QueryError("two columns have the same name")
    return Table(columns, [dict(zip(columns, row.values(), strict=True)) for row in others])


def typed(table: Table, types: Sequence[tuple[str, Type]], culture: str) -> Table:
    if culture != "en-US":
        raise QueryError(f"numbers of {culture} are not known here")
    rows = [dict(row) for row in table.rows]
    for name, kind in types:
        for row, cell in zip(rows, table.column(name), strict=True):
            row[name] = _cell(cell, kind.name)
    return Table(table.columns, rows, table.types | {name: kind.name for name, kind in types})


def _cell(text: str, kind: str) -> Any:
    """An empty cell is text, or null."""
    if kind == "type text":
        return text
    if kind not in READ:
        raise QueryError(f"{kind} is not known here")
    try:
        return READ[kind](text) if text else None
    except ValueError as error:
        raise QueryError(f"cannot convert {text!r} to {kind}") from error


def _number(text: str) -> float:
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _datetimezone(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the zone would be that of the machine")
    return moment


READ: Final[dict[str, Callable[[str], Any]]] = {
    "type number": _number,
    "type datetimezone": _datetimezone,
    "Currency.Type": lambda text: round(_number(text), 4),
    "Int64.Type": lambda text: round(_number(text)),
}


def _selected(table: Table, wanted: Callable[[Any], bool]) -> Table:
    return Table(table.columns, [row for row in table.rows if wanted(row)], table.types)


def _chosen(table: Table, columns: Sequence[str]) -> Table:
    for name in columns:
        table.column(name)
    return Table(
        list(columns),
        [{name: row[name] for name in columns} for row in table.rows],
        {name: kind for name, kind in table.types.items() if name in columns},
    )


EDM: Final[dict[str, Callable[[Any], Any]]] = {
    "Edm.String": str,
    "Edm.Int64": int,
    "Edm.Int32": int,
    "Edm.Double": float,
    "Edm.Decimal": float,
    "Edm.Boolean": bool,
    "Edm.Date": date.fromisoformat,
    "Edm.DateTimeOffset": datetime.fromisoformat,
}
"""What a value of a feed is in M: every number with a point is a double."""


def _feed(get: Get, url: str, headers: Mapping[str, str], options: Mapping[str, Any]) -> Table:
    """The tables that a service says that it has. Their columns have the types of its metadata."""
    _options(options, "Implementation")
    root = url.rstrip("/") + "/"

    @cache
    def types() -> dict[str, dict[str, str]]:
        return _types(get(root + "$metadata", headers).text)

    def table(told: Mapping[str, str]) -> Table:
        return _read(get, root, told, types(), headers)

    rows = [
        {"Name": one["name"], "Data": Later(partial(table, one)), "Signature": "table"}
        for one in get(root, headers).json()["value"]
    ]  # fmt: skip
    return Table(["Name", "Data", "Signature"], rows)


def _types(metadata: str) -> dict[str, dict[str, str]]:
    """The types of columns, by table."""
    tree, edm = ElementTree.fromstring(metadata), "{http://docs.oasis-open.org/odata/ns/edm}"
    by_type = {
        one.attrib["Name"]: {prop.attrib["Name"]: prop.attrib["Type"] for prop in one.iter(f"{edm}Property")}
        for one in tree.iter(f"{edm}EntityType")
    }
    tables = tree.iter(f"{edm}EntitySet")
    return {one.attrib["Name"]: by_type[one.attrib["EntityType"].rpartition(".")[2]] for one in tables}


def _read(
    get: Get, root: str, told: Mapping[str, str], types: Mapping[str, dict[str, str]], headers: Mapping[str, str]
) -> Table:
    columns = types[told["name"]]
    rows = [
        {name: None if row[name] is None else EDM[kind](row[name]) for name, kind in columns.items()}
        for row in _pages(get, str(httpx.URL(root).join(told["url"])), headers)
    ]
    return Table(list(columns), rows, dict(columns))


def _pages(get: Get, url: str | None, headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    while url is not None:
        page = get(url, headers).json()
        yield from page["value"]
        url = page.get("@odata.nextLink")
