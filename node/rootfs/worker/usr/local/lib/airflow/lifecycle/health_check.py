"""The health check of the worker: it detects a worker that runs and takes no tasks, and has it restarted or replaced.

It acts only while no task runs on the node. Until then, the worker's reported state shows the masters that it takes no
tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.actions import Action, Kind, Outcome, Result
from lifecycle.observation import Observation, Resource
from lifecycle.stopwatch import Stopwatch, Throttle
from lifecycle.worker_service import WorkerReport

# A worker counts as not consuming after it has had no queues, has taken nothing from queues with tasks although it had
# free slots, or has written no report for this long, while the broker responded to this service. Celery reconnects
# within half a minute.
NOT_CONSUMING_SECONDS = 60.0
# A worker needs 20 s to become ready. The environment is installed before it starts.
NOT_READY_SECONDS = 600.0
# Longer than any failover of the broker. The network of a new node may work.
BROKER_LOST_SECONDS = 900.0
# A restart empties the temporary directories of the worker's service and may solve other problems. It is tried once.
UNAVAILABLE_SECONDS = 60.0
# A shortage of disk or memory that has lasted this long does not end by itself.
REPLACE_UNAVAILABLE_SECONDS = 600.0
# The pause after a report that has failed. A report that the group has accepted is not repeated: the group may have
# reasons to wait, and if a whole region has lost its broker, every idle worker reports itself.
REPORT_AGAIN_SECONDS = 300.0
# A short peak is no reason to launch another worker, and a worker resumes work only if resources stay free.
SHORT_SECONDS = 10.0
RECOVERED_SECONDS = 30.0


class HealthCheck:
    """Pure.

    Attributes:
        not_consuming: why the worker counts as not consuming although it should consume; None if it does not.
    """

    def __init__(self, *, was_ready: bool, slots: int) -> None:
        """`was_ready`: whether the worker has been ready since the boot. Until then, the boot steps report failures."""
        self.not_consuming: str | None = None
        self._slots = slots
        self._was_ready = was_ready
        self._takes_none, self._without_queue, self._silent = Stopwatch(), Stopwatch(), Stopwatch()
        self._tasks: frozenset[str] = frozenset()
        self._not_ready, self._broker_lost, self._unavailable = Stopwatch(), Stopwatch(), Stopwatch()
        self._restarted_unavailable = False
        self._report = Throttle()
        self._reported = False

    def decide(self, seen: Observation, *, cordoned: bool, unavailable: str | None) -> list[Action]:
        """The actions of this pass, for a worker that does not scale in or drain.

        `cordoned`: whether the worker is meant to take no tasks, for any reason.
        `unavailable`: why tasks would fail on it; None if they would not.
        """
        unavailable_seconds = self._unavailable.seconds(unavailable is not None, seen.now)
        self._restarted_unavailable = self._restarted_unavailable and unavailable is not None
        self.not_consuming = self._reason_for_not_consuming(seen, cordoned=cordoned)
        restart = None if seen.load else self.not_consuming
        self._was_ready = self._was_ready or seen.is_ready
        report = self._reason_to_report(seen)
        if unavailable_seconds >= REPLACE_UNAVAILABLE_SECONDS:
            report = f"it has taken no tasks for {unavailable_seconds:.0f} s: {unavailable}"
        elif unavailable_seconds >= UNAVAILABLE_SECONDS and not self._restarted_unavailable:
            restart = f"a restart may remove what keeps it from taking tasks: {unavailable}"
        self._reported = self._reported and report is not None
        if seen.running != 0 or seen.unit is None:
            return []
        if report and self._was_ready and not self._reported and self._report.is_due(seen.now):
            self._report.pause(seen.now, REPORT_AGAIN_SECONDS)
            return [Action(Kind.REPORT_UNHEALTHY, report)]
        if restart:
            self._restarted_unavailable = unavailable is not None
            # The restarted worker gets the full time again.
            for stopwatch in (self._takes_none, self._without_queue, self._silent):
                stopwatch.reset()
            self.not_consuming = None
            return [Action(Kind.RESTART_WORKER, restart)]
        return []

    def learn(self, action: Action, result: Result) -> None:
        """Take the result of an action into account."""
        if action.kind is Kind.REPORT_UNHEALTHY:
            self._reported = result.outcome is Outcome.DONE

    def _reason_for_not_consuming(self, seen: Observation, *, cordoned: bool) -> str | None:
        consumer = seen.worker if seen.is_ready and not cordoned else None
        lacks_queues = consumer is not None and not consumer.queues and seen.cordoned is not None
        without = self._without_queue.seconds(lacks_queues, seen.now)
        takes_none = self._takes_none.seconds(consumer is not None and self._ignores_tasks(consumer, seen), seen.now)
        silent = self._silent.seconds(seen.worker is not None and not seen.is_ready, seen.now)
        if without >= NOT_CONSUMING_SECONDS:
            return f"the broker answers, and the worker has not consumed any queue for {without:.0f} s"
        if takes_none >= NOT_CONSUMING_SECONDS:
            return f"tasks wait in its queues, and for {takes_none:.0f} s it has taken none although it has free slots"
        if silent >= NOT_CONSUMING_SECONDS:
            return f"the worker's report has been overdue for {silent:.0f} s"
        return None

    def _ignores_tasks(self, worker: WorkerReport, seen: Observation) -> bool:
        """Whether the worker takes no tasks although it could.

        Another worker may take the tasks that wait. So a worker that counts as not consuming does so until it has a new
        task.
        """
        tasks = frozenset(worker.tasks)
        takes, self._tasks = bool(tasks - self._tasks), tasks
        could = bool(worker.queues) and worker.load < self._slots
        return could and not takes and (bool(seen.queued) or self.not_consuming is not None)

    def _reason_to_report(self, seen: Observation) -> str | None:
        broker_answers = seen.cordoned is not None
        not_ready = self._not_ready.seconds(not seen.is_ready and broker_answers, seen.now)
        cut_off = seen.is_ready and seen.worker is not None and not seen.worker.connected
        lost = self._broker_lost.seconds(cut_off or (not seen.is_ready and not broker_answers), seen.now)
        if not_ready >= NOT_READY_SECONDS:
            return f"the worker has not become ready for {not_ready:.0f} s"
        if lost >= BROKER_LOST_SECONDS:
            return f"the broker cannot be reached for {lost:.0f} s"
        return None


class Pressure:
    """Whether disk and memory suffice for another task. Pure.

    A resource that was reported as short stays short until twice its reserve is free. Kubernetes calls this node
    pressure: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
    """

    def __init__(self) -> None:
        self._short: dict[tuple[str, str], Resource] = {}
        self._short_for, self._recovered_for = Stopwatch(), Stopwatch()
        self._reason: str | None = None

    def reason(self, resources: Sequence[Resource], now: float) -> str | None:
        """Which resource is short; None if none is, or if the shortage may be over within seconds."""
        self._short = {(each.name, each.unit): each for each in resources if self._is_short(each)}
        short_for = self._short_for.seconds(bool(self._short), now)
        recovered_for = self._recovered_for.seconds(not self._short, now)
        if self._reason is None and short_for >= SHORT_SECONDS:
            self._reason = "; ".join(map(str, self._short.values()))
        elif recovered_for >= RECOVERED_SECONDS:
            self._reason = None
        return self._reason

    def _is_short(self, resource: Resource) -> bool:
        is_reported = self._reason is not None and (resource.name, resource.unit) in self._short
        return resource.free < resource.reserve * (2 if is_reported else 1)
