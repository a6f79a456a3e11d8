"""The transitions between a worker's states: in the table, in the machine, and in the diagram of the guide."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_node.worker_registry import WorkerState
from lifecycle.state_machine import TRANSITIONS, Conditions, next_state

from tests.node.lifecycle.node_of import (
    AT_MINIMUM,
    BUSY,
    FAILED,
    IDLE,
    LARGE_GROUP,
    REFUSED,
    WITHOUT_QUEUES,
    Kind,
    Node,
    PersistedState,
    actions,
    observed,
    resources,
    unit,
    worker,
)

GUIDE = Path(__file__).parents[3] / "docs/running-worker-pools.md"
ARROW = re.compile(r"^ *(\S+) --> (\S+)(?:: (.+))?$", re.MULTILINE)
COMPOSITE = re.compile(r"^ *state (\w+) \{\n(.*?)^ *\}\n", re.MULTILINE | re.DOTALL)
FINAL = (WorkerState.DRAINING, WorkerState.ENDED)
FULL_DISK = resources.Resource(name="the disk at /", free=1, size=50 << 30, reserve=2 << 30)
EMPTY_DISK = resources.Resource(name="the disk at /", free=40 << 30, size=50 << 30, reserve=2 << 30)


def _table() -> dict[tuple[str, str], str]:
    return {(str(source), str(row.target)): row.cause for row in TRANSITIONS for source in row.sources}


def _arrows(text: str) -> list[tuple[str, str, str]]:
    # A name in mermaid has no hyphen.
    return [
        (source.replace("_", "-"), target.replace("_", "-"), cause) for source, target, cause in ARROW.findall(text)
    ]


def _diagram() -> dict[tuple[str, str], str]:
    """The arrows of the guide. An arrow from a composite state begins at each of the states in it."""
    (text,) = re.findall(r"```mermaid\n(stateDiagram-v2\n.*?)```", GUIDE.read_text(), re.DOTALL)
    inside = {
        name.replace("_", "-"): {state for arrow in _arrows(body) for state in arrow[:2] if state != "[*]"}
        for name, body in COMPOSITE.findall(text)
    }
    return {
        (state, target): cause
        for source, target, cause in _arrows(text)
        if "[*]" not in (source, target)
        for state in inside.get(source, {source})
    }


def test_the_diagram_in_the_guide_shows_the_transitions_of_the_table():
    assert _diagram() == _table()


def test_every_state_is_in_the_diagram():
    assert {state for pair in _diagram() for state in pair} == set(WorkerState)


def _path(state: WorkerState, conditions: Conditions) -> Iterator[tuple[str, str]]:
    """The transitions under these conditions. More transitions than states would mean an endless loop."""
    for _ in WorkerState:
        target = next_state(state, conditions)
        if target is None:
            return
        yield str(state), str(target)
        state = target
    raise AssertionError(f"under {conditions} the transitions never come to an end")


def test_the_transitions_come_to_an_end_under_all_conditions():
    for values in itertools.product((False, True), repeat=len(Conditions._fields)):
        for state in WorkerState:
            reached = [state, *(target for _, target in _path(state, Conditions(*values)))]
            assert state not in FINAL or set(reached) <= set(FINAL), "nothing leads back from draining"


def _random_pass(chance: random.Random) -> dict[str, Any]:
    """Random observations; most sources keep their value for some time."""
    reports = [BUSY, IDLE, WITHOUT_QUEUES, worker(age=60), worker(connected=False), worker(age=60, without_queues=True)]
    units = [unit()] * 6 + [unit("inactive"), unit("deactivating", has_job=True), unit("activating"), None]
    return {
        "worker": chance.choice([*reports, None]),
        "unit": chance.choice(units),
        "cordoned": chance.choice([False, False, True, None]),
        "group": chance.choice([LARGE_GROUP, AT_MINIMUM, None]),
        "queued": chance.choice([0, 0, 3]),
        "resources": chance.choice([(EMPTY_DISK,), (EMPTY_DISK,), (FULL_DISK,)]),
    }


def _walk(seed: int) -> Iterator[tuple[WorkerState, Any]]:
    """A machine with random observations and results: each state, and the conditions that hold next."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    persisted = PersistedState(boot_noted=True, stopping_since=0.0 if chance.random() < 0.1 else None)
    machine = Node(persisted=persisted).machine
    now, fields = 0.0, _random_pass(chance)
    for _ in range(100):
        now += chance.choice([2, 2, 2, 20, 61, 181])
        fields |= chance.choices(list(_random_pass(chance).items()), k=chance.choice([0, 1, 1, 2]))
        fields["terminating"] = chance.random() < 0.01
        before = machine.state
        decided = machine.decide(observed(now, **fields))
        yield before, machine
        for action in decided:
            before = machine.state
            machine.learn(action, chance.choice([actions.DONE, actions.DONE, REFUSED, FAILED]), now)
            yield before, machine
            if action.kind is Kind.STOP_WORKER and chance.random() < 0.7:
                fields["unit"] = unit("inactive")


def _expected(conditions: Conditions) -> WorkerState:
    """The state by its conditions alone, the most important one first."""
    by_priority = (
        (conditions.drained, WorkerState.ENDED),
        (conditions.draining, WorkerState.DRAINING),
        (conditions.leaving, WorkerState.LEAVING),
        (conditions.not_consuming, WorkerState.NOT_CONSUMING),
        (not conditions.reports, WorkerState.STARTING),
        (conditions.unavailable, WorkerState.UNAVAILABLE),
        (conditions.cordoned, WorkerState.CORDONED),
    )
    return next((state for holds, state in by_priority if holds), WorkerState.WORKING)


def test_a_worker_can_make_every_transition_of_the_table_and_is_in_the_state_of_its_conditions():
    made: Counter[tuple[str, str]] = Counter()
    for seed in range(300):
        for before, machine in _walk(seed):
            conditions = machine._conditions()
            made.update(_path(before, conditions))
            assert machine.state == _expected(conditions), f"after {before}, with seed {seed}: {conditions}"
    assert made.keys() == _table().keys()
