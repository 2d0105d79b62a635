"""What the dashboards of every kind of data source are made of (see `dashboards.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    VariableRefresh,
)

WIDTH: Final = 24
"""Of a dashboard, in Grafana's columns."""

TAG: Final = "taximeter"
"""Of all dashboards, by which they link to each other."""

Panel = timeseries.Panel | stat.Panel | table.Panel


@dataclass(frozen=True, slots=True)
class Shown:
    """One panel: `queries` by what their lines are called; `units` of a table's columns that have another one."""

    title: str
    queries: Mapping[str, str]
    unit: str = "currencyUSD"
    kind: str = "lines"
    about: str = ""
    width: int = 12
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def over_time(self) -> bool:
        return self.kind in ("lines", "bars")


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of data source, the one of which a dashboard's variable `datasource` names.

    `variables` are what can be chosen from, each by the query for its values; `every` is what a variable says when
    all of them are (None: each of them). `asked` gives a panel its queries.
    """

    plugin: str
    variables: Mapping[str, str]
    every: str | None
    asked: Callable[[Panel, Shown], Panel]


def reference(plugin: str) -> DataSourceRef:
    """To the data source that was chosen."""
    return DataSourceRef(type_val=plugin, uid="${datasource}")


def board(uid: str, title: str, panels: Sequence[Shown], source: Source) -> str:
    """The text of a dashboard."""
    made = dashboard.Dashboard(title).uid(f"taximeter-{uid}").tags([TAG]).refresh("30s").time("now-6h", "now")
    made = made.link(_to_the_others()).with_variable(dashboard.DatasourceVariable("datasource").type(source.plugin))
    for name, values in source.variables.items():
        made = made.with_variable(_variable(name, values, source))
    for shown in panels:
        made = made.with_panel(_panel(shown, source))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _to_the_others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("taximeter").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).keep_time(True)


def _variable(name: str, values: str, source: Source) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).query(values).datasource(reference(source.plugin))
    variable = variable.multi(True).include_all(True).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable if source.every is None else variable.all_value(source.every)


def _panel(shown: Shown, source: Source) -> Panel:
    panel = _PANELS[shown.kind]().title(shown.title).description(shown.about).unit(shown.unit)
    panel = panel.datasource(reference(source.plugin)).span(shown.width).height(4 if shown.width < WIDTH // 3 else 8)
    for column, unit in shown.units.items():
        panel = panel.override_by_name(column, [DynamicConfigValue(id_val="unit", value=unit)])
    return source.asked(panel, shown)


def _bars() -> timeseries.Panel:
    """Amounts of stretches of time, on top of each other: together they are the whole."""
    stacked = common.StackingConfig().mode(StackingMode.NORMAL)
    return timeseries.Panel().draw_style(GraphDrawStyle.BARS).fill_opacity(80).stacking(stacked)


_PANELS: Final[Mapping[str, Callable[[], Panel]]] = {
    "lines": timeseries.Panel,
    "bars": _bars,
    "number": stat.Panel,
    "table": table.Panel,
}
