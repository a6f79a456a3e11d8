"""What is accepted but may not be meant. `pulumi up`, its preview and the plan show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aws_facts import instance_types

if TYPE_CHECKING:
    from settings import Settings

# Nobody sets more than the default of drainLimitHours unless tasks run that long.
_LONG_HOURS = 12


def warnings(settings: Settings) -> Iterator[str]:
    """One text for each finding: the key, what it says, what follows and what to do."""
    yield from _long_tasks_on_spot(settings)
    yield from _devices_without_driver(settings)


def _long_tasks_on_spot(settings: Settings) -> Iterator[str]:
    for name, pool in settings.worker_pools.items():
        if pool.spot_percent and pool.drain_limit_hours > _LONG_HOURS:
            yield (
                f"airflow:workerPools.{name}.spotPercent: {pool.spot_percent} with drainLimitHours: "
                f"{pool.drain_limit_hours}. AWS reclaims a spot instance with two minutes' notice, whatever its drain "
                "limit, and its tasks start again from the beginning: set spotPercent to 0 where tasks run for hours."
            )


def _devices_without_driver(settings: Settings) -> Iterator[str]:
    used: list[tuple[str, Sequence[str]]] = [("airflow:masters.instanceType", [settings.masters.instance_type])]
    used += [
        (f"airflow:workerPools.{name}.instanceTypes", pool.instance_types)
        for name, pool in settings.worker_pools.items()
    ]
    for key, types in used:
        with_devices = [kind for kind in types if instance_types.needs_a_driver(kind)]
        for architecture in sorted({instance_types.architecture(kind) for kind in with_devices}):
            if getattr(settings.node_image, architecture) is None:
                yield (
                    f"{key}: {', '.join(with_devices)}. Debian's image has no driver for their GPUs or accelerators: "
                    f"pin an image that has one in airflow:nodeImage.{architecture}."
                )
