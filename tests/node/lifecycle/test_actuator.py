from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from tests.node.lifecycle.node_of import Kind, Outcome, actions, worker_service
from tests.node.programs import load, module

actuator_module = module("lifecycle.actuator")
registry_client = module("lifecycle.registry_client")


class _Parts:
    """The parts that actions use. A method or an argument that the real part lacks is an error."""

    def __init__(self) -> None:
        self.unit = create_autospec(worker_service.WorkerUnit, instance=True)
        self.group = create_autospec(actuator_module.Group, instance=True)
        self.registry = create_autospec(registry_client.RegistryClient, instance=True)
        self.tasks = create_autospec(worker_service.RunningTasks, instance=True)
        for method in (
            *(self.unit.stop, self.unit.start, self.unit.restart, self.unit.power_off, self.registry.record_boot),
            *(self.group.heartbeat, self.group.complete, self.group.terminate, self.group.report_unhealthy),
        ):
            method.return_value = actions.DONE
        self.unit.admission_seconds.return_value = 1e6
        self.tasks.end.return_value = ["etl manual__1 load try 1", "etl manual__2 load try 1"]


@pytest.fixture
def parts() -> _Parts:
    return _Parts()


@pytest.fixture
def actuator(parts: _Parts, tmp_path: Path) -> Any:
    return actuator_module.Actuator(**vars(parts), cordon_file=tmp_path / "retired")


def _do(actuator: Any, kind: str) -> Any:
    return actuator.do(actions.Action(kind, "the reason"))


def test_every_kind_of_action_can_be_done(actuator: Any):
    for kind in Kind:
        assert _do(actuator, kind).outcome == Outcome.DONE


@pytest.mark.parametrize(("kind", "decrement"), [(Kind.SCALE_IN, True), (Kind.TERMINATE, False)])
def test_only_a_scale_in_makes_the_group_smaller(actuator: Any, parts: _Parts, kind: str, decrement: bool):
    _do(actuator, kind)
    parts.group.terminate.assert_called_once_with(decrement=decrement)


def test_a_worker_is_cordoned_by_a_file_and_uncordoned_by_its_absence(actuator: Any, tmp_path: Path):
    _do(actuator, Kind.CORDON)
    assert (tmp_path / "retired").exists()
    _do(actuator, Kind.UNCORDON)
    _do(actuator, Kind.UNCORDON)
    assert not (tmp_path / "retired").exists()


def test_a_cordon_without_space_for_the_file_fails(actuator: Any, tmp_path: Path):
    tmp_path.rmdir()
    assert _do(actuator, Kind.CORDON).outcome == Outcome.FAILED


def test_the_worker_reads_the_cordon_file_that_the_service_writes():
    program = load("manage-lifecycle")
    assert program.RUN / program.CORDON_FILE == load("python/worker_report.py").CORDON_FILE


def test_the_admission_does_not_count_as_boot(actuator: Any, parts: _Parts):
    """Masters launch workers ahead by the length of a boot."""
    _do(actuator, Kind.RECORD_BOOT)
    ((seconds,), _) = parts.registry.record_boot.call_args
    assert seconds == pytest.approx(actuator_module.seconds_since_power_on() - 1e6, abs=5)


def test_the_result_names_each_task_that_was_ended(actuator: Any):
    assert _do(actuator, Kind.END_TASKS).message == "ended etl manual__1 load try 1; etl manual__2 load try 1"


def test_the_length_of_a_boot_counts_from_the_first_process(tmp_path: Path):
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 42) * os.sysconf("SC_CLK_TCK"))
    (tmp_path / "1").mkdir()
    (tmp_path / "1/stat").write_text(f"1 (sys) (temd) S {' '.join(['0'] * 18)} {ticks} 0 0\n")
    assert actuator_module.seconds_since_power_on(tmp_path) == pytest.approx(42, abs=1)
