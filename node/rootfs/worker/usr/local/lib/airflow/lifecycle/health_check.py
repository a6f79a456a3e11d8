"""The health check of the worker: it finds a worker that runs and takes no tasks, and has it restarted or replaced.

It acts only while no task runs on the node. Until then the masters see in the worker's state that it takes no tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.actions import Action, Kind, Outcome, Result
from lifecycle.observation import Observation, Resource
from lifecycle.stopwatch import Stopwatch, Throttle
from lifecycle.worker_service import WorkerReport

# How long the broker answers this service while a worker that should consume has no queue, takes nothing from queues
# that hold tasks although it has free slots, or writes no report. Celery tries to reconnect at least every half minute.
NOT_CONSUMING_SECONDS = 60.0
# A worker needs 20 s to become ready; installing and unpacking are over when it starts.
NOT_READY_SECONDS = 600.0
# Longer than any failover of the broker. A new node may have a network that works.
BROKER_LOST_SECONDS = 900.0
# A restart empties the temporary directories of the worker's service and may solve other problems. It is tried once.
UNAVAILABLE_SECONDS = 60.0
# A shortage of disk or memory that has lasted this long does not end by itself.
REPLACE_UNAVAILABLE_SECONDS = 600.0
# After a report that has failed. A report that the group has accepted is not repeated: the group may have reasons to
# wait, and where a whole region has lost its broker, every idle worker reports.
REPORT_AGAIN_SECONDS = 300.0
# A short peak is no reason to launch another worker, and a worker that resumes work needs resources that stay free.
SHORT_SECONDS = 10.0
RECOVERED_SECONDS = 30.0


class HealthCheck:
    """Pure.

    Attributes:
        not_consuming: why the worker is believed to take no tasks although it should; None if it is not.
    """

    def __init__(self, *, was_ready: bool, slots: int) -> None:
        """`was_ready`: whether the worker has been ready since the boot. Before that, a failed boot is reported by the
        boot itself."""
        self.not_consuming: str | None = None
        self._slots = slots
        self._was_ready = was_ready
        self._deaf, self._without_queue, self._silent = Stopwatch(), Stopwatch(), Stopwatch()
        self._tasks: frozenset[str] = frozenset()
        self._not_ready, self._broker_lost, self._unavailable = Stopwatch(), Stopwatch(), Stopwatch()
        self._restarted_unavailable = False
        self._report = Throttle()
        self._reported = False

    def decide(self, seen: Observation, *, cordoned: bool, unavailable: str | None) -> list[Action]:
        """The actions of this pass, for a worker that does not scale in or drain.

        `cordoned`: whether the worker has been told to take no tasks, for whatever reason.
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
            # The restarted worker gets the same time.
            for stopwatch in (self._deaf, self._without_queue, self._silent):
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
        deaf = self._deaf.seconds(consumer is not None and self._is_deaf(consumer, seen), seen.now)
        silent = self._silent.seconds(seen.worker is not None and not seen.is_ready, seen.now)
        if without >= NOT_CONSUMING_SECONDS:
            return f"the broker answers, and the worker has not consumed any queue for {without:.0f} s"
        if deaf >= NOT_CONSUMING_SECONDS:
            return f"tasks wait in its queues, and for {deaf:.0f} s it has taken none although it has free slots"
        if silent >= NOT_CONSUMING_SECONDS:
            return f"the worker's report has been overdue for {silent:.0f} s"
        return None

    def _is_deaf(self, worker: WorkerReport, seen: Observation) -> bool:
        """Whether it takes nothing although it could.

        Another worker may have taken the tasks that waited. So once a worker counts as deaf, only a new task on it
        shows that it is not.
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
