"""`airflow:workerPools`: the groups of Celery workers and their queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated

from aws_catalog import instance_types, limits
from aws_catalog.instance_types import Architecture
from node import lock_inputs
from settings import draining, task_slots
from settings.errors import Fault, FaultyValue, counted, shown
from settings.instance_type import InstanceType, doubts_about
from settings.queue_name import QueueName
from settings.repository_file import RequirementsFile, StartScript
from settings.section import Section
from settings.sections.cluster import ClusterSettings
from settings.system_packages import SystemPackages
from settings.task_slots import GIB_PER_TASK, MOST_SLOTS
from settings.types import Amount, Number, at_least, number, whole_number

CONTROLLER_PERIOD_SECONDS = 10


class WorkerPoolSettings(Section):
    """One Auto Scaling group of Celery workers. Its key is the pool's name."""

    queues: Annotated[tuple[QueueName, ...], at_least(1, "queue")]
    """Queues from which its workers take tasks. A task names its queue with `queue=`; otherwise it goes to `default`. A
    queue belongs to one pool only."""

    instance_types: Annotated[
        tuple[InstanceType, ...], at_least(1, "instance type", at_most=limits.INSTANCE_TYPES_PER_GROUP)
    ]
    """EC2 instance types, all of one architecture and of similar size: each runs the same number of tasks. With several
    types, the pool finds capacity when one is sold out. Workers of another architecture than the masters boot more
    slowly: they install Airflow from the lock each time, and need a package index for it. On-demand workers use the
    first type that is available; spot workers use the one of the cheap types that is least likely to be reclaimed."""

    concurrency: Annotated[Number, whole_number(1, MOST_SLOTS, "tasks")] | None = None
    """Tasks that one worker runs at a time. Airflow itself needs 0.1 GiB for each, plus what the tasks import and load.
    Each one uses a connection to the database of Celery's results. Set either this or `taskMemoryGib`."""

    task_memory_gib: Annotated[Amount, number(GIB_PER_TASK, limits.LARGEST_REGULAR_MEMORY_GIB, "GiB")] | None = None
    """GiB that one task may need, including Airflow's share. Set it instead of `concurrency`: a worker then runs as
    many tasks at a time as fit in the smallest of the instance types, after 0.5 GiB for the worker itself. Only for
    types whose memory follows from their name."""

    min_size: Annotated[Number, whole_number(0, 1000, "workers")]
    """Workers that are kept when there are no tasks. 0 is cheapest, but the first task waits for a worker to boot."""

    max_size: Annotated[Number, whole_number(1, 1000, "workers")]
    """Maximum number of workers. It limits what the pool can cost, and counts towards the database's connections."""

    on_demand_base: Annotated[Number, whole_number(0, 1000, "workers")] = 0
    """Workers that are on-demand before `spotPercent` applies: this many stay when a zone runs out of spot capacity."""

    spot_percent: Annotated[Number, whole_number(0, 100, "percent")] = 0
    """Percentage of the workers beyond `onDemandBase` that are spot instances. They cost less, but AWS reclaims them
    with two minutes' notice. Tasks that cannot finish in that time start again elsewhere: keep long ones in a pool with
    0."""

    idle_seconds: Annotated[
        Number,
        whole_number(
            CONTROLLER_PERIOD_SECONDS, 86_400, f"seconds; the masters check every {CONTROLLER_PERIOD_SECONDS}"
        ),
    ] = 60
    """How long a worker above `minSize` is kept when no task needs it. A longer time costs more for idle workers, a
    shorter time more for boots. The masters check the pools every 10 seconds, so shorter times are not
    accepted."""

    drain_limit_hours: Annotated[
        Number, whole_number(1, limits.HOOK_HOURS - 1, f"hours; AWS holds a node for at most {limits.HOOK_HOURS}")
    ] = 12
    """How long a worker that is being terminated may take to finish its tasks, whatever the reason: an update, a
    smaller `maxSize`, a failed health check, an operator. Set it to at least the duration of the longest task: tasks
    that still run after this time are stopped and start again. AWS holds a node for at most 48 hours. A reclaimed spot
    instance has two minutes, whatever this value is."""

    boot_lead_seconds: Annotated[Number, whole_number(10, 3600, "seconds")] = 180
    """How long before scheduled work its workers are launched, until the pool has measured its own boot times."""

    workers_ahead: Annotated[Number, whole_number(0, 1000, "workers")] | None = None
    """Maximum number of workers launched ahead of the DAGs' schedule; without it, `maxSize` is the only limit. With 0,
    workers are launched only for tasks that are already waiting."""

    root_volume_gib: Annotated[Number, whole_number(16, limits.LARGEST_ROOT_VOLUME_GIB, "GiB")] = 50
    """GiB of encrypted gp3 storage of each worker, for Debian, Airflow, and what tasks write to local disk. A worker
    with less than 5 % (at most 2 GiB) of it free takes no more tasks."""

    requirements: RequirementsFile | None = None
    """Path of a file in this repository with Python packages for the tasks of this pool alone, one requirement per
    line, for example `requirements/heavy.txt`. `make lock` resolves them on top of the packages of all nodes, which
    keep their versions, and writes `<path>.lock`. The masters build and publish the pool's environment if they have its
    architecture; until then, and on a pool of another architecture, each worker installs from the lock when it boots,
    and needs a package index for that. A changed lock replaces the pool's workers; the first pool with requirements
    also replaces the masters, once."""

    system_packages: SystemPackages = ()
    """Debian packages for its tasks, for example `[git, ffmpeg]`. A new worker installs them, without recommended ones,
    from Debian 13's archive before it takes tasks: it needs a path to Debian's mirrors, and boots that much later. If
    one cannot be installed, the boot fails. Changing the list replaces the pool's workers."""

    start_script: StartScript | None = None
    """Path of a script in this repository, for example `scripts/heavy.sh`, for what packages cannot do. A new worker
    runs it once, as root, after `systemPackages` and before the secrets are fetched and tasks are taken. If it ends
    with an error, or runs for more than 10 minutes, the boot fails with its last lines. It is stored in the artifacts
    bucket and in Pulumi's state, so it must not contain secrets. Changing its content replaces the pool's workers."""

    @property
    def architecture(self) -> Architecture:
        """The processor architecture, which all instance types of a pool share."""
        return instance_types.architecture(self.instance_types[0])

    @property
    def task_slots(self) -> int:
        """Tasks that one worker runs at a time, from `concurrency` or from `taskMemoryGib`.

        Raises FaultyValue if neither yields a usable number; the rules below report why.
        """
        if self.concurrency is not None and self.task_memory_gib is None:
            return self.concurrency
        memory = task_slots.known_memory(self.instance_types)
        if self.concurrency is None and self.task_memory_gib is not None and len(memory) == len(self.instance_types):
            slots = task_slots.fitting(min(memory.values()), self.task_memory_gib)
            if 1 <= slots <= MOST_SLOTS:
                return slots
        raise FaultyValue("concurrency")

    @property
    def most_workers_ahead(self) -> int:
        """Maximum number of workers launched ahead of the schedule."""
        return self.max_size if self.workers_ahead is None else self.workers_ahead

    @property
    def drain_limit_seconds(self) -> int:
        """The drain limit in seconds, as it is passed to the nodes."""
        return self.drain_limit_hours * 3600

    @property
    def heartbeat_seconds(self) -> int:
        """How long Auto Scaling waits for the next heartbeat of a worker that is being terminated."""
        return draining.heartbeat_seconds(self.drain_limit_seconds)


WorkerPools = Mapping[str, WorkerPoolSettings]


def most_task_slots(worker_pools: WorkerPools) -> int:
    """Tasks that the workers of all pools at maximum size run at a time."""
    return sum(pool.max_size * pool.task_slots for pool in worker_pools.values())


# Pulumi appends a hyphen and seven characters to the names that it generates.
_GENERATED_SUFFIX = 8


def pool_name_length(cluster: ClusterSettings, worker_pools: WorkerPools) -> Iterator[Fault]:
    """A pool's name leaves room in the names of its Auto Scaling group and its launch template."""
    group, template = f"{cluster.name}-pool-", "pool--template"
    names = (
        (limits.AUTOSCALING_GROUP_NAME_LENGTH - len(group), f"the autoscaling group {group}<pool>"),
        (
            limits.LAUNCH_TEMPLATE_NAME_LENGTH - len(template) - _GENERATED_SUFFIX,
            "the launch template pool-<pool>-template",
        ),
    )
    longest, where = min(names)
    for pool in worker_pools:
        if len(pool) > longest:
            yield Fault(
                key=f"airflow:workerPools.{pool}",
                given=f"a name of {len(pool)} characters",
                allowed=f"at most {longest} characters: a longer name would be too long for {where}",
                remedy=f"shorten it by {len(pool) - longest}",
            )


def there_is_a_pool(worker_pools: WorkerPools) -> Iterator[Fault]:
    """There is at least one worker pool."""
    if not worker_pools:
        yield Fault(
            key="airflow:workerPools",
            given="{}",
            allowed="at least one pool",
            remedy="add one, for example default, with queues: [default]",
        )


def pools_are_sound(worker_pools: WorkerPools) -> Iterator[Fault]:
    """In each pool `minSize`, `onDemandBase` and `workersAhead` are not above `maxSize`, the instance types share an
    architecture, and either `concurrency` or `taskMemoryGib` is set and fits the memory of the smallest of them."""
    rules: tuple[Callable[[str, WorkerPoolSettings], Iterator[Fault]], ...] = (
        _sizes_are_ordered,
        _one_architecture,
        _one_measure_of_tasks,
        _memory_for_the_tasks,
        _task_memory_fits,
        _shares_within_max_size,
    )
    for name, pool in worker_pools.items():
        for rule in rules:
            try:
                yield from rule(f"airflow:workerPools.{name}", pool)
            except FaultyValue:
                continue


def queues_have_one_pool(worker_pools: WorkerPools) -> Iterator[Fault]:
    """A queue is in only one worker pool: with two, the tasks would go to either of them at random."""
    for queue, names in _pools_by_queue(worker_pools).items():
        if len(names) > 1:
            yield Fault(
                key=f"airflow:workerPools.{names[1]}.queues",
                given=f"{shown(queue)}, which the pool {names[0]} also serves",
                allowed="each queue in only one pool: two pools would take its tasks at random",
                remedy=f"remove {queue} from one of {', '.join(names)}; to widen a pool, add instance types to it",
            )


def _pools_by_queue(worker_pools: WorkerPools) -> dict[str, list[str]]:
    """The pools that serve each queue. A pool with a faulty list is left out, so it hides no conflict of others."""
    pools: dict[str, list[str]] = defaultdict(list)
    for name, pool in worker_pools.items():
        with suppress(FaultyValue):
            for queue in dict.fromkeys(pool.queues):
                pools[queue].append(name)
    return pools


# The default of drainLimitHours; a higher value suggests that tasks run that long.
_LONG_HOURS = 12


def long_tasks_are_not_on_spot(worker_pools: WorkerPools) -> Iterator[str]:
    """A warning about long tasks in a pool with spot instances."""
    for name, pool in worker_pools.items():
        if pool.spot_percent and pool.drain_limit_hours > _LONG_HOURS:
            yield (
                f"airflow:workerPools.{name}.spotPercent: {pool.spot_percent} with drainLimitHours: "
                f"{pool.drain_limit_hours}. AWS reclaims a spot instance with two minutes' notice, whatever its drain "
                "limit, and its tasks start again from the beginning: set spotPercent to 0 if tasks run for hours."
            )


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
        given=given or "neither concurrency nor taskMemoryGib",
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
    for word, share in (("onDemandBase", pool.on_demand_base), ("workersAhead", pool.workers_ahead)):
        if share is not None and share > pool.max_size:
            yield Fault(
                key=f"{key}.{word}",
                given=f"{share}, above maxSize {pool.max_size}",
                allowed=f"0 to maxSize ({pool.max_size})",
                remedy=f"lower {word} to at most {pool.max_size}, or raise maxSize",
            )


def requirements_are_locked(worker_pools: WorkerPools) -> Iterator[Fault]:
    """The lock of a pool's `requirements` was made from them, and with the packages that all nodes have."""
    for name, pool in worker_pools.items():
        with suppress(FaultyValue):
            if pool.requirements is not None and (fault := lock_inputs.pool_lock_fault(pool.requirements)):
                yield Fault(
                    key=f"airflow:workerPools.{name}.requirements",
                    given=f"{shown(pool.requirements)}, {fault}",
                    allowed=f"a lock in {pool.requirements}{lock_inputs.POOL_LOCK_SUFFIX} that was made from it on "
                    "top of node/locks/airflow.txt",
                    remedy="run `make lock` and commit the changes",
                )


RULES = (pool_name_length, there_is_a_pool, pools_are_sound, queues_have_one_pool, requirements_are_locked)


def instance_types_can_run(worker_pools: WorkerPools, region: str) -> Iterator[str]:
    """Warnings about instance types that the image or the region may not support."""
    for name, pool in worker_pools.items():
        yield from doubts_about(f"airflow:workerPools.{name}.instanceTypes", pool.instance_types, region)


WARNINGS = (long_tasks_are_not_on_spot, instance_types_can_run)
