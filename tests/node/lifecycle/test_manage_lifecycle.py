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
from tests.node.lifecycle.node_of import AT_MINIMUM, BUSY, IDLE, LIMITS, Kind, action, life, memory, seen
from tests.node.programs import load, module

manage_lifecycle = load("manage-lifecycle")
board_visit = module("lifecycle.registry_client")
LONGEST_NOTICE_SECONDS = module("lifecycle.metadata_service").LONGEST_NOTICE_SECONDS

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


class _World:
    """What the service sees and reaches. `now` is what it sees next."""

    def __init__(self) -> None:
        self.now: Mapping[str, Any] = {}
        self.reports: list[str] = []
        self.done: list[str] = []
        self.faults: Mapping[str, str] = {}

    def look(self, now: float, bulletin: Any) -> Any:
        del bulletin
        return seen(now, **{"group": AT_MINIMUM, **self.now})

    def visit(self, *, state: str, seen: Any, idle_seconds: float) -> Any:
        del seen, idle_seconds
        self.reports.append(str(state))
        return board_visit.Bulletin(retired=False, faults=self.faults)

    def do(self, what: Any) -> Any:
        self.done.append(str(what.kind))
        return action.DONE


def _agent(world: Any, path: Path) -> Any:
    one_life = life.Life(LIMITS, memory.Memory.read(path), now=0.0, retired=False)
    return manage_lifecycle.Agent(life=one_life, senses=world, hands=world, board=world, memory=path)


@pytest.fixture
def world() -> _World:
    return _World()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_change_of_state_is_on_the_board_at_the_next_look(world: _World, tmp_path: Path):
    agent = _agent(world, tmp_path / "memory.json")
    for now in (0.0, 2.0, 4.0, 6.0, 8.0):
        agent.look(now)
    assert world.reports == ["starting", "working", "working"], "every five seconds, and when there is news"


def test_a_node_that_has_ended_is_reported_as_one_that_drains(world: _World, tmp_path: Path):
    agent = _agent(world, tmp_path / "memory.json")
    world.now = {"terminating": True, "unit": seen(0).unit.__class__(active_state="inactive")}
    for now in (0.0, 2.0, 4.0):
        agent.look(now)
    assert world.reports[-1] == "draining"


def test_every_action_is_one_line_with_its_reason(world: _World, tmp_path: Path, lines: Callable[[], list[dict]]):
    agent = _agent(world, tmp_path / "memory.json")
    agent.look(0.0)
    world.now = {"terminating": True, "worker": BUSY}
    agent.look(2.0)
    told = {line["event"]: line for line in lines()}
    assert told["stop-worker"]["why"] == "Auto Scaling is terminating this instance"
    assert told["state"] == {
        "event": "state",
        "before": "working",
        "now": "draining",
        "tasks": ["etl manual__1 load try 1"],
    }


def test_a_key_that_a_task_has_spoilt_is_named_once(world: _World, tmp_path: Path, lines: Callable[[], list[dict]]):
    agent = _agent(world, tmp_path / "memory.json")
    world.faults = {"group:default": "has a value of another type"}
    for now in (0.0, 6.0, 12.0):
        agent.look(now)
    told = [line for line in lines() if line["event"] == "broker-key-ignored"]
    assert told == [{"event": "broker-key-ignored", "key": "group:default", "why": "has a value of another type"}]


def test_what_must_not_be_forgotten_is_written_down(world: _World, tmp_path: Path):
    path = tmp_path / "memory.json"
    agent = _agent(world, path)
    world.now = {"worker": IDLE}
    agent.look(0.0)
    assert memory.Memory.read(path).boot_noted
    world.now = {"terminating": True}
    agent.look(7.0)
    assert memory.Memory.read(path) == memory.Memory(boot_noted=True, draining_since=7.0, terminating=True)


def test_room_for_what_must_not_be_forgotten_is_taken_at_the_first_look(world: _World, tmp_path: Path):
    _agent(world, tmp_path / "memory.json").look(0.0)
    assert (tmp_path / "memory.json").exists()


def test_a_full_run_directory_does_not_delay_the_end_of_a_drain(
    world: _World, tmp_path: Path, lines: Callable[[], list[dict]]
):
    agent = _agent(world, tmp_path / "memory.json")
    (tmp_path / "memory.json").symlink_to("/dev/full")
    world.now = {"terminating": True, "worker": BUSY}
    for now in range(0, int(LIMITS.drain) + 4, 2):
        agent.look(float(now))
    assert world.done[-1] == Kind.END_TASKS
    told = [line for line in lines() if line["event"] == "memory-not-written"]
    assert [line["why"] for line in told] == ["[Errno 28] No space left on device"], "said once"


def test_a_failed_look_loses_nothing_that_the_service_remembers(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[dict]]
):
    agents = []

    def look(agent: Any, _: float) -> None:
        agents.append(agent)
        if len(agents) == 1:
            raise LookupError("an odd answer")

    monkeypatch.setattr(manage_lifecycle.Agent, "look", look)
    _run(tmp_path, looks=2)
    assert agents[0] is agents[1]
    assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"], "one look went well"
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    (line,) = lines()
    assert line["event"] == "look-failed"
    assert line["why"].endswith("LookupError: an odd answer")


def test_the_service_begins_with_what_the_node_tells_it(tmp_path: Path):
    (tmp_path / "retired").touch()
    agent = manage_lifecycle.build(ENVIRONMENT, run=tmp_path, now=0.0)
    assert agent._life.retired, "it was, before the service was restarted"


def test_a_service_that_is_stopped_leaves_nobody_retired(tmp_path: Path):
    (tmp_path / "retired").touch()

    def wait(_: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            manage_lifecycle.main(ENVIRONMENT, run=tmp_path, wait=wait)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not (tmp_path / "retired").exists(), "nobody would call the worker back"


def _run(run: Path, looks: int) -> None:
    """Run the service; systemd ends it after `looks` passes."""
    left = iter(range(looks - 1))

    def wait(_: float) -> None:
        if next(left, None) is None:
            sys.exit(0)

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            manage_lifecycle.main(ENVIRONMENT, run=run, wait=wait)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_systemd_is_told_after_each_look_that_it_goes_on(systemd: socket.socket, tmp_path: Path):
    _run(tmp_path, looks=2)
    systemd.setblocking(False)
    heard = []
    with suppress(BlockingIOError):
        while True:
            heard.append(systemd.recv(100))
    # systemctl writes there as well; systemd accepts notifications from the main process only.
    assert [each for each in heard if not each.startswith(b"ERRNO=")] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]


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
    assert settings["Before"] == ["airflow-worker.service"], "what starts first stops last"
    assert settings["PartOf"] == ["airflow-node.target"]
    assert "network-online.target" in " ".join(settings["After"]).split()


def test_the_service_has_the_one_power_that_it_needs(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    settings = node_root.settings(root, "airflow-lifecycle.service")
    (power,) = (root / node_root.UNITS / "airflow-lifecycle.service.d").iterdir()
    assert power.read_text().endswith("[Service]\nCapabilityBoundingSet=CAP_KILL\n")
    assert power.name > "10-hardening.conf", "systemd reads them in this order, and the last one decides"
    assert "User" not in settings, "systemd takes orders from root alone"
    assert settings["NoNewPrivileges"] == ["yes"]
    hidden = {"ProtectProc", "ProcSubset"} & settings.keys()
    assert not hidden, "it looks for the tasks' processes"


def test_a_restarted_service_finds_what_it_wrote(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    settings = node_root.settings(root, "airflow-lifecycle.service")
    assert settings["RuntimeDirectory"] == [manage_lifecycle.RUN.name]
    assert settings["RuntimeDirectoryPreserve"] == ["yes"]
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"]
    target = (root / node_root.UNITS / "airflow-node.target").read_text()
    assert re.search(r"^Wants=.*\bairflow-lifecycle\.service\b", target, re.MULTILINE)
