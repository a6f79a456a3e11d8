"""A worker node as the state machine sees it: a busy healthy one, but for what a test says."""

from __future__ import annotations

from typing import Any

from tests.node.programs import module

action = module("lifecycle.action")
life = module("lifecycle.state_machine")
memory = module("lifecycle.persisted_state")
pressure = module("lifecycle.pressure")
situation = module("lifecycle.observation")
worker_registry = module("airflow_node.worker_registry")

Kind, Outcome, Result = action.Kind, action.Outcome, action.Result
LIMITS = situation.Limits(slots=4, idle=180, drain=3600, heartbeat=300)
ROOM = worker_registry.GroupSizes(minimum=1, maximum=8, desired=3)
AT_MINIMUM = worker_registry.GroupSizes(minimum=1, maximum=8, desired=1)
REFUSED = Result(Outcome.REFUSED, "at its minimum")
FAILED = Result(Outcome.FAILED, "throttled")
NO_ANSWER = Result(Outcome.FAILED, "timed out", answered=False)


def unit(active_state: str = "active", *, has_job: bool = False) -> Any:
    return situation.Unit(active_state=active_state, has_job=has_job)


def worker(*tasks: str, reserved: int = 0, age: float = 0.5, connected: bool = True, rests: bool = False) -> Any:
    """`rests`: it has let go of its queues."""
    queues = () if rests or not connected else ("default",)
    return situation.Worker(age_seconds=age, connected=connected, queues=queues, reserved=reserved, tasks=tasks)


BUSY = worker("etl manual__1 load try 1")
IDLE = worker()
RESTING = worker(rests=True)


def seen(now: float, **facts: Any) -> Any:
    """A look at the time. As on a node, a worker whose unit is down writes no file and runs no task."""
    facts = {"unit": unit(), "worker": BUSY, "group": ROOM} | facts
    if facts["unit"] is not None and facts["unit"].is_down:
        facts["worker"] = None
    found = facts["worker"]
    return situation.Situation(now=now, **({"running": len(found.tasks) if found else 0} | facts))


class Node:
    """A life, and what was done in it. Every action succeeds unless `answers` says otherwise."""

    def __init__(self, **given: Any) -> None:
        remembered = given.pop("memory", memory.Memory(boot_noted=True))
        self.life = life.Life(LIMITS, remembered, now=given.pop("now", 0.0), retired=given.pop("retired", False))
        self.answers: dict[Any, Any] = given
        self.done: list[Any] = []
        self.why: list[str] = []

    def look(self, now: float, **facts: Any) -> list[Any]:
        """One look; returns the kinds of what was done."""
        actions = self.life.decide(seen(now, **facts))
        for each in actions:
            self.life.learn(each, self.answers.get(each.kind.name, action.DONE), now)
            self.why.append(each.why)
        self.done += [each.kind for each in actions]
        return [each.kind for each in actions]

    def watch(self, begin: float, end: float, **facts: Any) -> list[Any]:
        """A look every two seconds until `end`, and one then; returns the kinds of what was done."""
        times = [begin + 2 * step for step in range(int((end - begin) / 2))]
        return [kind for now in [*times, end] for kind in self.look(now, **facts)]

    def stop_idle(self) -> None:
        """From 0 to 182: idle for the pool's idle time, at rest, and told to stop."""
        assert self.watch(0, 180, worker=IDLE) == [Kind.RETIRE]
        assert self.look(182, worker=RESTING) == [Kind.STOP_WORKER]

    @property
    def state(self) -> str:
        return str(self.life.state)
