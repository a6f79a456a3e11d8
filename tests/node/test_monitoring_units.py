"""The units of the monitor, and of what delivers every node's metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.roles import Role
from tests.node import node_root
from tests.node.programs import module

# What delivers metrics, besides what every role has for it.
_OWN_METERING = {Role.MASTER: ("cluster-metrics",)}
METERING = [
    (role, unit) for role in Role for unit in ("metrics", "node-exporter", "vmagent", *_OWN_METERING.get(role, ()))
]


def _settings(roots: dict[Role, Path], role: Role, unit: str) -> dict[str, list[str]]:
    return node_root.settings(roots[role], f"airflow-{unit}.service")


@pytest.mark.parametrize("service", Role.MONITOR.definition.services)
def test_nothing_is_written_below_the_volumes_directory_without_the_volume(roots: dict[Role, Path], service: str):
    settings = _settings(roots, Role.MONITOR, service)
    for directive in ("Requires", "After"):
        assert "var-lib-metrics.mount" in " ".join(settings[directive]).split()
    assert all(name.startswith("metrics/") for name in settings.get("StateDirectory", []))


@pytest.mark.parametrize("unit", ["victoria-metrics", "prometheus-alertmanager"])
def test_debians_own_units_do_not_start_when_their_packages_are_installed(roots: dict[Role, Path], unit: str):
    masked = roots[Role.MONITOR] / node_root.UNITS / f"{unit}.service"
    assert masked.read_bytes() == b"", "systemd masks a unit whose file is empty"


def test_only_the_metrics_database_listens_for_others(roots: dict[Role, Path]):
    listens = {}
    for service in Role.MONITOR.definition.services:
        (command,) = _settings(roots, Role.MONITOR, service)["ExecStart"]
        listens[service] = re.findall(r"listen-?addr(?:ess)?=(\S*)", command, re.IGNORECASE)
    assert listens == {
        "victoria-metrics": [":8428"],
        "vmalert": ["127.0.0.1:8880"],
        "alertmanager": ["127.0.0.1:9093", ""],
    }


@pytest.mark.parametrize("role", Role)
def test_no_start_of_work_waits_for_metrics(roots: dict[Role, Path], role: Role):
    metering = {f"airflow-{unit}.service" for each, unit in METERING if each is role} | {"airflow-metrics.target"}
    for file in node_root.unit_files(roots[role]):
        if file.suffix in (".service", ".target") and file.name not in metering:
            waits_for = re.findall(r"^(?:Requires|After|Wants|BindsTo)=(.*)$", file.read_text(), re.MULTILINE)
            assert not metering & set(" ".join(waits_for).split()), f"{file.name} would wait"


@pytest.mark.parametrize(("role", "unit"), METERING)
def test_a_node_that_cannot_deliver_metrics_goes_on_working(roots: dict[Role, Path], role: Role, unit: str):
    settings = _settings(roots, role, unit)
    assert "OnFailure" not in settings, "the node would be replaced"
    assert settings["Restart"][0] in ("always", "on-failure")
    assert settings["StartLimitIntervalSec"] == ["0"]


@pytest.mark.parametrize(("role", "unit"), [each for each in METERING if each[1] in ("node-exporter", "vmagent")])
def test_what_delivers_metrics_listens_on_this_machine_alone_and_takes_no_memory_from_tasks(
    roots: dict[Role, Path], role: Role, unit: str
):
    settings = _settings(roots, role, unit)
    text = node_root.text(roots[role], f"airflow-{unit}.service")
    assert re.findall(r"(?:listen-address|httpListenAddr)=(\S+):\d+", text) == ["127.0.0.1"]
    assert settings["DynamicUser"] == ["yes"], "neither root nor the user of tasks"
    assert int(settings["MemoryMax"][0].removesuffix("M")) <= 256


@pytest.mark.parametrize("role", [Role.MASTER, Role.WORKER])
def test_the_role_starts_what_delivers_its_metrics(roots: dict[Role, Path], role: Role):
    wants = re.findall(r"^Wants=(.*)$", node_root.text(roots[role], "airflow-metrics.target"), re.MULTILINE)
    metering = {f"airflow-{unit}.service" for each, unit in METERING if each is role}
    assert set(" ".join(wants).split()) == metering - {"airflow-metrics.service"}


@pytest.mark.parametrize("role", Role)
def test_each_program_writes_its_metrics_where_the_exporter_reads_and_no_task_can(roots: dict[Role, Path], role: Role):
    exporter = node_root.text(roots[role], "airflow-node-exporter.service")
    directory = module("airflow_node.metrics_file").DIRECTORY
    assert f"--collector.textfile.directory={directory}/*\n" in exporter
    for file in node_root.unit_files(roots[role]):
        if file.suffix != ".service":
            continue
        for name in " ".join(node_root.settings(roots[role], file.name).get("RuntimeDirectory", [])).split():
            if name.startswith(f"{directory.name}/"):
                assert file.name != "airflow-worker.service"
