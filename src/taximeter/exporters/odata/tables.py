"""The tables, their columns and how the protocol types them; and what describes them: service document, metadata.

Names are those of events and measures. A key of the protocol is never null, so a call without a feature has the empty
text there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

from taximeter.store.events.columns import COLUMNS

DATE: Final = "Edm.Date"
MOMENT: Final = "Edm.DateTimeOffset"
TEXT: Final = "Edm.String"
FLAG: Final = "Edm.Boolean"
COUNT: Final = "Edm.Int64"
MONEY: Final = "Edm.Decimal"
NUMBER: Final = "Edm.Double"
NUMERIC: Final = (COUNT, MONEY, NUMBER)

NAMESPACE: Final = "taximeter"
EVENTS: Final = "events"

MEASURES: Final[Mapping[str, str]] = {
    "cost_usd": MONEY,
    "calls": COUNT,
    "failed_calls": COUNT,
    "input_tokens": COUNT,
    "cache_read_tokens": COUNT,
    "output_tokens": COUNT,
    "reasoning_tokens": COUNT,
    "unpriced_calls": COUNT,
    "estimated_calls": COUNT,
}
"""What the tables by day have besides their keys. A cost that is not known is null."""

_TYPES: Final = {
    "text": TEXT,
    "timestamp": MOMENT,
    "count": COUNT,
    "milliseconds": NUMBER,
    "money": MONEY,
    "flag": FLAG,
}
"""Kind of a field → type. What has parts (tags, units, components) is not told here."""


@dataclass(frozen=True, slots=True)
class Table:
    """An entity set. Rows are in the order of `order`; a name with a minus has the largest first."""

    name: str
    columns: Mapping[str, str]
    keys: tuple[str, ...]
    order: tuple[str, ...]
    dimension: str | None = None
    """What the table is by, besides the day; None: events."""

    @property
    def time(self) -> str:
        """The column that says when."""
        return self.order[0].removeprefix("-")


def _by_day(dimension: str) -> Table:
    columns = {"date": DATE, dimension: TEXT, **MEASURES}
    keys = ("date", dimension)
    return Table(f"daily_costs_by_{dimension.removesuffix('_id')}", columns, keys, keys, dimension)


def _events() -> Table:
    columns = {column.name: _TYPES[column.kind] for column in COLUMNS if column.kind in _TYPES}
    return Table(EVENTS, columns, ("event_id",), ("-started_at", "-event_id"))


TABLES: Final[Mapping[str, Table]] = {
    table.name: table for table in (*map(_by_day, ("feature", "model", "team", "user_id")), _events())
}


def service(root: str) -> dict[str, Any]:
    """The service document. `root` is the address of the feed, with a slash at its end."""
    sets = [{"name": name, "kind": "EntitySet", "url": name} for name in TABLES]
    return {"@odata.context": f"{root}$metadata", "value": sets}


def metadata() -> bytes:
    """What the tables are like, as CSDL XML."""
    edmx, edm = "http://docs.oasis-open.org/odata/ns/edmx", "http://docs.oasis-open.org/odata/ns/edm"
    whole = ElementTree.Element("edmx:Edmx", {"xmlns:edmx": edmx, "Version": "4.0"})
    services = ElementTree.SubElement(whole, "edmx:DataServices")
    schema = ElementTree.SubElement(services, "Schema", {"xmlns": edm, "Namespace": NAMESPACE})
    for table in TABLES.values():
        _describe(schema, table)
    container = ElementTree.SubElement(schema, "EntityContainer", {"Name": "container"})
    for name in TABLES:
        ElementTree.SubElement(container, "EntitySet", {"Name": name, "EntityType": f"{NAMESPACE}.{_entity(name)}"})
    document: bytes = ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True)
    return document


def _describe(schema: ElementTree.Element, table: Table) -> None:
    entity = ElementTree.SubElement(schema, "EntityType", {"Name": _entity(table.name)})
    key = ElementTree.SubElement(entity, "Key")
    for name in table.keys:
        ElementTree.SubElement(key, "PropertyRef", {"Name": name})
    for name, kind in table.columns.items():
        about = {"Name": name, "Type": kind, **dict(_facets(table, name, kind))}
        ElementTree.SubElement(entity, "Property", about)


def _facets(table: Table, name: str, kind: str) -> Iterator[tuple[str, str]]:
    if name in (*table.keys, table.time):
        yield "Nullable", "false"
    if kind == MONEY:
        yield from (("Precision", "38"), ("Scale", "12"))
    if kind == MOMENT:
        yield "Precision", "6"


def _entity(name: str) -> str:
    """The name of what a row is."""
    return name.removesuffix("s") if name == EVENTS else name.replace("daily_costs", "daily_cost")
