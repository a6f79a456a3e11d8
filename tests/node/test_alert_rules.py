"""The monitor's alert rules, evaluated by vmalert-tool on series in which what they are for begins and ends."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.rootfs import ROOTFS
from tests import victoria_metrics
from tests.metric_catalogue import references
from tests.stack_file import ROOT

RULE_FILES = sorted((ROOTFS / "monitor/usr/local/share/airflow/alerts").glob("*.yml"))
RULES: Mapping[str, Mapping[str, Any]] = {
    rule["alert"]: rule
    for file in RULE_FILES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
}
# The longest `for` is an hour; an increase ends half an hour after the fault.
MINUTES_BEFORE, MINUTES_OF_FAULT, MINUTES_AFTER = 10, 70, 40
# The tool has a port and a folder that cannot be chosen: only one of these tests can run it at a time.
LOCK = Path(tempfile.gettempdir(), f"vmalert-tool-{os.geteuid()}.lock")
NODES = ('node="i-1",role="master"', 'node="i-2",role="master"')


@dataclass(frozen=True)
class Case:
    """Values of the rule's series in each minute while all is well and during the fault, `+n` for a counter that grows
    by n; `series` are labels of the series that have the fault, both masters' by default, with those of `others` fine
    all along. `alerts` is how many alerts fire; `late`, how many minutes a series is still known that has ended."""

    metric: str
    well: str
    fault: str
    series: tuple[str, ...] = NODES
    others: tuple[str, ...] = ()
    constant: Mapping[str, str] = field(default_factory=dict)
    alerts: int = 1
    late: int = 0


# Of passes that are never long ago.
PASSES = {f"airflow_scaling_last_pass_timestamp_seconds{{{node}}}": "4000000000" for node in NODES}


def _of(label: str) -> tuple[str, ...]:
    return tuple(f"{label},{node}" for node in NODES)


CASES = {
    "DagRunFailed": Case("airflow_dag_runs_finished_total", "+0", "+1", _of('dag_id="a",state="failed"')),
    "DeadlineMissed": Case("airflow_deadlines_missed", "0", "1", _of('dag_id="a"')),
    "HeartbeatMissing": Case("airflow_service_heartbeat_age_seconds", "5", "300", _of('service="scheduler"')),
    "HeartbeatInTheFuture": Case("airflow_service_heartbeat_age_seconds", "5", "-90", _of('service="x"'), alerts=2),
    "ApiServerDown": Case("airflow_node_check", "1", "0", _of('check="api-server"'), ('check="disk"',)),
    "DatabaseUnreachable": Case("airflow_node_check", "1", "0", _of('check="database"'), ('check="disk"',)),
    "BrokerUnreachable": Case("airflow_node_check", "1", "0", _of('check="broker"'), ('check="disk"',)),
    "NodeUnhealthy": Case("airflow_node_healthy", "1", "0", NODES[:1], NODES[1:]),
    "QueueWithoutPool": Case("airflow_unserved_queue_tasks", "0", "3", _of('queue="a"'), constant=PASSES),
    "TasksWaitTooLong": Case("airflow_queue_oldest_task_age_seconds", "30", "1000", _of('queue="a"')),
    "PoolTooSmall": Case(
        "airflow_pool_needed_workers",
        "8",
        "9",
        _of('pool="a"'),
        constant=PASSES | {f"airflow_pool_maximum_workers{{{labels}}}": "8" for labels in _of('pool="a"')},
    ),
    "LaunchesFail": Case("airflow_pool_launch_failing", "0", "1", _of('pool="a"'), constant=PASSES),
    "WorkersDoNotConsume": Case("airflow_pool_not_consuming_workers", "0", "1", _of('pool="a"'), constant=PASSES),
    "DagImportErrors": Case("airflow_dag_import_errors", "0", "1", _of('bundle="dags"')),
    "DagReleasesDiffer": Case(
        "airflow_dag_release_info",
        "_",
        "1",
        ('bundle="dags",version="2"',),
        constant={'airflow_dag_release_info{bundle="dags",version="1"}': "1"},
    ),
    "TasksLost": Case("airflow_lost_tasks_requeued_total", "+0", "+1", NODES[:1]),
    "DatabaseConnectionsShort": Case(
        "airflow_database_connections", "100", "190", constant={"airflow_database_connections_max": "200"}
    ),
    "TransactionIdsRunOut": Case("airflow_database_transaction_id_age", "200000000", "1200000000"),
    "CertificateExpires": Case(
        "airflow_certificate_expiry_timestamp_seconds", "4000000000", "1000000", _of('server="database"')
    ),
    "MastersSilent": Case("up", "1", "_", ('job="node",role="master"',), late=5),
    "DiskFull": Case(
        "node_filesystem_avail_bytes",
        "50",
        "5",
        ('fstype="ext4",mountpoint="/",node="i-1",role="worker"',),
        constant={'node_filesystem_size_bytes{fstype="ext4",mountpoint="/",node="i-1",role="worker"}': "100"},
    ),
    "MemoryShort": Case(
        "node_memory_MemAvailable_bytes",
        "50",
        "2",
        NODES[:1],
        constant={f"node_memory_MemTotal_bytes{{{NODES[0]}}}": "100"},
    ),
    "ClockUnsynchronized": Case("node_timex_sync_status", "1", "0", NODES[:1], NODES[1:]),
    "MetricsVolumeFull": Case("vm_free_disk_space_bytes", "9000000000", "500000000", ('path="/var/lib/metrics"',)),
    "RulesFail": Case("vmalert_alerting_rules_errors_total", "+0", "+4", ('alertname="a"',)),
    "AlertsNotSent": Case("alertmanager_notifications_failed_total", "+0", "+1", ('integration="sns"',)),
}


@pytest.fixture(scope="module")
def tool() -> tuple[list[str], Path]:
    """The start of vmalert-tool's command line, and the root directory that it sees."""
    return victoria_metrics.program("vmalert-tool")


def _values(case: Case) -> str:
    """The values of a faulty series, in the syntax of Prometheus's unit tests."""
    phases = ((case.well, MINUTES_BEFORE), (case.fault, MINUTES_OF_FAULT), (case.well, MINUTES_AFTER))
    if not case.well.startswith("+"):
        return " ".join(f"{value}x{minutes}" for value, minutes in phases)
    total, values = 0, []
    for step, minutes in phases:
        for _ in range(minutes):
            total += int(step)
            values.append(str(total))
    return " ".join(values)


def _test(cases: Mapping[str, Case]) -> dict[str, Any]:
    """All of them at once: each rule sees the series of the others, which must not make it fire."""
    long = MINUTES_BEFORE + MINUTES_OF_FAULT + MINUTES_AFTER
    series: dict[str, str] = {}
    checks = []
    for alert, case in cases.items():
        series |= {f"{case.metric}{{{labels}}}": _values(case) for labels in case.series}
        series |= {f"{case.metric}{{{labels}}}": f"{case.well}x{long}" for labels in case.others}
        series |= {name: f"{value}x{long}" for name, value in case.constant.items()}
        firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
        moments = {
            MINUTES_BEFORE - 1: 0,
            # Within its time: a minute for the sample, one for the evaluation, and what `for` says.
            MINUTES_BEFORE + case.late + _minutes(RULES[alert]["for"]) + 2: case.alerts,
            MINUTES_BEFORE + MINUTES_OF_FAULT + MINUTES_AFTER - 5: 0,
        }
        checks += [
            {"expr": firing, "eval_time": f"{minute}m", "exp_samples": [{"value": count}]}
            for minute, count in moments.items()
        ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "1m", "input_series": inputs, "metricsql_expr_test": checks}


def _minutes(duration: str) -> int:
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


def _run(tool: tuple[list[str], Path], cases: Mapping[str, Case]) -> subprocess.CompletedProcess[str]:
    command, root = tool
    folder = root / "tmp" / f"alert-rules-{os.getpid()}"
    folder.mkdir()
    try:
        for file in RULE_FILES:
            shutil.copy(file, folder)
        inside = f"/{folder.relative_to(root)}"
        files = [f"{inside}/{file.name}" for file in RULE_FILES]
        content = {"rule_files": files, "evaluation_interval": "1m", "tests": [_test(cases)]}
        (folder / "tests.json").write_text(json.dumps(content))
        arguments = [*command, "unittest", "--files", f"{inside}/tests.json"]
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    finally:
        shutil.rmtree(folder)


def test_each_rule_fires_for_what_it_is_for_within_its_time_and_ends_afterwards(tool: tuple[list[str], Path]):
    done = _run(tool, CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_does_not_fire_would_be_found(tool: tuple[list[str], Path]):
    fine = Case("airflow_deadlines_missed", "0", "0", _of('dag_id="a"'))
    done = _run(tool, {"DeadlineMissed": fine})
    assert done.returncode != 0
    assert "DeadlineMissed" in done.stdout + done.stderr


def test_figures_of_a_master_that_no_longer_does_the_passes_do_not_count(tool: tuple[list[str], Path]):
    ended = dict.fromkeys(PASSES, "-1000")
    stale = {
        alert: replace(case, constant={**case.constant, **ended}) for alert, case in CASES.items() if _scaling(case)
    }
    assert len(stale) == 4
    done = _run(tool, {alert: replace(case, alerts=0) for alert, case in stale.items()})
    assert done.returncode == 0, done.stdout + done.stderr


def _scaling(case: Case) -> bool:
    return PASSES.keys() <= case.constant.keys()


@pytest.mark.parametrize("alert", RULES)
def test_each_rule_is_about_metrics_and_labels_that_exist(alert: str):
    assert references(RULES[alert]["expr"]).unknown() == []


def test_each_rule_has_a_test():
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("alert", RULES)
def test_each_rule_says_what_is_broken_how_bad_it_is_and_what_to_do(alert: str):
    rule = RULES[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["for"]
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in map(str.lower, headings)


def test_no_runbook_is_for_an_alert_that_does_not_exist():
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/alert-rules.md").read_text(), re.MULTILINE)
    assert set(headings) == RULES.keys()
