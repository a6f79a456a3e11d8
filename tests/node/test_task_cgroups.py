from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from node.roles import Role
from tests.node import node_root, redis_server, supervised_tasks
from tests.node.programs import load

task_cgroups = load("python/task_cgroups.py")


def test_tasks_run_also_where_no_cgroup_can_be_made(broker: redis_server.Server, tmp_path: Path):
    """As with another kernel, or a changed unit."""
    with supervised_tasks.running(broker, tmp_path, cgroups=tmp_path) as worker:
        worker.finish()
        worker.start_task().get(timeout=60)
        worker.end_daemons()
        assert "Processes that tasks leave behind will not be killed" in worker.log


def test_the_unit_lets_the_worker_make_cgroups(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    (dropin,) = (root / node_root.UNITS / "airflow-worker.service.d").glob("*task-cgroups.conf")
    assert "Delegate=yes\nProtectControlGroups=no\n" in dropin.read_text()
    assert dropin.name > "10-hardening.conf", "systemd reads them in this order, and the last one decides"


@pytest.fixture
def gone(tmp_path: Path) -> int:
    """The process id of a supervisor that has ended, whose cgroup still exists."""
    process = subprocess.Popen(["true"])
    process.wait()
    (tmp_path / f"supervisor-{process.pid}").mkdir()
    return process.pid


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("name", ["supervisor-x", "supervisor-", "supervisor-\u00b2"])
def test_a_cgroup_that_a_task_has_named_like_a_supervisors_is_removed(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    assert task_cgroups.TaskCgroups(tmp_path).kill_abandoned() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_cgroup_whose_processes_cannot_be_killed_does_not_protect_others(
    tmp_path: Path, gone: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A task may have started a process as root, with sudo."""
    (tmp_path / "supervisor-0").mkdir()

    def kill(cgroup: Path) -> list[str]:
        if cgroup.name == "supervisor-0":
            raise PermissionError(1, "Operation not permitted")
        return ["sleep (12)"]

    monkeypatch.setattr(task_cgroups, "_kill", kill)
    cgroups = task_cgroups.TaskCgroups(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert cgroups.kill_abandoned() == {gone: ["sleep (12)"]}
        assert cgroups.kill_abandoned() == {}
    [logged] = [record.getMessage() for record in caplog.records]
    failure = "Processes of the lost task supervisor 0 cannot be killed: [Errno 1] Operation not permitted"
    assert logged == failure, "once, not each second"
