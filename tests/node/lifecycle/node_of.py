"""A worker node as the state machine observes it: healthy and busy, unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from tests.node.programs import module

actions = module("lifecycle.actions")
observation = module("lifecycle.observation")
resources = module("airflow_node.resources")
persisted_state = module("lifecycle.persisted_state")
state_machine = module("lifecycle.state_machine")
worker_registry = module("airflow_node.worker_registry")
worker_service = module("lifecycle.worker_service")

Kind, Outcome, Result = actions.Kind, actions.Outcome, actions.Result
PersistedState = persisted_state.PersistedState
LIMITS = state_machine.Limits(slots=4, idle=180, drain=3600, heartbeat=300)
LARGE_GROUP = worker_registry.GroupSizes(minimum=1, maximum=8, desired=3)
AT_MINIMUM = worker_registry.GroupSizes(minimum=1, maximum=8, desired=1)
REFUSED = Result(Outcome.REFUSED, "at its minimum")
FAILED = Result(Outcome.FAILED, "throttled")
NO_ANSWER = Result(Outcome.FAILED, "timed out", answered=False)


def unit(active_state: str = "active", *, has_job: bool = False) -> Any:
    return worker_service.Unit(active_state=active_state, has_job=has_job)


def worker(
    *tasks: str, reserved: int = 0, age: float = 0.5, connected: bool = True, without_queues: bool = False
) -> Any:
    """A worker's report."""
    queues = () if without_queues or not connected else ("default",)
    return worker_service.WorkerReport(
        age_seconds=age, connected=connected, queues=queues, reserved=reserved, tasks=tasks
    )


BUSY = worker("etl manual__1 load try 1")
IDLE = worker()
WITHOUT_QUEUES = worker(without_queues=True)


def observed(now: float, **fields: Any) -> Any:
    """An observation. As on a node, a worker whose unit is down has no state file and runs no task."""
    fields = {"unit": unit(), "worker": BUSY, "group": LARGE_GROUP} | fields
    if fields["unit"] is not None and fields["unit"].is_down:
        fields["worker"] = None
    found = fields["worker"]
    return observation.Observation(now=now, **({"running": len(found.tasks) if found else 0} | fields))


class Node:
    """A state machine and its actions. Every action succeeds unless `answers` has another result for it."""

    def __init__(self, **given: Any) -> None:
        persisted = given.pop("persisted", PersistedState(boot_noted=True))
        now, cordoned = given.pop("now", 0.0), given.pop("cordoned", False)
        self.machine = state_machine.StateMachine(LIMITS, persisted, now=now, cordoned=cordoned)
        self.answers: dict[Any, Any] = given
        self.done: list[Any] = []
        self.reasons: list[str] = []

    def do_pass(self, now: float, **fields: Any) -> list[Any]:
        """One pass; returns the kinds of its actions."""
        decided = self.machine.decide(observed(now, **fields))
        for each in decided:
            self.machine.learn(each, self.answers.get(each.kind.name, actions.DONE), now)
            self.reasons.append(each.reason)
        self.done += [each.kind for each in decided]
        return [each.kind for each in decided]

    def do_passes(self, begin: float, end: float, **fields: Any) -> list[Any]:
        """A pass every two seconds until `end`, and one then; returns the kinds of their actions."""
        times = [begin + 2 * step for step in range(int((end - begin) / 2))]
        return [kind for now in [*times, end] for kind in self.do_pass(now, **fields)]

    def stop_idle(self) -> None:
        """From 0 to 182: idle for the pool's idle time, without queues, and stopped."""
        assert self.do_passes(0, 180, worker=IDLE) == [Kind.CORDON]
        assert self.do_pass(182, worker=WITHOUT_QUEUES) == [Kind.STOP_WORKER]

    @property
    def state(self) -> str:
        return str(self.machine.state)
