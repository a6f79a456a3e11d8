"""A master's controller on a real database and broker, and the pool that it scales."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_node.worker_registry import WorkerRegistry

from tests.node.metadata import Metadata
from tests.node.programs import module

controller = module("scaling.controller")
launch_groups = module("scaling.launch_groups")
metadata_database = module("scaling.metadata_database")
connection_info = module("airflow_node.postgresql").connection_info
scaling_log = module("scaling.decision_log")
scaling_metrics = module("scaling.metrics")
worker_registry = module("airflow_node.worker_registry")
Pool = module("scaling.pool").Pool

GROUP = "pool-default"
MASTERS = "masters"
POOL = Pool(
    name="default",
    group=GROUP,
    queues=("default",),
    concurrency=4,
    idle_seconds=60,
    boot_lead_seconds=90,
    workers_ahead=8,
)


@dataclass
class Master:
    """A master's controller, with a clock that the test moves."""

    metadata: Metadata
    registry: WorkerRegistry
    pools: tuple[Pool, ...] = (POOL,)
    now: float = 1000.0
    instance: str = "i-master-1"
    groups: Any = None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = metadata_database.MetadataDatabase(connection_info(self.metadata.url))
        self.groups = self.groups or launch_groups.LaunchGroups(clock=lambda: self.now)
        self.metrics = scaling_metrics.ScalingMetrics()
        self.controller = controller.Controller(
            self.pools,
            controller.Parts(
                instance=self.instance,
                masters=MASTERS,
                database=self.database,
                groups=self.groups,
                registry=self.registry,
                log=scaling_log.ScalingLog(self.lines.append),
                metrics=self.metrics,
                clock=lambda: self.now,
            ),
        )

    def do_passes(self, count: int = 1) -> None:
        """Passes, ten seconds apart."""
        for _ in range(count):
            self.controller.run_pass()
            self.now += controller.PERIOD_SECONDS

    def events(self, event: str) -> list[dict[str, Any]]:
        """What was logged under that name."""
        lines = [json.loads(line.removeprefix("<4>")) for line in self.lines]
        return [line for line in lines if line["event"] == event]

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels)


def put_workers(
    registry: WorkerRegistry, active: Sequence[int], state: str = "working", *, instances: Sequence[str]
) -> None:
    """Workers with so many tasks each."""
    for instance, tasks in zip(instances, active, strict=False):
        registry.report(
            worker_registry.Report(
                instance=instance, pool="default", state=state, slots=4, active=tasks, idle_seconds=0.0
            )
        )
