"""The states of a worker, and what leads from one to the next. Pure: no clock, no I/O.

TRANSITIONS is the diagram of docs/running-worker-pools.md. In each pass the machine takes an observation, returns the
actions, and follows the transitions as far as their conditions hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from airflow_node.worker_registry import WorkerState as State

from lifecycle.actions import Action, Kind, Outcome, Result
from lifecycle.drain import Drain, Stop
from lifecycle.health_check import HealthCheck, Pressure
from lifecycle.observation import Observation
from lifecycle.persisted_state import PersistedState
from lifecycle.scale_in import ScaleIn, may_scale_in
from lifecycle.stopwatch import Stopwatch, Throttle

# The masters renew a cordon every ten seconds. While the registry cannot be read, the last cordon stays valid this
# long. Then the worker works again, as if the masters had stopped renewing it.
CORDON_SECONDS = 60.0
START_AGAIN_SECONDS = 10.0

STARTING, WORKING, CORDONED, UNAVAILABLE, NOT_CONSUMING, LEAVING, DRAINING, ENDED = State


class Conditions(NamedTuple):
    """What the transitions depend on."""

    reports: bool
    not_consuming: bool
    unavailable: bool
    cordoned: bool
    leaving: bool
    draining: bool
    drained: bool


class Transition(NamedTuple):
    """From each of the sources to the target, as soon as the condition holds."""

    sources: tuple[State, ...]
    target: State
    condition: Callable[[Conditions], bool]
    cause: str


IN_SERVICE = (STARTING, WORKING, CORDONED, UNAVAILABLE, NOT_CONSUMING)
# In the order in which they are tried.
TRANSITIONS = (
    Transition((DRAINING,), ENDED, lambda now: now.drained, "its tasks are finished, the hook is completed"),
    Transition((*IN_SERVICE, LEAVING), DRAINING, lambda now: now.draining, "termination, spot notice or shutdown"),
    Transition(IN_SERVICE, LEAVING, lambda now: now.leaving, "idle, or cordoned without a task: it is stopped"),
    Transition((LEAVING,), STARTING, lambda now: not now.leaving, "a refusal, or tasks wait: it is started again"),
    Transition((STARTING, WORKING), NOT_CONSUMING, lambda now: now.not_consuming, "should take tasks and does not"),
    Transition((NOT_CONSUMING,), STARTING, lambda now: not (now.not_consuming or now.reports), "it is restarted"),
    Transition((NOT_CONSUMING,), WORKING, lambda now: not now.not_consuming, "it takes tasks again"),
    Transition((WORKING, CORDONED, UNAVAILABLE), STARTING, lambda now: not now.reports, "it does not report"),
    Transition((STARTING,), WORKING, lambda now: now.reports, "it reports"),
    Transition((WORKING, CORDONED), UNAVAILABLE, lambda now: now.unavailable, "tasks would fail on it"),
    Transition((UNAVAILABLE,), WORKING, lambda now: not now.unavailable, "the reason is gone"),
    Transition((WORKING,), CORDONED, lambda now: now.cordoned, "cordoned by the masters"),
    Transition((CORDONED,), WORKING, lambda now: not now.cordoned, "uncordoned, or the registry cannot be read"),
)


def next_state(state: State, now: Conditions) -> State | None:
    """The target of the first transition from this state whose condition holds; None if there is none."""
    return next((one.target for one in TRANSITIONS if state in one.sources and one.condition(now)), None)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The settings of the worker pool; times in seconds.

    Attributes:
        slots: tasks that a worker runs at a time.
        idle: a worker scales in after this time without a task.
        drain: tasks that still run after this time of draining are ended.
        heartbeat: how long the terminating hook waits without a heartbeat.
    """

    slots: int
    idle: float
    drain: float
    heartbeat: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The limits in airflow.env. ValueError names a variable that is not a number."""
        return cls(
            slots=int(_number(environment, "NODE_CONCURRENCY", "tasks")),
            idle=_number(environment, "NODE_IDLE_SECONDS", "seconds"),
            drain=_number(environment, "NODE_DRAIN_LIMIT_SECONDS", "seconds"),
            heartbeat=_number(environment, "NODE_HEARTBEAT_SECONDS", "seconds"),
        )


def _number(environment: Mapping[str, str], name: str, unit: str) -> float:
    text = environment.get(name, "")
    if not text.isdigit():
        raise ValueError(f"{name} is {text or 'missing'} in /etc/airflow/airflow.env; it must be a number of {unit}.")
    return float(text)


class StateMachine:
    """Decides on the actions of each pass. The caller carries them out and reports each result with `learn`.

    Attributes:
        state: of the worker.
        persisted: what has to be written before the next pass.
        idle_seconds: how long the worker has had no task.
    """

    def __init__(self, limits: Limits, persisted: PersistedState, *, now: float, cordoned: bool) -> None:
        """`cordoned`: whether the worker takes no tasks, from before a restart of this service."""
        self.state = STARTING
        self.persisted = persisted
        self.idle_seconds = 0.0
        self._limits = limits
        self._reports = False
        self._idle = Stopwatch()
        self._cordoned = cordoned
        self._cordon_read_at = now
        self._cordon_failed = False
        self._pressure = Pressure()
        self._outlier: str | None = None
        self._unavailable: str | None = None
        self._health = HealthCheck(was_ready=persisted.boot_noted, slots=limits.slots)
        self._start_throttle, self._scale_in_throttle = Throttle(), Throttle()
        self._scale_in: ScaleIn | None = None
        self._drain: Drain | None = None

    @property
    def problem(self) -> str | None:
        """Why the worker does not consume, or why tasks would fail on it; None if neither is the case."""
        return self._health.not_consuming or self._unavailable

    def decide(self, seen: Observation) -> list[Action]:
        """The actions of this pass, in their order."""
        actions = self._decide(seen)
        self._follow_transitions()
        return actions

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Take the result of an action into account."""
        self._health.learn(action, result)
        if self._drain is not None:
            self._drain.learn(action, result, now)
        elif self._scale_in is not None:
            self._scale_in.learn(action, result, now)
        if action.kind is Kind.CORDON:
            self._cordon_failed = result.outcome is Outcome.FAILED
        if action.kind is Kind.RECORD_BOOT and result.outcome is Outcome.DONE:
            self.persisted = self.persisted.with_boot_noted()
        self._follow_transitions()

    def _follow_transitions(self) -> None:
        while target := next_state(self.state, self._conditions()):
            self.state = target

    def _conditions(self) -> Conditions:
        return Conditions(
            reports=self._reports,
            not_consuming=self._health.not_consuming is not None,
            unavailable=self._unavailable is not None,
            cordoned=self._cordoned,
            leaving=self._scale_in is not None and self._scale_in.stop is not None,
            draining=self._drain is not None,
            drained=self._drain is not None and self._drain.is_over,
        )

    def _decide(self, seen: Observation) -> list[Action]:
        self._reports = seen.is_ready
        self.idle_seconds = self._idle.seconds(seen.load == 0, seen.now)
        self.persisted = self.persisted.with_termination(terminating=seen.terminating, spot_end=seen.spot_end)
        # The metadata service may stop responding, or may show the next lifecycle state already.
        seen = replace(seen, terminating=self.persisted.terminating, spot_end=self.persisted.spot_end)
        if self.persisted.draining_since is not None or seen.reason_to_end is not None:
            return self._go_on_draining(seen)
        actions = [*self._record_boot(seen), *self._cordon_or_uncordon(seen)]
        if self._scale_in is None:
            self._scale_in = self._begin_scale_in(seen)
        if self._scale_in is not None:
            return [*actions, *self._go_on_scaling_in(seen, self._scale_in)]
        health = self._health.decide(seen, cordoned=self._takes_no_tasks, unavailable=self._unavailable)
        return [*actions, *self._keep_worker_up(seen), *health]

    def _go_on_draining(self, seen: Observation) -> list[Action]:
        if self.persisted.draining_since is None:
            # systemd counts from the stop of a scale-in.
            since = seen.now if self.persisted.stopping_since is None else self.persisted.stopping_since
            self.persisted = self.persisted.with_draining_since(since)
        if self._drain is None:
            began = self.persisted.draining_since or seen.now
            self._drain = Drain(limit_seconds=self._limits.drain, heartbeat_seconds=self._limits.heartbeat, began=began)
        return self._drain.decide(seen, seen.reason_to_end or "this node ends")

    def _record_boot(self, seen: Observation) -> list[Action]:
        if self.persisted.boot_noted or not seen.is_ready or seen.cordoned is None:
            return []
        return [Action(Kind.RECORD_BOOT, "the worker is ready for the first time")]

    @property
    def _takes_no_tasks(self) -> bool:
        return self._cordoned or self._unavailable is not None

    def _cordon_or_uncordon(self, seen: Observation) -> list[Action]:
        """A worker takes no tasks while the masters have cordoned it, and while tasks would fail on it."""
        before = self._takes_no_tasks
        reason = self._follow_masters(seen)
        # Without tasks, nothing would show that an outlier has recovered: it remains one until it is replaced.
        self._outlier = self._outlier or seen.outlier
        unavailable = self._outlier or self._pressure.reason(seen.resources, seen.now)
        if unavailable is None and self._unavailable is not None:
            reason = "tasks can work here again"
        self._unavailable = unavailable
        if self._takes_no_tasks == before and not (self._takes_no_tasks and self._cordon_failed):
            return []
        return [Action(Kind.CORDON, unavailable or reason) if self._takes_no_tasks else Action(Kind.UNCORDON, reason)]

    def _follow_masters(self, seen: Observation) -> str:
        """Take over from the registry whether the worker is cordoned; returns the reason."""
        if seen.cordoned is not None:
            self._cordon_read_at = seen.now
        silence = seen.now - self._cordon_read_at
        if seen.cordoned and not self._cordoned:
            # The masters take the minimum into account: an earlier refusal does not matter any more.
            self._scale_in_throttle.pause(seen.now, 0)
        if seen.cordoned is not None:
            self._cordoned = seen.cordoned
        elif silence >= CORDON_SECONDS:
            self._cordoned = False
            return f"the worker registry has not been readable for {silence:.0f} s"
        if self._cordoned:
            return "the masters have cordoned this worker: its pool has more workers than it needs"
        return "the masters have uncordoned this worker"

    def _begin_scale_in(self, seen: Observation) -> ScaleIn | None:
        stop = self._persisted_stop(seen)
        reason = "it was stopped before this service was restarted" if stop else self._reason_to_scale_in(seen)
        if reason is None:
            return None
        return ScaleIn(reason=reason, was_cordoned=self._cordoned, limit_seconds=self._limits.drain, stop=stop)

    def _persisted_stop(self, seen: Observation) -> Stop | None:
        """The stop of a scale-in from before a restart of this service, if the worker still stops."""
        if self.persisted.stopping_since is None or seen.unit is None:
            return None
        if seen.unit.is_stopping:
            return Stop(self._limits.drain, self.persisted.stopping_since)
        self.persisted = self.persisted.with_stopping_since(None)
        return None

    def _reason_to_scale_in(self, seen: Observation) -> str | None:
        if seen.load is None or not self._scale_in_throttle.is_due(seen.now):
            return None
        # The worker is about to take these tasks. If it does not, the health check detects that.
        if not self._cordoned and seen.queued:
            return None
        may = may_scale_in(
            state=CORDONED if self._cordoned else WORKING,
            active=seen.load,
            idle_seconds=self.idle_seconds,
            limit_seconds=self._limits.idle,
            group=seen.group,
        )
        if not may:
            return None
        return "cordoned, and its last task is finished" if self._cordoned else f"idle for {self.idle_seconds:.0f} s"

    def _go_on_scaling_in(self, seen: Observation, scale_in: ScaleIn) -> list[Action]:
        actions = scale_in.decide(seen)
        if scale_in.given_up is not None:
            return [*actions, *self._resume_work(seen, scale_in)]
        self.persisted = self.persisted.with_stopping_since(scale_in.stop.since if scale_in.stop else None)
        return actions

    def _resume_work(self, seen: Observation, scale_in: ScaleIn) -> list[Action]:
        """Work again after a scale-in that was given up."""
        self._scale_in = None
        self.persisted = self.persisted.with_stopping_since(None)
        self._scale_in_throttle.pause(seen.now, scale_in.pause_seconds)
        reason = f"the scale-in was given up: {scale_in.given_up}"
        # A worker that the masters had cordoned, and have uncordoned since, takes tasks already.
        uncordon = not self._takes_no_tasks and not scale_in.was_cordoned
        actions = [Action(Kind.UNCORDON, reason)] if uncordon else []
        if scale_in.stop is None:
            return actions
        self._start_throttle.pause(seen.now, START_AGAIN_SECONDS)
        return [*actions, Action(Kind.START_WORKER, reason)]

    def _keep_worker_up(self, seen: Observation) -> list[Action]:
        """Start a worker that was stopped, by a scale-in before a restart of this service for instance.

        systemd restarts a worker that ends by itself. A worker that has not been ready since the boot waits for an
        earlier step of the boot, which reports its own failure.
        """
        is_down = seen.unit is not None and seen.unit.is_down
        if not self.persisted.boot_noted or not is_down or not self._start_throttle.is_due(seen.now):
            return []
        self._start_throttle.pause(seen.now, START_AGAIN_SECONDS)
        return [Action(Kind.START_WORKER, "it is stopped, and this node neither scales in nor drains")]
