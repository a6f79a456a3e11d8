"""The settings of a worker pool."""

from __future__ import annotations

from typing import Annotated

from aws_facts import instance_types, limits
from aws_facts.instance_types import Architecture
from setting_rules import draining, task_slots
from setting_rules.section import Section
from setting_rules.task_slots import GIB_PER_TASK, MOST_SLOTS
from setting_rules.values import Amount, InstanceType, Number, QueueName, at_least, number, whole_number

CONTROLLER_PERIOD_SECONDS = 10


class WorkerPoolSettings(Section):
    """One autoscaling group of Celery workers. Its key is the pool's name."""

    queues: Annotated[tuple[QueueName, ...], at_least(1, "queue")]
    """Queues its workers take tasks from; a task names one in `queue=`, otherwise it is in `default`. A queue belongs
    to one pool only."""

    instance_types: Annotated[
        tuple[InstanceType, ...], at_least(1, "instance type", at_most=limits.INSTANCE_TYPES_PER_GROUP)
    ]
    """EC2 types, all of one architecture and of like size: what one worker runs counts for each of them. Several types
    find capacity when one is sold out. A pool of another architecture than the masters' boots more slowly: it installs
    Airflow from the lock each time, and needs a package index for it. On-demand workers take the first that there is;
    spot workers the one that is least likely to be reclaimed, of the cheap ones."""

    concurrency: Annotated[Number, whole_number(1, MOST_SLOTS, "tasks")] | None = None
    """Tasks at a time on one worker. Airflow itself needs 0.1 GiB for each; what the tasks import and load comes on
    top. Each one takes a connection to the database of Celery's results. Either this or `taskMemoryGib`."""

    task_memory_gib: Annotated[Amount, number(GIB_PER_TASK, limits.LARGEST_REGULAR_MEMORY_GIB, "GiB")] | None = None
    """GiB that one task may need, Airflow's share included, instead of `concurrency`: as many tasks run at a time as
    fit the smallest of the instance types, beside 0.5 GiB for the worker. For types whose name tells their memory."""

    min_size: Annotated[Number, whole_number(0, 1000, "workers")]
    """Workers at rest. 0 lets the pool rest at nothing: cheapest, and the first task waits for a boot."""

    max_size: Annotated[Number, whole_number(1, 1000, "workers")]
    """Most workers at a time: the limit of what the pool can cost, and part of the database's connections."""

    on_demand_base: Annotated[Number, whole_number(0, 1000, "workers")] = 0
    """Workers that are on demand before `spotPercent` counts: as many stay when a zone runs out of spot capacity."""

    spot_percent: Annotated[Number, whole_number(0, 100, "percent")] = 0
    """Share of the workers beyond `onDemandBase` that are spot instances, which cost less and which AWS reclaims with
    two minutes' notice. Tasks that cannot end in that time start again elsewhere: keep long ones in a pool at 0."""

    idle_seconds: Annotated[
        Number,
        whole_number(CONTROLLER_PERIOD_SECONDS, 86_400, f"seconds; the masters look every {CONTROLLER_PERIOD_SECONDS}"),
    ] = 60
    """How long a worker above `minSize` is kept that no task needs. Longer pays for idle workers, shorter for boots.
    The masters look at the pools every 10 seconds; less than that would be decided by chance."""

    drain_limit_hours: Annotated[
        Number, whole_number(1, limits.HOOK_HOURS - 1, f"hours; AWS holds a node for {limits.HOOK_HOURS} at most")
    ] = 12
    """How long a worker that has to leave may finish what it runs, however its group told it to: an update, a smaller
    `maxSize`, a failed health check, a person. Not shorter than the longest task: what still runs after that is ended
    and starts again. AWS holds a node for 48 hours at most. A reclaimed spot instance has two minutes, whatever stands
    here."""

    boot_lead_seconds: Annotated[Number, whole_number(10, 3600, "seconds")] = 180
    """How long before scheduled work the workers for it are launched, until the pool has measured its own boots."""

    workers_ahead: Annotated[Number, whole_number(0, 1000, "workers")] | None = None
    """Workers at most that are launched ahead of the DAGs' schedule; without it `maxSize` is the only limit. 0 launches
    workers only for tasks that are there."""

    root_volume_gib: Annotated[Number, whole_number(16, limits.LARGEST_ROOT_VOLUME_GIB, "GiB")] = 50
    """GiB of encrypted gp3 of each worker: Debian, Airflow, and what tasks write to local disk."""

    @property
    def architecture(self) -> Architecture:
        """The processor architecture; all instance types of a pool have the same."""
        return instance_types.architecture(self.instance_types[0])

    @property
    def task_slots(self) -> int:
        """Tasks at a time on one worker, whichever key decides it."""
        return task_slots.slots(self)

    @property
    def most_workers_ahead(self) -> int:
        """Workers at most that are launched ahead of the schedule."""
        return self.max_size if self.workers_ahead is None else self.workers_ahead

    @property
    def drain_limit_seconds(self) -> int:
        """The drain limit, as nodes are told it."""
        return self.drain_limit_hours * 3600

    @property
    def heartbeat_seconds(self) -> int:
        """How long Auto Scaling waits for a leaving worker's next sign of life."""
        return draining.heartbeat_seconds(self.drain_limit_seconds)
