"""The actions of the lifecycle service, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The actions. The value is the event of the log line."""

    STOP_WORKER = "stop-worker"
    START_WORKER = "start-worker"
    RESTART_WORKER = "restart-worker"
    CORDON = "cordon"
    """Have the worker take no more tasks."""
    UNCORDON = "uncordon"
    """Have it take tasks again."""
    END_TASKS = "end-tasks"
    """End the tasks that still run, so that Airflow retries them at once on another worker."""
    HEARTBEAT = "heartbeat"
    """Extend the wait of the terminating lifecycle hook."""
    COMPLETE = "complete-lifecycle-action"
    """Let Auto Scaling continue with the termination, because the node is drained."""
    TERMINATE = "terminate"
    """Have the group end this instance and launch another."""
    SCALE_IN = "scale-in"
    """Have the group end this instance and become one smaller."""
    REPORT_UNHEALTHY = "report-unhealthy"
    POWER_OFF = "power-off"
    RECORD_BOOT = "record-boot"
    """Store in the worker registry how long the boot took."""


class Outcome(StrEnum):
    """How an action ended.

    REFUSED is final. FAILED may be temporary: a throttled API, a fault of the network, a service that does not respond.
    """

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Action:
    """One action, and the reason for the log."""

    kind: Kind
    reason: str


@dataclass(frozen=True)
class Result:
    """The result of an action. If `answered` is False, it may have been executed whatever the outcome says."""

    outcome: Outcome
    message: str = ""
    answered: bool = True


DONE = Result(Outcome.DONE)
