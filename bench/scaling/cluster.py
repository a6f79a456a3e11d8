"""A simulated worker pool: Celery assigns tasks to workers; instances boot and end as a policy decides."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.scaling.work import Run, Trace

# From the request until the worker consumes; the random times are the same for every policy.
BOOT_SECONDS = (80.0, 100.0)
# From the due time until the run's first tasks are queued, and from a task's end until those after it are.
SCHEDULER_SECONDS = 3.0
# The time in which a worker without tasks ends.
STOP_SECONDS = 5.0
# A killed task is detected by its missing heartbeats; Airflow's own default.
HEARTBEAT_TIMEOUT_SECONDS = 300.0
SAMPLE_SECONDS = 10.0
# Tasks that become ready later say nothing about a run's need at its start. The controller uses the same value.
FIRST_TASKS_SECONDS = 180.0


@dataclass(eq=False)
class Task:
    """One try of a task."""

    run: RunState
    seconds: float
    queued_at: float = 0.0
    started_at: float = 0.0


@dataclass(eq=False)
class RunState:
    """A run in progress."""

    run: Run
    started_at: float
    stage: int = 0
    left: int = 0
    # (start, end) of the tasks that became ready soon after the start, in the form that the forecast reads.
    first_tasks: list[tuple[float, float]] = field(default_factory=list)


@dataclass(eq=False)
class Worker:
    """One instance, from the request for it to its end."""

    name: str
    launched_at: float
    state: str = "starting"
    # In the order of their starts, so that equal traces give equal results.
    active: dict[Task, None] = field(default_factory=dict)
    idle_since: float = 0.0


@dataclass
class Record:
    """What has happened, for the measurements and the plots."""

    waits: list[tuple[float, float]] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    actions: list[float] = field(default_factory=list)
    killed: int = 0


class Cluster:
    """The pool and its clock."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.now = 0.0
        self.queue: deque[Task] = deque()
        self.workers: list[Worker] = []
        self.record = Record()
        self.finished_runs: list[RunState] = []
        self.waiting_runs: deque[Run] = deque(sorted(trace.runs, key=lambda run: run.at))
        self._random = random.Random(7)  # noqa: S311 - a simulation
        self._boots = random.Random(11)  # noqa: S311 - a simulation
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._launched = 0
        for run in self.waiting_runs:
            self.after(run.at + SCHEDULER_SECONDS, self._start_next_run)
        self.every(SAMPLE_SECONDS, self._sample)

    def play(self) -> Record:
        """Simulate the trace to its end."""
        while self._events and self._events[0][0] <= self.trace.seconds:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = self.trace.seconds
        self.record.waits += [(task.queued_at, self.now - task.queued_at) for task in self.queue]
        self.record.spans += [(worker.launched_at, self.now) for worker in self.workers]
        return self.record

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, action))

    def every(self, seconds: float, action: Callable[[], None], *, first: float = 0.0) -> None:
        """Do something periodically."""

        def again() -> None:
            action()
            self.after(seconds, again)

        self.after(first, again)

    @property
    def running(self) -> int:
        """The number of running tasks."""
        return sum(len(worker.active) for worker in self.workers)

    def launch(self) -> None:
        """Request one more instance."""
        self._launched += 1
        worker = Worker(name=f"i-{self._launched:05}", launched_at=self.now)
        self.workers.append(worker)
        self.record.actions.append(self.now)
        self.after(self._boots.uniform(*BOOT_SECONDS), lambda: self._ready(worker))

    def stop(self, worker: Worker, *, grace_seconds: float = float("inf")) -> None:
        """Let a worker finish its tasks and end; what still runs after the grace period is killed."""
        if worker.state == "leaving":
            return
        worker.state = "leaving"
        self.record.actions.append(self.now)
        if not worker.active:
            self.after(STOP_SECONDS, lambda: self._gone(worker))
        elif grace_seconds < float("inf"):
            self.after(grace_seconds, lambda: self._gone(worker))

    def deal(self) -> None:
        """Give waiting tasks to workers with free slots, at random: which one asks first depends on the network."""
        free = [w for w in self.workers if w.state == "working" and len(w.active) < self.trace.concurrency]
        while self.queue and free:
            worker = free[self._random.randrange(len(free))]
            self._start(self.queue.popleft(), worker)
            if len(worker.active) >= self.trace.concurrency:
                free.remove(worker)

    def _start_next_run(self) -> None:
        run = RunState(run=self.waiting_runs.popleft(), started_at=self.now)
        self._enqueue_stage(run)

    def _enqueue_stage(self, run: RunState) -> None:
        seconds = run.run.stages[run.stage]
        run.left = len(seconds)
        self._enqueue([Task(run=run, seconds=one) for one in seconds])

    def _enqueue(self, tasks: list[Task]) -> None:
        for task in tasks:
            task.queued_at = self.now
            self.queue.append(task)
        self.deal()

    def _start(self, task: Task, worker: Worker) -> None:
        task.started_at = self.now
        self.record.waits.append((task.queued_at, self.now - task.queued_at))
        worker.active[task] = None
        self.after(task.seconds, lambda: self._finish(task, worker))

    def _finish(self, task: Task, worker: Worker) -> None:
        if task not in worker.active:
            return  # killed before its end
        del worker.active[task]
        if not worker.active:
            worker.idle_since = self.now
            if worker.state == "leaving":
                self.after(STOP_SECONDS, lambda: self._gone(worker))
        self._note_end(task)
        self.deal()

    def _note_end(self, task: Task) -> None:
        run = task.run
        if task.queued_at - run.started_at <= FIRST_TASKS_SECONDS:
            run.first_tasks.append((task.started_at, self.now))
        run.left -= 1
        if run.left:
            return
        run.stage += 1
        if run.stage < len(run.run.stages):
            self.after(SCHEDULER_SECONDS, lambda: self._enqueue_stage(run))
        else:
            self.finished_runs.append(run)

    def _ready(self, worker: Worker) -> None:
        if worker.state == "starting":
            worker.state = "working"
            worker.idle_since = self.now
            self.deal()

    def _gone(self, worker: Worker) -> None:
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        self.record.spans.append((worker.launched_at, self.now))
        self.record.killed += len(worker.active)
        for task in worker.active:
            retry = Task(run=task.run, seconds=task.seconds)
            self.after(HEARTBEAT_TIMEOUT_SECONDS, lambda retry=retry: self._enqueue([retry]))

    def _sample(self) -> None:
        self.record.samples.append((self.now, len(self.workers), len(self.queue)))
