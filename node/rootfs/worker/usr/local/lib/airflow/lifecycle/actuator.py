"""Carries out the actions: on the worker's unit, on its tasks, and through its Auto Scaling group."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import task_processes
from airflow_node import autoscaling, log
from airflow_node.autoscaling import LifecycleHook
from airflow_node.aws_request import AwsError, Timeouts

from lifecycle.actions import DONE, Action, Kind, Outcome, Result
from lifecycle.registry_client import RegistryClient
from lifecycle.worker_service import RunningTasks, WorkerUnit

# systemd's watchdog limits the length of a pass.
TIMEOUTS = Timeouts(request=3.5, metadata=1.0)


class Group:
    """The worker's requests to its Auto Scaling group. Each is a single attempt: the state machine decides on another.

    A refusal that a retry cannot change is REFUSED. None of the methods raises.
    """

    def __init__(self, *, instance: str, name: str, hook: str) -> None:
        """`hook`: the terminating lifecycle hook."""
        self._instance = instance
        self._hook = LifecycleHook(name=hook, group=name, instance=instance, timeouts=TIMEOUTS)

    def heartbeat(self) -> Result:
        """Have the hook wait for another heartbeat time-out."""
        return self._ask(self._hook.heartbeat)

    def complete(self) -> Result:
        """Let Auto Scaling continue with the termination."""
        return self._ask(lambda: self._hook.complete(autoscaling.CONTINUE))

    def terminate(self, *, decrement: bool) -> Result:
        """End this instance; with `decrement` the group becomes one smaller instead of replacing it."""
        return self._ask(lambda: autoscaling.terminate(self._instance, decrement=decrement, timeouts=TIMEOUTS))

    def report_unhealthy(self) -> Result:
        """Have the group replace this instance, also within the group's grace period."""
        return self._ask(
            lambda: autoscaling.report_unhealthy(self._instance, respect_grace_period=False, timeouts=TIMEOUTS)
        )

    def _ask(self, request: Callable[[], bool | None]) -> Result:
        try:
            waits = request()
        except AwsError as error:
            outcome = Outcome.REFUSED if error.code == autoscaling.FINAL else Outcome.FAILED
            # An error of the server (5xx) may follow the execution.
            return Result(outcome, log.one_line(error), answered=error.status < 500)
        except Exception as error:  # noqa: BLE001 - network, credentials: the service retries
            return Result(Outcome.FAILED, log.one_line(error), answered=False)
        return Result(Outcome.REFUSED, "no lifecycle action waits") if waits is False else DONE


class Actuator:
    """Executes actions, one method for each kind. None of them raises if another machine or a service fails."""

    def __init__(
        self, *, unit: WorkerUnit, group: Group, registry: RegistryClient, tasks: RunningTasks, cordon_file: Path
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
            # What has delayed this worker's admission, such as an upgrade of the masters, will not delay the next one.
            Kind.RECORD_BOOT: lambda: registry.record_boot(seconds_since_power_on() - unit.admission_seconds()),
        }

    def do(self, action: Action) -> Result:
        """Execute the action."""
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
