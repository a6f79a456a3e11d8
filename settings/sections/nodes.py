"""What masters, pools and their queues have to agree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from aws_catalog import instance_types
from settings import task_slots
from settings.errors import Fault, FaultyValue, counted, shown

if TYPE_CHECKING:
    from settings.stack import Settings, WorkerPoolSettings

# The four services hold 1.1 GiB before the first DAG is there; with Debian and one DAG's parsing 2 GiB are too few.
_MASTER_GIB = 4
_COMFORTABLE = {"amd64": "m7i.large", "arm64": "m7g.large"}
_DEFAULT_QUEUE = "default"


def masters_have_memory(settings: Settings) -> Iterator[Fault]:
    """A master has at least 4 GiB of memory, if the name of its type tells."""
    instance_type = settings.masters.instance_type
    memory = instance_types.memory_gib(instance_type)
    if memory is not None and memory < _MASTER_GIB:
        yield Fault(
            key="airflow:masters.instanceType",
            given=f"{shown(instance_type)}, {memory:g} GiB of memory",
            allowed=f"a type with {_MASTER_GIB} GiB or more for api-server, scheduler, dag-processor and triggerer",
            remedy=f"use a larger type, for example {_COMFORTABLE[settings.masters.architecture]} with 8 GiB",
        )


def there_is_a_pool(settings: Settings) -> Iterator[Fault]:
    """There is at least one pool."""
    if not settings.worker_pools:
        yield Fault(
            key="airflow:workerPools",
            given="{}",
            allowed="at least one pool",
            remedy="add one, for example default, with queues: [default]",
        )


def pools_are_sound(settings: Settings) -> Iterator[Fault]:
    """In each pool `minSize`, `onDemandBase` and `workersAhead` are not above `maxSize`, the instance types share an
    architecture, and either `concurrency` or `taskMemoryGib` says what the smallest of them has memory for."""
    rules: tuple[Callable[[str, WorkerPoolSettings], Iterator[Fault]], ...] = (
        _sizes_are_ordered,
        _one_architecture,
        _one_measure_of_tasks,
        _memory_for_the_tasks,
        _task_memory_fits,
        _shares_within_max_size,
    )
    for name, pool in settings.worker_pools.items():
        for rule in rules:
            try:
                yield from rule(f"airflow:workerPools.{name}", pool)
            except FaultyValue:
                continue


def _sizes_are_ordered(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    if pool.min_size > pool.max_size:
        yield Fault(
            key=f"{key}.minSize",
            given=f"{pool.min_size}, above maxSize {pool.max_size}",
            allowed=f"0 to maxSize ({pool.max_size})",
            remedy=f"lower minSize to at most {pool.max_size}, or raise maxSize",
        )


def _one_architecture(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for instance_type in pool.instance_types:
        kinds[instance_types.architecture(instance_type)].append(instance_type)
    if len(kinds) > 1:
        yield Fault(
            key=f"{key}.instanceTypes",
            given="; ".join(f"{kind}: {', '.join(types)}" for kind, types in sorted(kinds.items())),
            allowed="types of one architecture: a pool has one image, and an image has one architecture",
            remedy="add a second pool for the others, with its own queue",
        )


def _one_measure_of_tasks(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    words_given = [word for word, value in _measures(pool).items() if value is not None]
    if len(words_given) == 1:
        return
    given = " and ".join(f"{word}: {value:g}" for word, value in _measures(pool).items() if value is not None)
    yield Fault(
        key=f"{key}.concurrency",
        given=given or "nothing, and no taskMemoryGib either",
        allowed="concurrency (tasks at a time on one worker), or taskMemoryGib (GiB that one task may need)",
        remedy="remove one of them" if words_given else "add one of them",
    )


def _measures(pool: WorkerPoolSettings) -> dict[str, float | None]:
    return {"concurrency": pool.concurrency, "taskMemoryGib": pool.task_memory_gib}


def _memory_for_the_tasks(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    sizes = task_slots.known_memory(pool.instance_types)
    if pool.concurrency is None or not sizes:
        return
    smallest = min(sizes, key=sizes.__getitem__)
    needed = task_slots.WORKER_GIB + task_slots.GIB_PER_TASK * pool.concurrency
    if sizes[smallest] >= needed:
        return
    fitting = task_slots.fitting(sizes[smallest], task_slots.GIB_PER_TASK)
    yield Fault(
        key=f"{key}.concurrency",
        given=f"{counted(pool.concurrency, 'task')} on {smallest}, {sizes[smallest]:g} GiB of memory",
        allowed=f"memory for {needed:.1f} GiB: {task_slots.WORKER_GIB} for the worker, {task_slots.GIB_PER_TASK} for "
        "each task before it imports anything",
        remedy=f"lower concurrency to at most {fitting}, or use larger instance types"
        if fitting
        else "use larger instance types",
    )


def _task_memory_fits(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    if pool.task_memory_gib is None:
        return
    sizes = task_slots.known_memory(pool.instance_types)
    unknown = [kind for kind in pool.instance_types if kind not in sizes]
    if unknown:
        yield Fault(
            key=f"{key}.taskMemoryGib",
            given=f"{pool.task_memory_gib:g}, with {', '.join(unknown)}",
            allowed="types of the c, m, r and t families: the memory of others does not follow from their names",
            remedy="set concurrency instead of taskMemoryGib, or use other types",
        )
        return
    smallest = min(sizes, key=sizes.__getitem__)
    fitting = task_slots.fitting(sizes[smallest], pool.task_memory_gib)
    if 1 <= fitting <= task_slots.MOST_SLOTS:
        return
    most = sizes[smallest] - task_slots.WORKER_GIB
    yield Fault(
        key=f"{key}.taskMemoryGib",
        given=f"{pool.task_memory_gib:g} on {smallest}, {sizes[smallest]:g} GiB of memory: {counted(fitting, 'task')}",
        allowed=f"1 to {counted(task_slots.MOST_SLOTS, 'task')} at a time in {most:g} GiB; "
        f"{task_slots.WORKER_GIB} GiB are for the worker",
        remedy="use smaller instance types, or raise taskMemoryGib"
        if fitting
        else (f"lower taskMemoryGib to at most {most:g}, or use larger instance types"),
    )


def _shares_within_max_size(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    for word, number in (("onDemandBase", pool.on_demand_base), ("workersAhead", pool.workers_ahead)):
        if number is not None and number > pool.max_size:
            yield Fault(
                key=f"{key}.{word}",
                given=f"{number}, above maxSize {pool.max_size}",
                allowed=f"0 to maxSize ({pool.max_size})",
                remedy=f"lower {word} to at most {pool.max_size}, or raise maxSize",
            )


def queues_have_one_pool(settings: Settings) -> Iterator[Fault]:
    """A queue is in only one pool: with two, whichever has a free worker would take its tasks."""
    for queue, names in _pools_by_queue(settings).items():
        if len(names) > 1:
            yield Fault(
                key=f"airflow:workerPools.{names[1]}.queues",
                given=f"{shown(queue)}, which the pool {names[0]} serves as well",
                allowed="each queue in only one pool: two pools would take its tasks at random",
                remedy=f"remove {queue} from one of {', '.join(names)}; to widen a pool, add instance types to it",
            )


def default_queue_is_served(settings: Settings) -> Iterator[Fault]:
    """A pool serves the default queue: `default`, or `operators.default_queue` in `airflow:config`."""
    queue = settings.config.get("operators", {}).get("default_queue", _DEFAULT_QUEUE)
    served = {served for pool in settings.worker_pools.values() for served in pool.queues}
    if settings.worker_pools and queue not in served:
        chosen = "[operators] default_queue in airflow:config" if queue != _DEFAULT_QUEUE else "Airflow's default"
        yield Fault(
            key="airflow:workerPools",
            given=f"no pool with the queue {shown(queue)}",
            allowed=f"one pool that serves it: it is {chosen}, the queue of every task that names none",
            remedy=f"add {queue} to a pool's queues, or set operators.default_queue to a queue that a pool serves",
        )


def _pools_by_queue(settings: Settings) -> dict[str, list[str]]:
    """The pools that serve each queue. One whose list is at fault is left out: it hides no conflict of the others."""
    pools: dict[str, list[str]] = defaultdict(list)
    for name, pool in settings.worker_pools.items():
        with suppress(FaultyValue):
            for queue in dict.fromkeys(pool.queues):
                pools[queue].append(name)
    return pools
