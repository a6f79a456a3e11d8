"""Does what was decided."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lifecycle.action import DONE, Action, Kind, Outcome, Result
from lifecycle.group_api import GroupApi
from lifecycle.registry_client import BoardVisit
from lifecycle.worker_tasks import WorkerTasks
from lifecycle.worker_unit import WorkerUnit


class Hands:
    """Every action by its kind. Nothing here raises for what another machine does or fails to do."""

    def __init__(
        self, *, unit: WorkerUnit, group: GroupApi, board: BoardVisit, tasks: WorkerTasks, retired: Path
    ) -> None:
        """`retired`: the file that tells the worker to take no more tasks, by being there."""
        self._tasks = tasks
        self._retired = retired
        self._ways = {
            Kind.STOP_WORKER: unit.stop,
            Kind.START_WORKER: unit.start,
            Kind.RESTART_WORKER: unit.restart,
            Kind.RETIRE: self._retire,
            Kind.RECALL: self._recall,
            Kind.END_TASKS: self._end_tasks,
            Kind.HEARTBEAT: group.heartbeat,
            Kind.CONTINUE: group.complete,
            Kind.TERMINATE: lambda: group.terminate(decrement=False),
            Kind.LEAVE: lambda: group.terminate(decrement=True),
            Kind.REPORT_UNHEALTHY: group.report_unhealthy,
            Kind.POWER_OFF: unit.power_off,
            # What held the worker back, an upgrade of the masters for instance, will not hold back the next one.
            Kind.NOTE_BOOT: lambda: board.note_boot(seconds_since_power_on() - unit.admission_seconds()),
        }

    def do(self, action: Action) -> Result:
        """Do it now."""
        return self._ways[action.kind]()

    def _retire(self) -> Result:
        try:
            self._retired.touch()
        except OSError as error:
            return Result(Outcome.FAILED, str(error))
        return DONE

    def _recall(self) -> Result:
        self._retired.unlink(missing_ok=True)
        return DONE

    def _end_tasks(self) -> Result:
        ended = self._tasks.end()
        return Result(DONE.outcome, f"ended {'; '.join(ended)}" if ended else "nothing runs any more")


def seconds_since_power_on(stat: Path = Path("/proc/1/stat")) -> float:
    """Since the machine's first process began; on EC2 that is some two seconds after its kernel.

    Not the clock of the kernel itself: in a container that is the host's.
    """
    # The second field is a name in brackets, which may hold anything; the start time is the 22nd.
    fields = stat.read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
