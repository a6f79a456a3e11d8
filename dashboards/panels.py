"""The panels and the frame that all dashboards share, for Grafana 11.6 and later."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.alert_rules import Watch, recent_pass_seconds, when

EACH_BAR = "[$__interval]"
"""The window of `increase` in a graph of counts: as long as the time between two bars, which is at least a minute."""

# The data source that is chosen above the panels.
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "airflow"
_FULL_WIDTH = 24
_BARS_PER_PAGE = 20

Panel = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
_P = TypeVar("_P", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
_COLORS = {True: "green", False: "red"}


def recent(series: str) -> str:
    """Figures of scaling by master, without those of a master that no longer makes the passes."""
    return f"{series} and on (node) time() - airflow_scaling_last_pass_timestamp_seconds < {recent_pass_seconds()}"


def graph(
    title: str,
    unit: str,
    queries: Mapping[str, str],
    *,
    bad: str,
    alert: Watch | None = None,
    mentions: Sequence[str] = (),
    empty: str | None = None,
    width: int = 8,
) -> timeseries.Panel:
    """Lines over time, with a dashed one at the alert's limit.

    Args:
        unit: Grafana's name of the unit.
        queries: the expressions, by the legend of their series.
        bad: what to look for.
        alert: the alert whose limit the graph shows.
        mentions: names of other alerts about the same.
        empty: what it means if there are no series; without it, there always are.
        width: of 24.
    """
    panel = _described(timeseries.Panel(), title, bad, [*([alert.alert] if alert else []), *mentions], empty)
    panel.unit(unit).height(8).span(width).axis_soft_min(0).fill_opacity(10).span_nulls(False)
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    panel.legend(common.VizLegendOptions().show_legend(True).display_mode(common_models.LegendDisplayMode.LIST))
    if alert:
        dashed = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_thresholds(alert.limit, bad_below=alert.bad_below)).thresholds_style(dashed)
    for letter, (legend, expr) in zip(string.ascii_uppercase, queries.items(), strict=False):
        panel.with_target(_query(letter, expr).range().legend_format(legend))
    return panel


def watched_graph(
    title: str,
    unit: str,
    legend: str,
    alert: Watch,
    *,
    bad: str,
    mentions: Sequence[str] = (),
    empty: str | None = None,
    width: int = 8,
) -> timeseries.Panel:
    """Lines of what an alert rule compares with its limit."""
    queries = {legend: alert.expr}
    return graph(title, unit, queries, bad=bad, alert=alert, mentions=mentions, empty=empty, width=width)


def counts(
    title: str,
    queries: Mapping[str, str],
    *,
    bad: str,
    mentions: Sequence[str] = (),
    empty: str | None = None,
    width: int = 8,
) -> timeseries.Panel:
    """Stacked bars of what has happened since the bar before: expressions with `increase` over `EACH_BAR`."""
    panel = graph(title, "short", queries, bad=bad, mentions=mentions, empty=empty, width=width)
    panel.interval("1m").draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(80)
    return panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))


def value(
    title: str,
    unit: str,
    expr: str,
    *,
    bad: str,
    limit: float,
    bad_below: bool = False,
    alerts: Sequence[str] = (),
    words: Mapping[int, str] | None = None,
    empty: str | None = None,
) -> stat.Panel:
    """One number in green, or in red beyond its limit; `words` to show for some numbers."""
    panel = _described(stat.Panel(), title, bad, alerts, empty)
    panel.unit(unit).height(4).span(4).thresholds(_thresholds(limit, bad_below=bad_below))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_mode(common_models.BigValueColorMode.BACKGROUND).graph_mode(common_models.BigValueGraphMode.NONE)
    if words:
        panel.mappings([_mapping(words)])
    return panel.with_target(_query("A", expr).instant())


def watched(title: str, unit: str, alert: Watch, *, bad: str, words: Mapping[int, str] | None = None) -> stat.Panel:
    """The number that an alert rule compares with its limit."""
    return value(
        title,
        unit,
        alert.expr,
        bad=bad,
        limit=alert.limit,
        bad_below=alert.bad_below,
        alerts=[alert.alert],
        words=words,
    )


def rows(
    title: str,
    queries: Mapping[str, str],
    *,
    bad: str,
    columns: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    alerts: Sequence[str] = (),
    empty: str | None = None,
    width: int = 12,
) -> table.Panel:
    """A table with the current series of all queries.

    Args:
        queries: the expressions, by the title of the column with their value; "" for a value that says nothing.
        columns: the titles of the columns with labels, by label, in order.
        units: the units of values other than counts, by the titles of their columns.
    """
    panel = _described(table.Panel(), title, bad, alerts, empty)
    panel.unit("short").height(8).span(width)
    titles = dict(columns)
    for letter, (column, expr) in zip(string.ascii_uppercase, queries.items(), strict=False):
        panel.with_target(_query(letter, expr).instant().format(PromQueryFormat.TABLE))
        if column:
            titles["Value" if len(queries) == 1 else f"Value #{letter}"] = column
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    # Only these: the series have other labels, too.
    shown = models.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(titles)}})
    order = {name: place for place, name in enumerate(titles)}
    panel.with_transformation(shown).with_transformation(
        models.DataTransformerConfig(
            id_val="organize", options={"excludeByName": {}, "indexByName": order, "renameByName": titles}
        )
    )
    for column, unit in (units or {}).items():
        panel.override_by_name(column, [models.DynamicConfigValue(id_val="unit", value=unit)])
    return panel


def states(
    title: str, expr: str, legend: str, words: Mapping[int, str], *, bad: str, alerts: Sequence[str]
) -> statetimeline.Panel:
    """A bar for each series, in the color of its value: red for 0, green for 1."""
    panel = _described(statetimeline.Panel(), title, bad, alerts, None)
    panel.unit("none").height(12).span(_FULL_WIDTH).mappings([_mapping(words)])
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    panel.thresholds(_thresholds(0, bad_below=True)).show_value(common_models.VisibilityMode.NEVER).row_height(0.8)
    panel.per_page(_BARS_PER_PAGE)
    return panel.with_target(_query("A", expr).range().legend_format(legend))


def choice(name: str, label: str, series: str, of: str) -> dashboard.QueryVariable:
    """A choice of one or more values of the label `of`, all by default, for `{...=~"$name"}`."""
    variable = dashboard.QueryVariable(name).label(label).datasource(_SOURCE)
    variable.query({"query": f"label_values({series}, {of})", "refId": "StandardVariableQuery"})
    variable.multi(True).include_all(True).all_value(".*")
    variable.current(models.VariableOption(selected=True, text="All", value="$__all"))
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def frame(
    name: str,
    title: str,
    description: str,
    sections: Mapping[str, Sequence[Panel]],
    *,
    variables: Sequence[dashboard.QueryVariable] = (),
    since: str = "now-6h",
) -> models.Dashboard:
    """A dashboard whose panels are in sections; `name` identifies it, so that an import replaces the one before."""
    built = dashboard.Dashboard(f"Airflow: {title}").uid(f"airflow-{name}").description(description)
    built.tags([_TAG]).time(since, "now").refresh("1m").timezone("browser").editable()
    built.tooltip(models.DashboardCursorSync.CROSSHAIR)
    others = dashboard.DashboardLink("Airflow").type(models.DashboardLinkType.DASHBOARDS).tags([_TAG])
    built.link(others.keep_time(True).as_dropdown(False))
    built.with_variable(dashboard.DatasourceVariable("datasource").label("Cluster").type("prometheus"))
    for variable in variables:
        built.with_variable(variable)
    ids: Iterator[int] = iter(range(1, 1000))
    for section, panels in sections.items():
        built.with_row(dashboard.Row(section).id(next(ids)))
        for panel in panels:
            built.with_panel(panel.id(next(ids)))
    return built.build()


def _described(panel: _P, title: str, bad: str, alerts: Sequence[str], empty: str | None) -> _P:
    """The panel with what all kinds have."""
    panel.title(title).datasource(_SOURCE).description("\n\n".join([f"Bad: {bad}", *map(when, alerts)]))
    return panel.no_value(empty) if empty else panel


def _query(letter: str, expr: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(_SOURCE).expr(expr)


def _thresholds(limit: float, *, bad_below: bool) -> dashboard.ThresholdsConfig:
    # Grafana changes the color at the value, and alerts fire beyond it: what is 0 when all is well must not be red.
    steps = [
        models.Threshold(value=None, color=_COLORS[not bad_below]),
        models.Threshold(value=limit or 0.001, color=_COLORS[bad_below]),
    ]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(words: Mapping[int, str]) -> models.ValueMap:
    results = {str(number): models.ValueMappingResult(text=text) for number, text in words.items()}
    return models.ValueMap(options=results)
