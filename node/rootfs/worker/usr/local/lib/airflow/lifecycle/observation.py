"""What the lifecycle service observes in one pass. Times are seconds of the monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_node import log
from airflow_node.worker_registry import GroupSizes

from lifecycle import pressure
from lifecycle.pressure import Resource
from lifecycle.stopwatch import Throttle
from lifecycle.termination_notices import Notices, TerminationNotices
from lifecycle.worker_service import RunningTasks, StateFile, Unit, WorkerReport, WorkerUnit

# EC2 recommends to check for spot notices every five seconds:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
NOTICES_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class RegistrySnapshot:
    """What was read from the worker registry. A field is None if its entry is missing or cannot be read.

    Attributes:
        cordoned: whether the masters have cordoned this worker.
        group: the sizes of its group.
        queued: messages in its queues.
        outlier: why this worker is at fault for tasks that fail at once on it; None if it is not.
        problem: why the registry could not be read at all.
        faults: why single entries could not be read, by key.
    """

    cordoned: bool | None = None
    group: GroupSizes | None = None
    queued: int | None = None
    outlier: str | None = None
    problem: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One pass.

    Attributes:
        unit: None if systemd does not answer.
        system_stopping: whether the machine is shutting down.
        worker: the worker's report; None while it does not run, or is not ready.
        running: tasks whose processes exist, whatever the report says; None if that is unknown.
        terminating: whether Auto Scaling is ending this instance.
        spot_end: when EC2 takes this spot instance back; None without a notice.
        cordoned: whether the masters have cordoned the worker; None if the registry cannot be read.
        group: the group's sizes; None if they are unknown.
        queued: messages in the worker's queues; None if the registry cannot be read.
        outlier: why the worker is at fault for tasks that fail at once on it; None if it is not.
        resources: free disk and memory; empty if they cannot be read.
    """

    now: float
    unit: Unit | None
    system_stopping: bool = False
    worker: WorkerReport | None = None
    running: int | None = 0
    terminating: bool = False
    spot_end: float | None = None
    cordoned: bool | None = False
    group: GroupSizes | None = None
    queued: int | None = 0
    outlier: str | None = None
    resources: tuple[Resource, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the worker reports."""
        return self.worker is not None and self.worker.is_fresh

    @property
    def load(self) -> int | None:
        """Tasks that the worker runs or has reserved; None if it does not report."""
        return self.worker.load if self.worker is not None and self.worker.is_fresh else None

    @property
    def reason_to_end(self) -> str | None:
        """Why this node must end; None if it need not."""
        if self.terminating:
            return "Auto Scaling is terminating this instance"
        if self.spot_end is not None:
            return f"EC2 takes this spot instance back in {max(0.0, self.spot_end - self.now):.0f} s"
        if self.system_stopping:
            return "the machine is shutting down"
        return None


class Observer:
    """Reads all sources once per pass. Each of them has a short time-out."""

    def __init__(
        self, *, unit: WorkerUnit, state_file: StateFile, tasks: RunningTasks, notices: TerminationNotices
    ) -> None:
        self._unit = unit
        self._state_file = state_file
        self._tasks = tasks
        self._termination_notices = notices
        self._notices = Notices()
        self._throttle = Throttle()
        self._problem: str | None = None

    def observe(self, now: float, registry: RegistrySnapshot) -> Observation:
        """Read everything but the registry, which is read less often."""
        if self._throttle.is_due(now):
            self._throttle.pause(now, NOTICES_SECONDS)
            self._read_notices()
        unit, stopping = self._unit.read()
        return Observation(
            now=now,
            unit=unit,
            system_stopping=stopping,
            worker=self._state_file.read(now),
            running=self._tasks.count(unit),
            terminating=self._notices.terminating,
            spot_end=self._notices.spot_end,
            cordoned=registry.cordoned,
            group=registry.group,
            queued=registry.queued,
            outlier=registry.outlier,
            resources=pressure.read_resources(),
        )

    def _read_notices(self) -> None:
        """The last answer holds until the next one: a notice is never withdrawn."""
        try:
            notices = self._termination_notices.read()
        except OSError as error:
            if self._problem is None:
                self._problem = str(error)
                log.event("metadata-service-unreachable", why=self._problem)
            return
        if self._problem is not None:
            self._problem = None
            log.event("metadata-service-reachable")
        if notices.rebalance and not self._notices.rebalance:
            # A group with capacity rebalancing launches another node first and ends this one through its hook, and a
            # recommendation may come hours early or for nothing: to stop work now would only remove capacity.
            log.event("rebalance-recommended", why="EC2 may take this spot instance back; it works until it must end")
        self._notices = notices
