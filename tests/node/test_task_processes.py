from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.node.programs import module

task_processes = module("task_processes")

# A worker's tree: its main process, one supervisor per task, the task. Each writes down who it is when it is ready;
# a supervisor also how its task ended.
TREE = textwrap.dedent("""
    import os, pathlib, signal, subprocess, sys, time
    folder = pathlib.Path(sys.argv[1])

    def note(name, text):
        (folder / f"{name}.part").write_text(str(text))
        (folder / f"{name}.part").rename(folder / name)

    def stubborn():
        signal.signal(signal.SIGTERM, lambda *_: note("told", "SIGTERM"))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        note("stubborn", os.getpid())
        while True:
            time.sleep(60)

    def shell():
        child = subprocess.Popen(
            ["sh", "-c", "trap '' TERM INT; echo $$ >$0.part; mv $0.part $0; while :; do sleep 9; done", folder / "sh"],
            start_new_session=True,
        )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        note("shell", os.getpid())
        child.wait()

    def deaf():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        note("deaf", os.getpid())
        while True:
            time.sleep(60)

    def quick():
        note("quick", os.getpid())
        time.sleep(600)

    for task in (stubborn, shell, deaf, quick):
        if os.fork() == 0:
            if (pid := os.fork()) == 0:
                os.setpgid(0, 0)
                task()
                os._exit(0)
            note(f"supervisor-of-{task.__name__}", os.getpid())
            note(f"end-of-{task.__name__}", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            time.sleep(600)
    time.sleep(600)
""")


class Tree:
    """A worker with four tasks: one survives SIGTERM, one has a shell that does, one also survives SIGINT, one ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.main = subprocess.Popen([sys.executable, "-c", TREE, str(folder)], start_new_session=True)

    def read(self, name: str) -> int:
        """What a process has written down."""
        _until(lambda: (self._folder / name).exists())
        return int((self._folder / name).read_text())

    def state(self) -> dict[str, object]:
        """The state that the worker wrote last; it knew all tasks but one."""
        known = ("stubborn", "shell", "deaf")
        return {"active": [{"pid": self.read(f"supervisor-of-{name}"), "task": f"dag run {name}"} for name in known]}

    def end(self) -> None:
        """Kill the remaining processes."""
        for task in task_processes._with_descendants([task_processes.read_process(self.main.pid)]):
            with suppress(ProcessLookupError):
                os.kill(task.pid, signal.SIGKILL)
        self.main.wait(10)


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def _gone(pid: int) -> bool:
    return task_processes.read_process(pid) is None


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    found = Tree(tmp_path)
    for name in ("stubborn", "shell", "deaf", "quick", "sh"):
        found.read(name)
    yield found
    found.end()


def test_the_running_tasks_are_found_below_the_main_process(tree: Tree):
    found = {task.process.pid: task.name for task in task_processes.running_tasks(tree.main.pid, tree.state())}
    assert found == {
        tree.read("stubborn"): "dag run stubborn",
        tree.read("shell"): "dag run shell",
        tree.read("deaf"): "dag run deaf",
        tree.read("quick"): f"unknown (process {tree.read('quick')})",
    }


@pytest.mark.parametrize("state", [None, {}, {"active": None}, {"active": [7]}, {"active": [{"pid": 7}]}, []])
def test_tasks_are_found_whatever_the_last_state_was(tree: Tree, state: object):
    assert len(task_processes.running_tasks(tree.main.pid, state)) == 4


def test_every_task_ends_and_its_supervisor_reports_a_failure(tree: Tree):
    ended = task_processes.end_tasks(tree.main.pid, tree.state(), grace_seconds=0.5)
    assert sorted(ended)[:3] == ["dag run deaf", "dag run shell", "dag run stubborn"]
    assert len(ended) == 4
    assert tree.read("end-of-deaf") == -signal.SIGKILL
    assert tree.read("end-of-stubborn") == -signal.SIGINT, "of SIGKILL Airflow's log says that memory may have run out"
    assert tree.read("end-of-shell") == 3, "it had its time to clean up"
    assert tree.read("end-of-quick") == -signal.SIGTERM
    assert task_processes.running_tasks(tree.main.pid, None) == []


def test_a_task_gets_sigterm_before_it_is_killed(tree: Tree, tmp_path: Path):
    task_processes.end_tasks(tree.main.pid, None, grace_seconds=0.5)
    assert (tmp_path / "told").read_text() == "SIGTERM", "on_kill stops what the task has started elsewhere"


def test_a_shell_that_ignores_signals_does_not_outlive_its_task(tree: Tree):
    shell = tree.read("sh")
    task_processes.end_tasks(tree.main.pid, None, grace_seconds=0.5)
    _until(lambda: _gone(shell))


def test_supervisors_and_the_main_process_are_not_signalled(tree: Tree):
    supervisors = [tree.read(f"supervisor-of-{name}") for name in ("stubborn", "shell", "deaf", "quick")]
    task_processes.end_tasks(tree.main.pid, None, grace_seconds=0.5)
    assert not any(_gone(pid) for pid in (*supervisors, tree.main.pid))


def test_the_call_returns_as_soon_as_all_tasks_have_ended(tmp_path: Path):
    tree = Tree(tmp_path)
    for name in ("stubborn", "deaf"):
        os.kill(tree.read(name), signal.SIGKILL)
    for name in ("end-of-stubborn", "end-of-deaf", "shell", "sh", "quick"):
        tree.read(name)
    began = time.monotonic()
    task_processes.end_tasks(tree.main.pid, None, grace_seconds=30)
    assert time.monotonic() - began < 10
    tree.end()


def test_no_process_is_ended_on_a_worker_without_tasks():
    with subprocess.Popen(["sleep", "600"]) as main:
        assert task_processes.end_tasks(main.pid, None) == []
        main.kill()


def test_a_later_process_with_the_same_id_is_not_signalled():
    with subprocess.Popen(["sleep", "600"]) as later:
        now = task_processes.read_process(later.pid)
        task_processes._signal([task_processes.Process(pid=now.pid, parent=1, started=now.started - 1)], signal.SIGKILL)
        with pytest.raises(subprocess.TimeoutExpired):
            later.wait(0.5)
        later.kill()
