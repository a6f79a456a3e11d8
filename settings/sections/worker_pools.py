"""The settings of a worker pool."""

from __future__ import annotations

from typing import Annotated

from aws_catalog import instance_types, limits
from aws_catalog.instance_types import Architecture
from settings import draining, task_slots
from settings.section import Section
from settings.task_slots import GIB_PER_TASK, MOST_SLOTS
from settings.types import Amount, InstanceType, Number, QueueName, at_least, number, whole_number

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
    types whose name tells their memory."""

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
    shorter time more for boots. The masters check the pools every 10 seconds; with a shorter time, chance would
    decide."""

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

    @property
    def architecture(self) -> Architecture:
        """The processor architecture, which all instance types of a pool share."""
        return instance_types.architecture(self.instance_types[0])

    @property
    def task_slots(self) -> int:
        """Tasks that one worker runs at a time, whichever key decides it."""
        return task_slots.slots(self)

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
