"""Two masters of different settings, as in every refresh that changes a pool."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from airflow_node.worker_registry import GroupSizes, WorkerRegistry
from lifecycle.scale_in import may_scale_in

from tests.node.metadata import Metadata
from tests.node.programs import module
from tests.node.scaling.master import GROUP, MASTERS, POOL, Master

generation = module("scaling.generation")
launch_groups = module("scaling.launch_groups")
metadata_database = module("scaling.metadata_database")
connection_info = module("airflow_node.postgresql").connection_info
worker_registry = module("airflow_node.worker_registry")
LaunchGroup, Template, Role = launch_groups.LaunchGroup, launch_groups.Template, generation.Role

OLD, NEW, OTHER = Template(id="lt-1", version=4), Template(id="lt-1", version=5), Template(id="lt-0", version=9)


def masters(
    templates: dict[str, launch_groups.Template | None],
    *,
    launches: launch_groups.Template = NEW,
    in_service: Collection[str] | None = None,
) -> launch_groups.LaunchGroup:
    """The masters' group."""
    return LaunchGroup(
        sizes=GroupSizes(minimum=2, maximum=2, desired=2),
        in_service=frozenset(templates if in_service is None else in_service),
        templates=templates,
        template=launches,
    )


def scaling(group: launch_groups.LaunchGroup) -> set[str]:
    return set(generation.scaling_masters(group))


def test_masters_of_one_generation_all_scale():
    assert scaling(masters({"i-1": OLD, "i-2": OLD})) == {"i-1", "i-2"}
    assert scaling(masters({"i-1": NEW, "i-2": NEW})) == {"i-1", "i-2"}


def test_a_master_of_the_generation_that_is_launched_now_scales_alone():
    assert scaling(masters({"i-1": OLD, "i-2": NEW})) == {"i-2"}


def test_a_master_that_is_not_in_service_yet_leaves_it_to_those_that_are():
    assert scaling(masters({"i-1": OLD, "i-2": OLD, "i-3": NEW}, in_service={"i-1", "i-2"})) == {"i-1", "i-2"}


def test_before_any_master_is_in_service_those_that_boot_scale():
    assert scaling(masters({"i-1": NEW, "i-2": NEW}, in_service=())) == {"i-1", "i-2"}


def test_after_a_roll_back_the_lower_version_scales():
    assert scaling(masters({"i-1": OLD, "i-2": NEW}, launches=OLD)) == {"i-1"}


def test_of_two_generations_that_are_both_outdated_the_higher_version_scales():
    assert scaling(masters({"i-1": OLD, "i-2": NEW}, launches=Template(id="lt-1", version=12))) == {"i-2"}


def test_a_template_that_was_replaced_begins_at_version_one_and_is_the_newer_one():
    assert scaling(masters({"i-1": OTHER, "i-2": OLD})) == {"i-2"}


def test_a_master_whose_template_is_gone_is_an_old_one():
    assert scaling(masters({"i-1": None, "i-2": NEW})) == {"i-2"}
    assert scaling(masters({"i-1": None, "i-2": None})) == {"i-1", "i-2"}


def roles(
    instance: str, looks: Sequence[tuple[float, bool]], group: launch_groups.LaunchGroup | None
) -> list[generation.Role]:
    """The role of a master at these times, while the other generation scales or not."""
    found = generation.Generation(instance)
    return [found.role(now, group, lambda is_scaled=is_scaled: is_scaled) for now, is_scaled in looks]


def test_an_old_master_stands_in_for_new_ones_whose_scaling_does_not_run():
    group = masters({"i-1": OLD, "i-2": NEW})
    looks = [(0.0, True), (10.0, False), (50.0, False), (61.0, False), (70.0, True), (80.0, False)]
    left, stands_in = Role.LEAVES_IT, Role.STANDS_IN
    assert roles("i-1", looks, group) == [left, left, left, stands_in, left, left]
    assert roles("i-2", looks, group) == [Role.SCALES] * 6


def test_a_master_whose_group_is_not_known_scales():
    assert roles("i-1", [(0.0, False)], None) == [Role.SCALES]


# The simulation. Every worker has four slots, whatever the settings of a master say; a task takes a minute, and then
# another one is queued.

SET_RUNNING = """
WITH numbered AS (SELECT id, row_number() OVER () AS number FROM task_instance)
UPDATE task_instance SET state = CASE WHEN number <= %s THEN 'running' ELSE 'queued' END
FROM numbered WHERE numbered.id = task_instance.id
"""
STEP_SECONDS = 5.0
BOOT_STEPS = 9
TASK_STEPS = 12
TASKS = 20


@dataclass
class SimulatedWorker:
    instance: str
    ready_at: int
    cordoned: bool = False
    tasks: list[int] = field(default_factory=list)
    """The step at which each of them ends."""
    idle_since: int = 0


class Simulation:
    """A pool whose workers follow the registry. It simulates Auto Scaling, too."""

    def __init__(self, registry: WorkerRegistry, masters_group: launch_groups.LaunchGroup) -> None:
        self.registry = registry
        self.desired = 5
        self.step = 0
        self.launches = 0
        self._masters = masters_group
        self._numbers = itertools.count()
        self.workers: list[SimulatedWorker] = []
        self._launch()
        for worker in self.workers:
            worker.ready_at = 0
            worker.tasks = [number * 3 for number in range(1, 5)]

    # What LaunchGroups does.

    def describe(self, names: Sequence[str]) -> dict[str, launch_groups.LaunchGroup]:
        ready = {worker.instance for worker in self.workers if worker.ready_at <= self.step}
        pool = LaunchGroup(
            sizes=GroupSizes(minimum=1, maximum=10, desired=self.desired),
            in_service=frozenset(ready),
            templates={worker.instance: NEW for worker in self.workers},
        )
        known = {GROUP: pool, MASTERS: self._masters}
        return {name: known[name] for name in names}

    def raise_to(self, _: str, desired: int) -> int:
        self.desired = max(self.desired, desired)
        self._launch()
        return self.desired

    def listed_lately(self, _: str) -> frozenset[str]:
        return frozenset(worker.instance for worker in self.workers)

    def launch_failure(self, *_: object) -> None:
        return None

    # What workers do.

    @property
    def running(self) -> int:
        return sum(len(worker.tasks) for worker in self.workers)

    def advance(self) -> None:
        """Simulate five seconds of every worker."""
        self.step += 1
        group = self.registry.group("default")
        for worker in list(self.workers):
            worker.tasks = [end for end in worker.tasks if end > self.step]
            if worker.ready_at <= self.step:
                self._live(worker, group)
        for worker in self.workers:
            if worker.ready_at <= self.step and not worker.cordoned:
                free = min(4 - len(worker.tasks), TASKS - self.running)
                worker.tasks += [self.step + TASK_STEPS] * max(0, free)
            if worker.tasks:
                worker.idle_since = self.step

    def _live(self, worker: SimulatedWorker, group: GroupSizes | None) -> None:
        worker.cordoned = self.registry.is_cordoned("default", worker.instance)
        idle_seconds = (self.step - worker.idle_since) * STEP_SECONDS
        state, active = ("retired" if worker.cordoned else "working"), len(worker.tasks)
        self.registry.report(
            worker_registry.Report(
                instance=worker.instance,
                pool="default",
                state=state,
                slots=4,
                active=active,
                idle_seconds=idle_seconds,
            )
        )
        leaves = may_scale_in(state=state, active=active, idle_seconds=idle_seconds, limit_seconds=60.0, group=group)
        if leaves and self.desired > 1:
            self.desired -= 1
            self.workers.remove(worker)

    def _launch(self) -> None:
        while len(self.workers) < self.desired:
            self.launches += 1
            ready_at = self.step + BOOT_STEPS
            self.workers.append(
                SimulatedWorker(instance=f"i-{next(self._numbers)}", ready_at=ready_at, idle_since=ready_at)
            )


@dataclass
class Pair:
    """A master whose settings have four tasks per worker, and one whose settings have sixteen."""

    simulation: Simulation
    old: Master
    new: Master
    metadata: Metadata

    def run(self, minutes: float) -> None:
        """Run the passes of the masters in turn, one every ten seconds each."""
        with self.metadata.connect() as connection:
            connection.autocommit = True
            for master in [self.old, self.new] * int(minutes * 6):
                self.simulation.advance()
                connection.execute(SET_RUNNING, [self.simulation.running])
                master.do_passes()

    def uncordons(self) -> int:
        """Workers that were uncordoned."""
        return sum(len(told["uncordon"]) for one in (self.old, self.new) for told in one.events("decision"))


@pytest.fixture
def pair(metadata: Metadata, registry: WorkerRegistry) -> Iterator[Callable[[launch_groups.LaunchGroup], Pair]]:
    made: list[Pair] = []

    def make(group: launch_groups.LaunchGroup) -> Pair:
        simulation = Simulation(registry, group)
        metadata.add_tasks(TASKS, "queued")
        one = Master(metadata, registry, instance="i-1", groups=simulation)
        settings = replace(POOL, concurrency=16)
        other = Master(metadata, registry, pools=(settings,), instance="i-2", groups=simulation)
        made.append(Pair(simulation, one, other, metadata))
        return made[-1]

    yield make
    for found in made:
        found.old.database.close()
        found.new.database.close()


def test_two_masters_of_different_settings_would_fight_over_a_pool(pair: Callable[[launch_groups.LaunchGroup], Pair]):
    """What the next test prevents: here Auto Scaling lists both as one generation."""
    both = pair(masters({"i-1": NEW, "i-2": NEW}))
    both.run(30)
    assert both.uncordons() > 100


def test_two_masters_of_different_settings_do_not_fight_over_a_pool(pair: Callable[[launch_groups.LaunchGroup], Pair]):
    both = pair(masters({"i-1": OLD, "i-2": NEW}))
    both.run(30)
    assert both.uncordons() == 0
    assert both.simulation.launches == 5, "no worker was launched for the settings of the old master"
    assert both.simulation.desired == 2, "the new one has its way"
    assert both.old.events("role") == [
        {"event": "role", "why": "this master leaves the pools to the masters of another generation"}
    ]
    assert both.old.events("decision") == []


@pytest.fixture
def old(pair: Callable[[launch_groups.LaunchGroup], Pair]) -> Master:
    """A master of the old generation. The new one is in service, and its scaling service has shown no presence."""
    found = pair(masters({"i-1": OLD, "i-2": NEW})).old
    found.metadata.add_tasks(TASKS, "queued")
    return found


def is_scaled(metadata: Metadata) -> bool:
    with metadata.connect() as connection:
        return metadata_database.is_scaled(connection)


def await_absence(metadata: Metadata) -> None:
    """Until the server has noticed that a connection is closed."""
    deadline = time.monotonic() + 20
    while is_scaled(metadata):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_old_master_raises_nothing_while_a_new_one_scales(old: Master):
    new = metadata_database.MetadataDatabase(connection_info(old.metadata.url))
    new.show_presence(True)
    old.do_passes(30)
    assert old.groups.desired == 5
    assert old.metric("airflow_scaling_passes_total", outcome="left") == 30
    new.close()
    await_absence(old.metadata)
    old.do_passes(10)
    assert old.groups.desired == 10, "forty tasks for workers of four, as the old settings say"


def test_an_old_master_that_stands_in_raises_pools_and_publishes_nothing(old: Master, registry: WorkerRegistry):
    instances = [worker.instance for worker in old.groups.workers]
    old.do_passes(5)
    registry.cordon("default", instances[:1])
    for worker in instances:
        registry.report(worker_registry.Report(instance=worker, pool="default", state="working", slots=4))
    old.do_passes(3)
    assert old.groups.desired == 10
    assert [(told["cordon"], told["uncordon"]) for told in old.events("decision")] == [([], []), ([], [])]
    assert "uncordoning" not in old.lines[-1]
    assert registry.cordoned("default", instances) == set(instances[:1]), "until it expires"
    assert registry.group("default") is None


def test_a_master_that_scales_shows_it_and_one_whose_auto_scaling_fails_does_not(
    pair: Callable[[launch_groups.LaunchGroup], Pair], monkeypatch: pytest.MonkeyPatch
):
    both = pair(masters({"i-1": OLD, "i-2": NEW}))

    both.old.do_passes()
    assert not is_scaled(both.metadata)
    both.new.do_passes(3)
    assert is_scaled(both.metadata)

    def refuse(*_: object) -> None:
        raise launch_groups.AutoScalingError("AccessDenied")

    with monkeypatch.context() as broken:
        broken.setattr(both.simulation, "describe", refuse)
        both.new.do_passes()
        assert not is_scaled(both.metadata), "asked for once, however many passes there were"
    both.new.do_passes()
    assert is_scaled(both.metadata)
    both.new.database.close()
    await_absence(both.metadata)
