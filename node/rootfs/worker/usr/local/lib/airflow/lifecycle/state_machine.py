"""The states of a worker node, and what leads from one to the next. Pure: no clock, no file, no network."""

from __future__ import annotations

from dataclasses import replace

from airflow_node.worker_registry import WorkerState

from lifecycle.action import Action, Kind, Outcome, Result
from lifecycle.drain import Drain
from lifecycle.health_check import Watchdog
from lifecycle.observation import Limits, Situation
from lifecycle.persisted_state import Memory
from lifecycle.pressure import Pressure
from lifecycle.scale_in import Departure, may_leave
from lifecycle.stopping import Stopping
from lifecycle.stopwatch import Lasting, Pace

# The masters renew a retirement every ten seconds. For as long as the board cannot be read, the last word holds this
# long; then the worker goes back to work, as it would if the masters were gone.
RETIREMENT_SECONDS = 60.0
START_AGAIN_SECONDS = 10.0


class Life:
    """Turns what is seen into what to do. Whoever does it reports back with `learn`."""

    def __init__(self, limits: Limits, memory: Memory, *, now: float, retired: bool) -> None:
        """`retired`: whether the worker is asked to rest, from before a restart of this service."""
        self._limits = limits
        self.memory = memory
        self.retired = retired
        self.unavailable: str | None = None
        """Why tasks would fail here."""
        self._must_ask_again = False
        self._pressure = Pressure()
        self._outlier: str | None = None
        self._asked_about_retirement = now
        self._watchdog = Watchdog(was_ready=memory.boot_noted, slots=limits.slots)
        self._idle = Lasting()
        self.idle_seconds = 0.0
        self._start, self._leave = Pace(), Pace()
        self._departure: Departure | None = None
        self._drain: Drain | None = None
        self._ready = False

    @property
    def state(self) -> WorkerState:
        """Where the node stands."""
        if self._drain is not None:
            return WorkerState.ENDED if self._drain.is_over else WorkerState.DRAINING
        if self._departure is not None and self._departure.stopping is not None:
            return WorkerState.LEAVING
        if self._watchdog.not_consuming is not None:
            return WorkerState.NOT_CONSUMING
        if not self._ready:
            return WorkerState.STARTING
        if self.unavailable is not None:
            return WorkerState.UNAVAILABLE
        return WorkerState.CORDONED if self.retired else WorkerState.WORKING

    @property
    def rests(self) -> bool:
        """Whether the worker has been asked to take no more tasks."""
        return self.retired or self.unavailable is not None

    @property
    def trouble(self) -> str | None:
        """Why the worker does not consume, or why tasks would fail here; None if neither is so."""
        return self._watchdog.not_consuming or self.unavailable

    def decide(self, seen: Situation) -> list[Action]:
        """What to do now, in this order."""
        self._ready = seen.is_ready
        self.idle_seconds = self._idle.seconds(seen.load == 0, seen.now)
        self.memory = self.memory.with_end(terminating=seen.terminating, spot_end=seen.spot_end)
        # The metadata service may fall silent, or speak of the next state already.
        seen = replace(seen, terminating=self.memory.terminating, spot_end=self.memory.spot_end)
        if self.memory.draining_since is not None or seen.reason_to_go is not None:
            return self._go_on_draining(seen)
        actions = [*self._note_boot(seen), *self._rest_or_work(seen)]
        self._begin_departure(seen)
        if self._departure is not None:
            return [*actions, *self._depart(seen, self._departure)]
        return [*actions, *self._keep_worker_up(seen), *self._watch(seen)]

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Note how an action went."""
        self._watchdog.learn(action, result)
        if self._drain is not None:
            self._drain.learn(action, result, now)
        elif self._departure is not None:
            self._departure.learn(action, result, now)
        if action.kind is Kind.RETIRE:
            self._must_ask_again = result.outcome is Outcome.FAILED
        if action.kind is Kind.NOTE_BOOT and result.outcome is Outcome.DONE:
            self.memory = self.memory.with_boot_noted()

    def _go_on_draining(self, seen: Situation) -> list[Action]:
        if self.memory.draining_since is None:
            # After a stop of its own: systemd does not count anew.
            since = seen.now if self.memory.stopping_since is None else self.memory.stopping_since
            self.memory = self.memory.with_draining_since(since)
        if self._drain is None:
            self._drain = Drain(self._limits, self.memory.draining_since or seen.now)
        return self._drain.decide(seen, seen.reason_to_go or "this node ends")

    def _note_boot(self, seen: Situation) -> list[Action]:
        if self.memory.boot_noted or not seen.is_ready or seen.retired is None:
            return []
        return [Action(Kind.NOTE_BOOT, "the worker is ready for the first time")]

    def _rest_or_work(self, seen: Situation) -> list[Action]:
        rested = self.rests
        why = self._follow_retirement(seen)
        # Without tasks nothing shows whether an outlier has recovered: it stays one until it is replaced.
        self._outlier = self._outlier or seen.outlier
        unavailable = self._outlier or self._pressure.reason(seen.resources, seen.now)
        if unavailable is None and self.unavailable is not None:
            why = "tasks can work here again"
        self.unavailable = unavailable
        if self.rests == rested and not (self.rests and self._must_ask_again):
            return []
        return [Action(Kind.RETIRE, unavailable or why) if self.rests else Action(Kind.RECALL, why)]

    def _follow_retirement(self, seen: Situation) -> str:
        """Retire or return to work as the masters ask; returns the reason."""
        if seen.retired is not None:
            self._asked_about_retirement = seen.now
        silence = seen.now - self._asked_about_retirement
        if seen.retired and not self.retired:
            # The masters know the minimum: what refused this worker before is over.
            self._leave.rest(seen.now, 0)
        if seen.retired is not None:
            self.retired = seen.retired
        elif silence >= RETIREMENT_SECONDS:
            self.retired = False
            return f"nothing has been heard from the masters for {silence:.0f} s"
        if self.retired:
            return "the masters have retired this worker: its pool has more than it needs"
        return "the masters want this worker back"

    def _watch(self, seen: Situation) -> list[Action]:
        return self._watchdog.decide(seen, rests=self.rests, unavailable=self.unavailable)

    def _reason_to_leave(self, seen: Situation) -> str | None:
        if seen.load is None or not self._leave.is_due(seen.now):
            return None
        # Work in the queue is about to come, or a case for the watchdog.
        if not self.retired and seen.queued:
            return None
        leaves = may_leave(
            state="retired" if self.retired else "working",
            active=seen.load,
            idle_seconds=self.idle_seconds,
            limit_seconds=self._limits.idle,
            group=seen.group,
        )
        if not leaves:
            return None
        return "retired, and its last task is finished" if self.retired else f"idle for {self.idle_seconds:.0f} s"

    def _begin_departure(self, seen: Situation) -> None:
        if self._departure is not None:
            return
        stopping = self._remembered_stop(seen)
        why = "it was told to stop before" if stopping else self._reason_to_leave(seen)
        if why is not None:
            self._departure = Departure(
                why=why, was_retired=self.retired, limit_seconds=self._limits.drain, stopping=stopping
            )

    def _remembered_stop(self, seen: Situation) -> Stopping | None:
        """A stop from before a restart of this service that still goes on. After one that is over the worker starts."""
        if self.memory.stopping_since is None or seen.unit is None:
            return None
        if seen.unit.is_stopping:
            return Stopping(self._limits.drain, self.memory.stopping_since)
        self.memory = self.memory.with_stopping_since(None)
        return None

    def _depart(self, seen: Situation, departure: Departure) -> list[Action]:
        actions = departure.decide(seen)
        if departure.given_up is not None:
            return [*actions, *self._come_back(seen, departure)]
        self.memory = self.memory.with_stopping_since(departure.stopping.since if departure.stopping else None)
        return actions

    def _come_back(self, seen: Situation, departure: Departure) -> list[Action]:
        """After a departure that came to nothing: back to work."""
        self._departure = None
        self.memory = self.memory.with_stopping_since(None)
        self._leave.rest(seen.now, departure.pause_seconds)
        why = f"leaving came to nothing: {departure.given_up}"
        # Whom the masters had retired, and have not any more, has been recalled already.
        actions = [] if self.rests or departure.was_retired else [Action(Kind.RECALL, why)]
        if departure.stopping is None:
            return actions
        self._start.rest(seen.now, START_AGAIN_SECONDS)
        return [*actions, Action(Kind.START_WORKER, why)]

    def _keep_worker_up(self, seen: Situation) -> list[Action]:
        """systemd restarts a worker that ends by itself; not one that was stopped, by a departure before a restart.

        One that has not been ready since the boot waits for a step before it. If that fails, it reports so itself.
        """
        if not self.memory.boot_noted or seen.unit is None or not seen.unit.is_down or not self._start.is_due(seen.now):
            return []
        self._start.rest(seen.now, START_AGAIN_SECONDS)
        return [Action(Kind.START_WORKER, "it is stopped, and nobody is leaving")]
