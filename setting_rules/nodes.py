"""What masters, pools and their queues have to agree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from aws_facts import instance_types
from setting_rules.faults import Fault, FaultyValue, counted, shown

if TYPE_CHECKING:
    from settings import Settings, WorkerPoolSettings

# The four services hold 1.1 GiB before the first DAG is there; with Debian and one DAG's parsing 2 GiB are too few.
_MASTER_GIB = 4
# Debian, the idle worker's processes, then each slot's process and its task's supervisor, importing nothing large.
_WORKER_GIB = 0.5
_GIB_PER_TASK = 0.1
_DEFAULT_QUEUE = "default"


def masters_have_memory(settings: Settings) -> Iterator[Fault]:
    """A master has 4 GiB of memory or more, where its type's name tells."""
    instance_type = settings.masters.instance_type
    memory = instance_types.memory_gib(instance_type)
    if memory is not None and memory < _MASTER_GIB:
        yield Fault(
            key="airflow:masters.instanceType",
            given=f"{shown(instance_type)}, {memory:g} GiB of memory",
            allowed=f"a type with {_MASTER_GIB} GiB or more for api-server, scheduler, dag-processor and triggerer",
            remedy="take the next size; 8 GiB (m7i.large, t3.large) are comfortable",
        )


def there_is_a_pool(settings: Settings) -> Iterator[Fault]:
    """There is a pool."""
    if not settings.worker_pools:
        yield Fault(
            key="airflow:workerPools",
            given="{}",
            allowed="at least one pool",
            remedy="add one, for example default, with queues: [default]",
        )


def pools_are_sound(settings: Settings) -> Iterator[Fault]:
    """In each pool `minSize` is not above `maxSize`, the instance types share an architecture, and the smallest of them
    has memory for `concurrency` tasks."""
    rules: tuple[Callable[[str, WorkerPoolSettings], Iterator[Fault]], ...] = (
        _sizes_are_ordered,
        _one_architecture,
        _memory_for_the_tasks,
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
            remedy="lower minSize or raise maxSize",
        )


def _one_architecture(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for instance_type in pool.instance_types:
        kinds[instance_types.architecture(instance_type)].append(instance_type)
    if len(kinds) > 1:
        yield Fault(
            key=f"{key}.instanceTypes",
            given="; ".join(f"{kind}: {', '.join(types)}" for kind, types in sorted(kinds.items())),
            allowed="types of one architecture: a pool has one image, and an image holds one",
            remedy="make a second pool for the others, with a queue of its own",
        )


def _memory_for_the_tasks(key: str, pool: WorkerPoolSettings) -> Iterator[Fault]:
    sizes = {kind: memory for kind in pool.instance_types if (memory := instance_types.memory_gib(kind)) is not None}
    needed = _WORKER_GIB + _GIB_PER_TASK * pool.concurrency
    if not sizes or min(sizes.values()) >= needed:
        return
    smallest = min(sizes, key=sizes.__getitem__)
    fitting = int((sizes[smallest] - _WORKER_GIB) / _GIB_PER_TASK)
    yield Fault(
        key=f"{key}.concurrency",
        given=f"{counted(pool.concurrency, 'task')} on {smallest}, {sizes[smallest]:g} GiB of memory",
        allowed=f"memory for {needed:.1f} GiB: {_WORKER_GIB} for the worker, {_GIB_PER_TASK} for each task before it "
        "imports anything",
        remedy=f"lower concurrency to at most {fitting}, or take larger instance types"
        if fitting
        else "take larger instance types",
    )


def queues_have_one_pool(settings: Settings) -> Iterator[Fault]:
    """A queue is in one pool: of two, whichever has a free worker would take its tasks."""
    for queue, names in _pools_by_queue(settings).items():
        if len(names) > 1:
            yield Fault(
                key=f"airflow:workerPools.{names[1]}.queues",
                given=f"{shown(queue)}, which the pool {names[0]} serves as well",
                allowed="each queue in one pool: two pools would take its tasks at random",
                remedy=f"remove {queue} from one of {', '.join(names)}; to widen a pool, add instance types to it",
            )


def default_queue_is_served(settings: Settings) -> Iterator[Fault]:
    """A pool serves the queue of tasks that name none: `default`, or `airflow:config`'s `operators.default_queue`."""
    queue = settings.config.get("operators", {}).get("default_queue", _DEFAULT_QUEUE)
    served = {served for pool in settings.worker_pools.values() for served in pool.queues}
    if settings.worker_pools and queue not in served:
        chosen = "[operators] default_queue in airflow:config" if queue != _DEFAULT_QUEUE else "Airflow's default"
        yield Fault(
            key="airflow:workerPools",
            given=f"no pool with the queue {shown(queue)}",
            allowed=f"one pool that serves it: it is {chosen}, where every task waits that names no queue",
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
