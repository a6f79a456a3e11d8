"""Everything the lifecycle service sees in one look. Times are seconds of the monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from airflow_node.worker_registry import GroupSizes

from lifecycle.pressure import Resource

# The worker writes its file each second; a machine short of memory or processor may take its time.
FRESH_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Unit:
    """airflow-worker.service as systemd sees it."""

    active_state: str
    main_pid: int = 0
    has_job: bool = False

    @property
    def is_down(self) -> bool:
        """Nothing of it runs, and nothing is about to."""
        return self.active_state in ("inactive", "failed") and not self.has_job

    @property
    def is_up(self) -> bool:
        """It runs and is not on its way out."""
        return self.active_state in ("active", "activating", "reloading")

    @property
    def is_stopping(self) -> bool:
        """It is on its way out."""
        return self.active_state == "deactivating"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What the worker says about itself.

    Attributes:
        age_seconds: since it last said so.
        connected: to the broker.
        queues: those that it consumes now.
        reserved: tasks that it has taken and not started.
        tasks: those that it runs, each by its name.
        failed_at_once: number of tasks that failed at once in the last minutes.
        others: number of all other tasks of the last minutes.
    """

    age_seconds: float
    connected: bool
    queues: tuple[str, ...]
    reserved: int
    tasks: tuple[str, ...]
    failed_at_once: int = 0
    others: int = 0

    @property
    def is_fresh(self) -> bool:
        return self.age_seconds <= FRESH_SECONDS

    @property
    def load(self) -> int:
        """Tasks that run or are about to."""
        return self.reserved + len(self.tasks)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One look.

    Attributes:
        unit: None if systemd does not answer.
        system_stopping: the machine is shutting down.
        worker: None while it is not running, or not ready.
        running: tasks whose processes are there, whatever the worker says; None if that cannot be told.
        terminating: Auto Scaling is ending this instance.
        spot_end: when EC2 takes the machine away, if it has said so.
        retired: whether the masters want the worker to take no more tasks; None if the board cannot be read.
        group: the group's sizes, as far as they are known.
        queued: messages in the worker's queues; None if the board cannot be read.
        outlier: why the worker is at fault for tasks that fail at once on it; None if it is not.
        resources: free disk and memory; empty if they cannot be read.
    """

    now: float
    unit: Unit | None
    system_stopping: bool = False
    worker: Worker | None = None
    running: int | None = 0
    terminating: bool = False
    spot_end: float | None = None
    retired: bool | None = False
    group: GroupSizes | None = None
    queued: int | None = 0
    outlier: str | None = None
    resources: tuple[Resource, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the worker is there and speaks."""
        return self.worker is not None and self.worker.is_fresh

    @property
    def load(self) -> int | None:
        """Tasks that the worker has; None if it does not say."""
        return self.worker.load if self.worker is not None and self.worker.is_fresh else None

    @property
    def reason_to_go(self) -> str | None:
        """Why this node has to end, whether it wants to or not."""
        if self.terminating:
            return "Auto Scaling is terminating this instance"
        if self.spot_end is not None:
            return f"EC2 takes this spot instance back in {max(0.0, self.spot_end - self.now):.0f} s"
        if self.system_stopping:
            return "the machine is shutting down"
        return None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The pool's settings; times in seconds.

    Attributes:
        slots: tasks that a worker can run at a time.
        idle: after this time without a task a worker leaves.
        drain: after this time of draining the tasks that still run are ended.
        heartbeat: for how long the terminating hook waits without a heartbeat.
    """

    slots: int
    idle: float
    drain: float
    heartbeat: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The limits in airflow.env. ValueError names the variable that is no number."""
        return cls(
            slots=int(_number(environment, "NODE_CONCURRENCY", "tasks")),
            idle=_seconds(environment, "NODE_IDLE_SECONDS"),
            drain=_seconds(environment, "NODE_DRAIN_LIMIT_SECONDS"),
            heartbeat=_seconds(environment, "NODE_HEARTBEAT_SECONDS"),
        )


def _seconds(environment: Mapping[str, str], name: str) -> float:
    return _number(environment, name, "seconds")


def _number(environment: Mapping[str, str], name: str, unit: str) -> float:
    text = environment.get(name, "")
    if not text.isdigit():
        raise ValueError(f"{name} is {text or 'missing'} in /etc/airflow/airflow.env; it has to be a number of {unit}.")
    return float(text)
