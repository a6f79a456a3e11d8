from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.node.lifecycle.node_of import unit
from tests.node.programs import module

worker_tasks = module("lifecycle.worker_tasks")
worker_file = module("lifecycle.worker_file")
situation = module("lifecycle.observation")


@pytest.fixture
def tasks(tmp_path: Path) -> worker_tasks.WorkerTasks:
    return worker_tasks.WorkerTasks(worker_file.WorkerFile(tmp_path / "state.json"))


def test_what_systemd_does_not_say_cannot_be_told(tasks: worker_tasks.WorkerTasks):
    assert tasks.running(None) is None


def test_nothing_runs_without_a_worker(tasks: worker_tasks.WorkerTasks):
    assert tasks.running(unit("inactive")) == 0
    assert tasks.end() == []


def test_tasks_are_looked_for_below_the_unit(tasks: worker_tasks.WorkerTasks, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr(worker_tasks.task_processes, "running_tasks", lambda pid, _: asked.append(pid) or ["a", "b"])
    monkeypatch.setattr(worker_tasks.task_processes, "end_tasks", lambda pid, _: asked.append(pid) or ["a", "b"])
    assert tasks.running(situation.Unit(active_state="deactivating", main_pid=os.getpid())) == 2
    assert tasks.end() == ["a", "b"]
    assert asked == [os.getpid(), os.getpid()]
