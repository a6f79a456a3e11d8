from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from node.roles import Role
from tests.node import node_root
from tests.node.lifecycle.node_of import (
    AT_MINIMUM,
    BUSY,
    IDLE,
    LIMITS,
    Kind,
    PersistedState,
    actions,
    observation,
    observed,
    state_machine,
    unit,
)
from tests.node.programs import load, module

manage_lifecycle = load("manage-lifecycle")
LONGEST_NOTICE_SECONDS = observation.LONGEST_NOTICE_SECONDS

ENVIRONMENT = {
    "AIRFLOW__CELERY__BROKER_URL": "redis://127.0.0.1:1/0",
    "NODE_CONCURRENCY": "16",
    "NODE_DRAIN_LIMIT_SECONDS": "43200",
    "NODE_GROUP": "airflow-prod-pool-default",
    "NODE_HEARTBEAT_SECONDS": "480",
    "NODE_IDLE_SECONDS": "180",
    "NODE_INSTANCE_ID": "i-0123456789abcdef0",
    "NODE_POOL": "default",
    "NODE_QUEUES": "default,slow",
    "NODE_TERMINATING_HOOK": "worker-is-drained",
}


class _Node:
    """What the service observes and controls. `fields` are those of the next observation."""

    def __init__(self) -> None:
        self.fields: Mapping[str, Any] = {}
        self.reports: list[str] = []
        self.done: list[str] = []
        self.faults: Mapping[str, str] = {}

    def observe(self, now: float, registry: Any) -> Any:
        del registry
        return observed(now, **{"group": AT_MINIMUM, **self.fields})

    def exchange(self, *, state: str, seen: Any, idle_seconds: float) -> Any:
        del seen, idle_seconds
        self.reports.append(str(state))
        return observation.RegistrySnapshot(cordoned=False, faults=self.faults)

    def do(self, what: Any) -> Any:
        self.done.append(str(what.kind))
        return actions.DONE


def _service(node: Any, path: Path, metrics: Any = None) -> Any:
    machine = state_machine.StateMachine(LIMITS, PersistedState.read(path), now=0.0, cordoned=False)
    return manage_lifecycle.Service(
        machine=machine, observer=node, actuator=node, registry=node, persisted_state_file=path, metrics=metrics
    )


@pytest.fixture
def node() -> _Node:
    return _Node()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_change_of_state_is_reported_in_the_next_pass(node: _Node, tmp_path: Path):
    service = _service(node, tmp_path / "memory.json")
    for now in (0.0, 2.0, 4.0, 6.0, 8.0):
        service.do_pass(now)
    assert node.reports == ["starting", "working", "working"], "every five seconds, and after a change"


def test_a_monitor_is_told_of_the_workers_state_load_and_actions(node: _Node, tmp_path: Path):
    file = module("airflow_node.metrics_file").MetricsFile(None)
    service = _service(node, tmp_path / "memory.json", module("lifecycle.metrics").WorkerMetrics(file, slots=4))
    value = file.registry.get_sample_value
    for now in (0.0, 2.0, 4.0):
        service.do_pass(now)
    assert value("airflow_worker_state", {"state": "working"}) == 1
    assert value("airflow_worker_state", {"state": "starting"}) == 0
    assert value("airflow_worker_slots") == 4
    assert value("airflow_node_healthy") == 1
    assert value("airflow_worker_actions_total", {"action": "stop-worker"}) == 0
    node.fields = {"terminating": True, "worker": BUSY}
    service.do_pass(6.0)
    assert value("airflow_worker_state", {"state": "draining"}) == 1
    assert (value("airflow_worker_active_tasks") or 0) > 0
    assert value("airflow_worker_actions_total", {"action": "stop-worker"}) == 1
    assert value("airflow_node_healthy") == 1, "a worker that drains does what it should"


def test_a_worker_that_does_not_report_is_unhealthy(node: _Node, tmp_path: Path):
    file = module("airflow_node.metrics_file").MetricsFile(None)
    service = _service(node, tmp_path / "memory.json", module("lifecycle.metrics").WorkerMetrics(file, slots=4))
    service.do_pass(0.0)
    service.do_pass(2.0)
    node.fields = {"worker": None}
    service.do_pass(4.0)
    assert file.registry.get_sample_value("airflow_node_check", {"check": "worker"}) == 0
    assert file.registry.get_sample_value("airflow_node_check", {"check": "broker"}) == 1


def test_an_ended_worker_is_reported_as_draining(node: _Node, tmp_path: Path):
    service = _service(node, tmp_path / "memory.json")
    node.fields = {"terminating": True, "unit": unit("inactive")}
    for now in (0.0, 2.0, 4.0):
        service.do_pass(now)
    assert node.reports[-1] == "draining"


def test_every_action_is_logged_with_its_reason(node: _Node, tmp_path: Path, lines: Callable[[], list[dict]]):
    service = _service(node, tmp_path / "memory.json")
    service.do_pass(0.0)
    node.fields = {"terminating": True, "worker": BUSY}
    service.do_pass(2.0)
    logged = {line["event"]: line for line in lines()}
    assert logged["stop-worker"]["why"] == "Auto Scaling is terminating this instance"
    assert logged["state"] == {
        "event": "state",
        "before": "working",
        "now": "draining",
        "tasks": ["etl manual__1 load try 1"],
    }


def test_a_registry_entry_that_a_task_has_overwritten_is_logged_once(
    node: _Node, tmp_path: Path, lines: Callable[[], list[dict]]
):
    service = _service(node, tmp_path / "memory.json")
    node.faults = {"group:default": "has a value of another type"}
    for now in (0.0, 6.0, 12.0):
        service.do_pass(now)
    logged = [line for line in lines() if line["event"] == "broker-key-ignored"]
    assert logged == [{"event": "broker-key-ignored", "key": "group:default", "why": "has a value of another type"}]


def test_the_persisted_state_is_written_when_it_changes(node: _Node, tmp_path: Path):
    path = tmp_path / "memory.json"
    service = _service(node, path)
    node.fields = {"worker": IDLE}
    service.do_pass(0.0)
    assert PersistedState.read(path).boot_noted
    node.fields = {"terminating": True}
    service.do_pass(7.0)
    assert PersistedState.read(path) == PersistedState(boot_noted=True, draining_since=7.0, terminating=True)


def test_the_persisted_state_is_written_in_the_first_pass(node: _Node, tmp_path: Path):
    _service(node, tmp_path / "memory.json").do_pass(0.0)
    assert (tmp_path / "memory.json").exists()


def test_a_full_run_directory_does_not_delay_the_end_of_a_drain(
    node: _Node, tmp_path: Path, lines: Callable[[], list[dict]], monkeypatch: pytest.MonkeyPatch
):
    service = _service(node, tmp_path / "memory.json")
    (tmp_path / "memory.json").symlink_to("/dev/full")
    node.fields = {"terminating": True, "worker": BUSY}
    for now in range(0, int(LIMITS.drain) + 4, 2):
        monkeypatch.setattr(manage_lifecycle.time, "monotonic", lambda now=now: float(now))
        service.do_pass(float(now))
    assert node.done[-1] == Kind.END_TASKS
    logged = [line for line in lines() if line["event"] == "persisted-state-not-written"]
    assert [line["why"] for line in logged] == ["[Errno 28] No space left on device"], "logged once"


def test_a_failed_pass_keeps_the_service_and_skips_the_watchdog(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[dict]]
):
    services = []

    def do_pass(service: Any, _: float) -> None:
        services.append(service)
        if len(services) == 1:
            raise LookupError("an unexpected answer")

    monkeypatch.setattr(manage_lifecycle.Service, "do_pass", do_pass)
    _run(tmp_path, passes=2)
    assert services[0] is services[1]
    assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"], "one pass succeeded"
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    (line,) = lines()
    assert line["event"] == "pass-failed"
    assert line["why"].endswith("LookupError: an unexpected answer")


def test_a_restarted_service_finds_its_worker_cordoned(tmp_path: Path):
    (tmp_path / "retired").touch()
    service = manage_lifecycle.build(ENVIRONMENT, run=tmp_path, now=0.0)
    assert service._machine._cordoned


def test_a_service_that_is_stopped_uncordons_the_worker(tmp_path: Path):
    (tmp_path / "retired").touch()

    def wait(_: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            manage_lifecycle.main(ENVIRONMENT, run=tmp_path, wait=wait)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not (tmp_path / "retired").exists(), "nothing else would uncordon the worker"


def _run(run: Path, passes: int) -> None:
    """Run the service; systemd ends it after `passes` passes."""
    left = iter(range(passes - 1))

    def wait(_: float) -> None:
        if next(left, None) is None:
            sys.exit(0)

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            manage_lifecycle.main(ENVIRONMENT, run=run, wait=wait)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_each_pass_notifies_the_watchdog_of_systemd(systemd: socket.socket, tmp_path: Path):
    _run(tmp_path, passes=2)
    systemd.setblocking(False)
    received = []
    with suppress(BlockingIOError):
        while True:
            received.append(systemd.recv(100))
    # systemctl writes there as well; systemd accepts notifications from the main process only.
    assert [each for each in received if not each.startswith(b"ERRNO=")] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]


def test_a_hang_costs_less_than_half_of_a_spot_notice(tmp_path: Path):
    settings = node_root.settings(node_root.build(tmp_path, Role.WORKER), "airflow-lifecycle.service")
    (hang,), (abort,), (pause,) = settings["WatchdogSec"], settings["TimeoutAbortSec"], settings["RestartSec"]
    assert int(hang) + int(abort) + int(pause) < LONGEST_NOTICE_SECONDS / 2


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_missing_variable_is_named(name: str, lines: Callable[[], list[dict]]):
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}
    assert manage_lifecycle.main(environment) == 1
    (line,) = lines()
    assert name in line["why"]


def test_the_service_outlives_the_worker_at_shutdown(tmp_path: Path):
    settings = node_root.settings(node_root.build(tmp_path, Role.WORKER), "airflow-lifecycle.service")
    assert settings["Before"] == ["airflow-worker.service"], "the unit that starts first stops last"
    assert settings["PartOf"] == ["airflow-node.target"]
    assert "network-online.target" in " ".join(settings["After"]).split()


def test_the_service_has_the_one_capability_that_it_needs(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    settings = node_root.settings(root, "airflow-lifecycle.service")
    (drop_in,) = (root / node_root.UNITS / "airflow-lifecycle.service.d").iterdir()
    assert drop_in.read_text().endswith("[Service]\nCapabilityBoundingSet=CAP_KILL\n")
    assert drop_in.name > "10-hardening.conf", "systemd reads them in this order, and the last one decides"
    assert "User" not in settings, "only root may control units"
    assert settings["NoNewPrivileges"] == ["yes"]
    hidden = {"ProtectProc", "ProcSubset"} & settings.keys()
    assert not hidden, "it reads the tasks' processes in /proc"


def test_a_restarted_service_finds_its_persisted_state(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    settings = node_root.settings(root, "airflow-lifecycle.service")
    assert manage_lifecycle.RUN.name in settings["RuntimeDirectory"][0].split()
    assert settings["RuntimeDirectoryPreserve"] == ["yes"]
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"]
    target = (root / node_root.UNITS / "airflow-node.target").read_text()
    assert re.search(r"^Wants=.*\bairflow-lifecycle\.service\b", target, re.MULTILINE)
