"""The Grafana dashboards: their queries find what nodes send, and their files are those that the modules make."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from dashboards import __main__ as dashboards
from dashboards import alert_rules
from node.roles import Role
from tests import victoria_metrics
from tests.dashboard_queries import FILES, Query, panels, queries
from tests.metric_catalogue import catalogue, references
from tests.node.programs import module
from tests.victoria_metrics import Database

QUERIES = queries()
NAMES = [file.stem for file in FILES]
COLUMNS = 24
MINUTES, STEP_SECONDS = 10, 15

# A healthy node and a broken one of each role, whose gauges are 1 and 0.
NODES = {"i-1": "master", "i-2": "master", "i-3": "worker", "i-4": "worker"}
BROKEN = {"i-2", "i-4"}
_WORKER_STATES = [*module("airflow_node.worker_registry").WorkerState]
_CLUSTER = module("cluster_metrics.metrics")
# The values of a label, where it has several, by metric or for all.
VALUES: Mapping[str, Sequence[str]] = {
    "airflow_queue_tasks.state": ("queued", "running"),
    "airflow_dag_runs.state": ("queued", "running"),
    "airflow_dag_runs_finished_total.state": _CLUSTER.RUN_STATES,
    "airflow_tasks_finished_total.state": _CLUSTER.TASK_STATES,
    "airflow_pool_workers.state": _WORKER_STATES,
    "airflow_worker_state.state": _WORKER_STATES,
    "action": [*module("lifecycle.actions").Kind],
    "check": (*Role.MASTER.definition.metered_services, "database", "broker"),
    "service_instance_id": ("first", "second"),
    "alertstate": ("firing", "pending"),
    "severity": ("critical", "warning"),
    "fstype": ("ext4",),
    "job": ("node",),
    "mode": ("idle", "user"),
}


def _nodes(name: str) -> Iterator[str]:
    """The nodes that send the metric."""
    roles = {"master"}
    if name.startswith(("node_", "airflow_node_", "vmagent_")) or name == "up":
        roles = {"master", "worker"}
    elif name.startswith("airflow_worker_") and "board" not in name:
        roles = {"worker"}
    return (node for node, role in NODES.items() if role in roles)


def _series(name: str, node: str) -> Iterator[str]:
    """The metric's series on a node, with every value that its labels can have."""
    own = {"node": node, "role": NODES[node]} | ({"worker_pool": "x"} if NODES[node] == "worker" else {})
    labels = catalogue()[name] - {"node", "role", "worker_pool"}
    values = [VALUES.get(f"{name}.{label}", VALUES.get(label, ["x"])) for label in labels]
    for combination in itertools.product(*values):
        pairs = {**dict(zip(labels, combination, strict=True)), **own}
        yield f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in pairs.items())}}}"


def _value(name: str, node: str, at: float, counted: int) -> float:
    if name.endswith(("_total", "_sum", "_count", "_kill")):
        return counted
    if "timestamp" in name or "mtime" in name:
        return at - 3600 * (node in BROKEN)
    return float(node not in BROKEN)


def _samples(end: float) -> Iterator[str]:
    for name in catalogue():
        for node in _nodes(name):
            for series, counted in itertools.product(_series(name, node), range(MINUTES * 60 // STEP_SECONDS)):
                at = end - MINUTES * 60 + counted * STEP_SECONDS
                yield f"{series} {_value(name, node, at, counted)} {int(at * 1000)}"


@pytest.fixture(scope="module")
def stored() -> Iterator[tuple[Database, float]]:
    """VictoriaMetrics with all metrics of all nodes, and the time of the newest samples."""
    with victoria_metrics.database() as database:
        end = time.time()
        database.write(_samples(end))
        yield database, end


def test_the_files_are_up_to_date():
    made = dict(dashboards.files())
    assert sorted(made) == FILES
    for file, text in made.items():
        assert file.read_text() == text, "run `make docs`"


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_each_query_is_about_metrics_and_labels_that_exist(query: Query):
    assert references(query.sent).unknown() == []


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_each_query_finds_series_with_the_labels_that_are_shown(stored: tuple[Database, float], query: Query):
    database, end = stored
    found = database.query(query.sent, end)
    assert found, query.sent
    shown = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
    assert all(shown <= series["metric"].keys() for series in found), query.legend
    if query.panel["type"] == "table":
        renamed = query.panel["transformations"][-1]["options"]["renameByName"]
        columns = {label for label in renamed if not label.startswith("Value")}
        assert columns <= set().union(*(series["metric"] for series in found))


def test_a_query_about_what_no_node_sends_is_found(stored: tuple[Database, float]):
    wrong = 'max by (queue, pol) (airflow_queue_tsks{state="queued"}) > on (queue) airflow_queue_tasks{stat="queued"}'
    assert references(wrong).unknown() == [
        "no metric airflow_queue_tsks",
        "airflow_queue_tasks has no label stat",
        "no metric here has the label pol",
    ]
    database, end = stored
    assert database.query('airflow_queue_tasks{state="waiting"}', end) == []
    with pytest.raises(ValueError, match="max by"):
        database.query("max by (queue (airflow_queue_tasks)", end)


@pytest.mark.parametrize("name", NAMES)
def test_each_choice_is_of_labels_that_exist(name: str):
    content = json.loads((dashboards.FOLDER / f"{name}.json").read_text())
    source, *choices = content["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for choice in choices:
        [(series, label)] = re.findall(r"^label_values\((.+), (\w+)\)$", choice["query"]["query"])
        assert references(f"max by ({label}) ({series})").unknown() == []
    used = {variable for query in QUERIES if query.dashboard == name for variable in re.findall(r"\$(\w+)", query.expr)}
    assert {each for each in used if not each.startswith("__")} == {choice["name"] for choice in choices}


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_says_what_it_shows_in_which_unit_and_what_is_bad(name: str):
    shown = panels(name)
    titles = [panel["title"] for panel in shown]
    assert len(set(titles)) == len(titles)
    for panel in shown:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert re.match(r"Bad: \S.*\.$", panel["description"], re.DOTALL), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_covers_another(name: str):
    content = json.loads((dashboards.FOLDER / f"{name}.json").read_text())
    assert len({panel["id"] for panel in content["panels"]}) == len(content["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in content["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("comparison", "limit", "bad_below"),
    [
        ("max(a) > 900", 900, False),
        ("min(a) < 14 * 86400", 14 * 86400, True),
        ("max(a) == 0", 0, True),
        ("max(a and on (node) time() - b < 120) > 1e9", 1e9, False),
    ],
)
def test_a_panels_limit_is_that_of_its_alert_rule(
    monkeypatch: pytest.MonkeyPatch, comparison: str, limit: float, bad_below: bool
):
    monkeypatch.setattr(alert_rules, "_rules", lambda: {"A": {"expr": comparison}})
    watch = alert_rules.watch("A")
    assert (watch.limit, watch.bad_below) == (limit, bad_below)
    assert comparison.startswith(watch.expr)
    assert comparison.removeprefix(watch.expr).split()[0] in ("<", ">", "==")


def test_each_part_of_an_alert_rule_has_its_own_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alert_rules, "_rules", lambda: {"A": {"expr": "max(a) > 0.5 or min(b) == 0"}})
    parts = [alert_rules.watch("A", part) for part in (0, 1)]
    assert [(part.expr, part.limit) for part in parts] == [("max(a)", 0.5), ("min(b)", 0)]


def test_an_alert_rule_without_a_limit_has_no_panel_with_one():
    with pytest.raises(ValueError, match="PoolTooSmall compares with no number"):
        alert_rules.watch("PoolTooSmall")


def test_a_changed_limit_of_a_rule_changes_the_dashboard(monkeypatch: pytest.MonkeyPatch):
    rules = {**alert_rules._rules()}
    rules["DiskFull"] = {**rules["DiskFull"], "expr": rules["DiskFull"]["expr"].replace("< 0.1", "< 0.25")}
    monkeypatch.setattr(alert_rules, "_rules", lambda: rules)
    [changed] = [text for file, text in dashboards.files() if file.stem == "nodes"]
    [panel] = [each for each in json.loads(changed)["panels"] if each["title"] == "Free disk space"]
    assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 0.25]
