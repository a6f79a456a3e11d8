"""Warnings about values that are accepted but may be a mistake. `pulumi up`, its preview and the plan show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aws_catalog import endpoint_services, instance_types, region_families
from node import lock_inputs
from settings import task_slots
from settings.sections.airflow_config import refusals, values

if TYPE_CHECKING:
    from settings.stack import Settings

# The default of drainLimitHours; a higher value suggests that tasks run that long.
_LONG_HOURS = 12


def warnings(settings: Settings) -> Iterator[str]:
    """One message for each finding: the key, its value, the consequence and what to do."""
    yield from _long_tasks_on_spot(settings)
    yield from _devices_without_driver(settings)
    yield from _types_of_other_regions(settings)
    yield from _endpoints_of_other_regions(settings)
    yield from _zone_with_less(settings)
    yield from _slots_that_stay_empty(settings)
    yield from _options_that_nothing_reads(settings)
    yield from _options_with_nearly_a_known_name(settings)
    yield from _lock_of_another_index(settings)


def _long_tasks_on_spot(settings: Settings) -> Iterator[str]:
    for name, pool in settings.worker_pools.items():
        if pool.spot_percent and pool.drain_limit_hours > _LONG_HOURS:
            yield (
                f"airflow:workerPools.{name}.spotPercent: {pool.spot_percent} with drainLimitHours: "
                f"{pool.drain_limit_hours}. AWS reclaims a spot instance with two minutes' notice, whatever its drain "
                "limit, and its tasks start again from the beginning: set spotPercent to 0 if tasks run for hours."
            )


def _used_types(settings: Settings) -> Iterator[tuple[str, Sequence[str]]]:
    """The keys that name instance types, and the types."""
    yield "airflow:masters.instanceType", [settings.masters.instance_type]
    for name, pool in settings.worker_pools.items():
        yield f"airflow:workerPools.{name}.instanceTypes", pool.instance_types


def _devices_without_driver(settings: Settings) -> Iterator[str]:
    for key, types in _used_types(settings):
        with_devices = [kind for kind in types if instance_types.needs_a_driver(kind)]
        for architecture in sorted({instance_types.architecture(kind) for kind in with_devices}):
            # A pinned image may also be Debian's: its id does not show whose it is.
            yield (
                f"{key}: {', '.join(with_devices)}. Their GPUs or accelerators need a driver that Debian's images do "
                f"not include: make sure that airflow:nodeImage.{architecture} is an image with the driver."
            )


def _types_of_other_regions(settings: Settings) -> Iterator[str]:
    for key, types in _used_types(settings):
        elsewhere = [kind for kind in types if not region_families.is_offered(kind, settings.region)]
        if elsewhere:
            yield (
                f"{key}: {', '.join(elsewhere)}. Not offered in {settings.region} when "
                "aws_catalog/region_families.txt was generated, and an Auto Scaling group cannot launch types that its "
                "region does not offer. To check: aws ec2 describe-instance-type-offerings "
                f"--region {settings.region} --filters Name=instance-type,Values={','.join(elsewhere)}"
            )


def _endpoints_of_other_regions(settings: Settings) -> Iterator[str]:
    region = settings.region
    for service in settings.network.interface_endpoints:
        if region not in endpoint_services.REGIONS.get(service, (region,)):
            yield (
                f"airflow:network.interfaceEndpoints: {service}. AWS does not list this service in {region}, and "
                "`pulumi up` fails if it is not offered there. To check: aws ec2 describe-vpc-endpoint-services "
                f"--region {region} --service-names com.amazonaws.{region}.{service}"
            )


# In most accounts this is use1-az3, the one zone in the region that AWS's own services ask you to avoid:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_ZONE_WITH_LESS = "us-east-1e"


def _zone_with_less(settings: Settings) -> Iterator[str]:
    if _ZONE_WITH_LESS in settings.network.zones:
        yield (
            f"airflow:network.zones: {_ZONE_WITH_LESS}. In most accounts this is use1-az3, which lacks many instance "
            "types, database classes and interface endpoints: choose another zone, unless aws ec2 "
            "describe-availability-zones --region us-east-1 shows another ZoneId for it."
        )


def _slots_that_stay_empty(settings: Settings) -> Iterator[str]:
    parallelism = values.whole_number(settings.config.get("core", {}).get("parallelism", ""))
    tasks = (parallelism or 0) * settings.masters.count
    slots = task_slots.of_all_pools(settings)
    if parallelism is not None and tasks < slots:
        yield (
            f"airflow:config.core.parallelism: {parallelism}. The schedulers then run at most {tasks} tasks at a "
            f"time, but the pools have {slots} task slots at maxSize, of which {slots - tasks} are never used: leave "
            "parallelism out, or lower maxSize."
        )


def _options_that_nothing_reads(settings: Settings) -> Iterator[str]:
    for key, advice in refusals.unread_options(settings):
        yield f"{key}. Nothing in this cluster reads it. {advice[0].upper()}{advice[1:]}."


def _options_with_nearly_a_known_name(settings: Settings) -> Iterator[str]:
    for key, known in refusals.near_misses(settings):
        yield (
            f"{key}. Airflow does not describe this option but passes it on, and it may have no effect: if {known} was "
            "meant, rename it."
        )


def _lock_of_another_index(settings: Settings) -> Iterator[str]:
    used = lock_inputs.index_name(settings.package_index.for_nodes() if settings.package_index else None)
    locked = lock_inputs.locked_index()
    if used != locked:
        yield (
            f"airflow:packageIndex: nodes install from {used}, but the lock was made with {locked}. Unless both have "
            "the same files, new nodes fail: run `make lock` for this stack (STACK=) and commit the changes."
        )
