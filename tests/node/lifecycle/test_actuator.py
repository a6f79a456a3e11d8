from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.node.lifecycle.node_of import Kind, action
from tests.node.programs import load, module

hands = module("lifecycle.actuator")


class _Recorder:
    """Stands for everything that an action may reach, and notes what was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def end(self) -> list[str]:
        self.calls.append(("end", {}))
        return ["etl manual__1 load try 1", "etl manual__2 load try 1"]

    def admission_seconds(self) -> float:
        return 1e6

    def note_boot(self, seconds: float) -> Any:
        self.calls.append(("note_boot", {"seconds": seconds}))
        return action.DONE

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **arguments: Any) -> Any:
            self.calls.append((name, arguments))
            return action.DONE

        return call


@pytest.fixture
def reached() -> _Recorder:
    return _Recorder()


@pytest.fixture
def both(reached: _Recorder, tmp_path: Path) -> hands.Hands:
    parts: Any = reached
    return hands.Hands(unit=parts, group=parts, board=parts, tasks=parts, retired=tmp_path / "retired")


def _do(both: hands.Hands, kind: str) -> Any:
    return both.do(action.Action(kind, "the reason"))


def test_there_is_a_way_to_do_everything(both: hands.Hands):
    for kind in Kind:
        assert _do(both, kind).outcome == action.Outcome.DONE


@pytest.mark.parametrize(("kind", "decrement"), [(Kind.LEAVE, True), (Kind.TERMINATE, False)])
def test_only_a_worker_that_leaves_makes_its_group_smaller(
    both: hands.Hands, reached: _Recorder, kind: str, decrement: bool
):
    _do(both, kind)
    assert reached.calls == [("terminate", {"decrement": decrement})]


def test_a_worker_is_retired_by_a_file_and_called_back_by_its_absence(both: hands.Hands, tmp_path: Path):
    _do(both, Kind.RETIRE)
    assert (tmp_path / "retired").exists()
    _do(both, Kind.RECALL)
    _do(both, Kind.RECALL)
    assert not (tmp_path / "retired").exists()


def test_a_worker_that_cannot_be_told_to_rest_is_no_reason_to_end(both: hands.Hands, tmp_path: Path):
    tmp_path.rmdir()
    assert _do(both, Kind.RETIRE).outcome == action.Outcome.FAILED


def test_the_worker_looks_for_that_file_where_the_service_puts_it():
    program = load("manage-lifecycle")
    assert program.RUN / program.RETIRED == load("python/worker_report.py").RETIRED_FILE


def test_a_worker_that_was_held_back_has_not_booted_for_as_long(both: hands.Hands, reached: _Recorder):
    """Masters launch workers ahead by as much as boots take."""
    _do(both, Kind.NOTE_BOOT)
    [(name, arguments)] = reached.calls
    assert name == "note_boot"
    assert arguments["seconds"] == pytest.approx(hands.seconds_since_power_on() - 1e6, abs=5)


def test_the_log_names_each_task_that_was_ended(both: hands.Hands):
    assert _do(both, Kind.END_TASKS).message == "ended etl manual__1 load try 1; etl manual__2 load try 1"


def test_the_clock_of_a_boot_starts_with_the_first_process(tmp_path: Path):
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 42) * os.sysconf("SC_CLK_TCK"))
    stat = tmp_path / "stat"
    stat.write_text(f"1 (sys) (temd) S {' '.join(['0'] * 18)} {ticks} 0 0\n")
    assert hands.seconds_since_power_on(stat) == pytest.approx(42, abs=1)
