"""What the lifecycle service can do, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The word for each action, as it stands in the log."""

    STOP_WORKER = "stop-worker"
    START_WORKER = "start-worker"
    RESTART_WORKER = "restart-worker"
    RETIRE = "retire"
    """Ask the worker to take no more tasks."""
    RECALL = "recall"
    """Take it back into work."""
    END_TASKS = "end-tasks"
    """End what runs, so that Airflow tries it again at once elsewhere."""
    HEARTBEAT = "heartbeat"
    """Ask Auto Scaling to wait on, with the terminating hook."""
    CONTINUE = "continue"
    """Tell Auto Scaling that the node is drained."""
    TERMINATE = "terminate"
    """Have the group end this instance and launch another."""
    LEAVE = "leave"
    """Have the group end this instance and be one smaller."""
    REPORT_UNHEALTHY = "report-unhealthy"
    POWER_OFF = "power-off"
    NOTE_BOOT = "note-boot"
    """Note on the board how long the boot took."""


class Outcome(StrEnum):
    """How an action ended. REFUSED is final, FAILED may pass: throttling, a network, a service that is away."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Action:
    """One thing to do, and the reason that the operator reads."""

    kind: Kind
    why: str


@dataclass(frozen=True)
class Result:
    """How it went, and what there is to say about it. Without an answer it may have been done, whatever the outcome."""

    outcome: Outcome
    message: str = ""
    answered: bool = True


DONE = Result(Outcome.DONE)
