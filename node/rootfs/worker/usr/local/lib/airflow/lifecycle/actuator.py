"""Carries out the actions."""

from __future__ import annotations

import os
import time
from pathlib import Path

import task_processes

from lifecycle.actions import DONE, Action, Kind, Outcome, Result
from lifecycle.group_api import GroupApi
from lifecycle.registry_client import RegistryClient
from lifecycle.worker_service import RunningTasks, WorkerUnit


class Actuator:
    """One method for each kind of action. None of them raises if another machine or a service fails."""

    def __init__(
        self, *, unit: WorkerUnit, group: GroupApi, registry: RegistryClient, tasks: RunningTasks, cordon_file: Path
    ) -> None:
        """`cordon_file`: while it exists, the worker takes no new task."""
        self._tasks = tasks
        self._cordon_file = cordon_file
        self._methods = {
            Kind.STOP_WORKER: unit.stop,
            Kind.START_WORKER: unit.start,
            Kind.RESTART_WORKER: unit.restart,
            Kind.CORDON: self._cordon,
            Kind.UNCORDON: self._uncordon,
            Kind.END_TASKS: self._end_tasks,
            Kind.HEARTBEAT: group.heartbeat,
            Kind.COMPLETE: group.complete,
            Kind.TERMINATE: lambda: group.terminate(decrement=False),
            Kind.SCALE_IN: lambda: group.terminate(decrement=True),
            Kind.REPORT_UNHEALTHY: group.report_unhealthy,
            Kind.POWER_OFF: unit.power_off,
            # What has delayed this worker, an upgrade of the masters for instance, will not delay the next one.
            Kind.RECORD_BOOT: lambda: registry.record_boot(seconds_since_power_on() - unit.admission_seconds()),
        }

    def do(self, action: Action) -> Result:
        """Do it now."""
        return self._methods[action.kind]()

    def _cordon(self) -> Result:
        try:
            self._cordon_file.touch()
        except OSError as error:
            return Result(Outcome.FAILED, str(error))
        return DONE

    def _uncordon(self) -> Result:
        self._cordon_file.unlink(missing_ok=True)
        return DONE

    def _end_tasks(self) -> Result:
        ended = self._tasks.end()
        return Result(DONE.outcome, f"ended {'; '.join(ended)}" if ended else "no task runs any more")


def seconds_since_power_on(proc: Path = Path("/proc")) -> float:
    """Time since the machine's first process started; on EC2 that is some two seconds after the kernel.

    The kernel's own uptime would not do: in a container, as in the lab, it is the host's.
    """
    first = task_processes.read_process(1, proc)
    if first is None:
        raise OSError("the machine has no process 1")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - first.started / os.sysconf("SC_CLK_TCK")
