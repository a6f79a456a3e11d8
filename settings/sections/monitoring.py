"""`airflow:monitoring`: the node that stores metrics and evaluates alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from aws_catalog import instance_types, limits
from aws_catalog.instance_types import Architecture
from settings.errors import Fault, shown
from settings.instance_type import InstanceType, doubts_about
from settings.section import Section
from settings.sections.network import NetworkSettings, Zone
from settings.types import Number, whole_number


class MonitoringSettings(Section):
    """One node that stores the metrics of all nodes and evaluates alert rules on them. Without this section there is no
    such node, and nodes send no metrics."""

    instance_type: InstanceType
    """EC2 instance type with at least 2 GiB. Changing it replaces the node; the others keep their samples on disk until
    the new one accepts them."""

    volume_gib: Annotated[Number, whole_number(*limits.GP3_VOLUME_GIB, "GiB")] = 20
    """GiB of the encrypted gp3 volume with the metrics. It outlives the node, and the next one attaches it. It can be
    made larger, once in six hours, but not smaller. The file system grows at the node's next boot."""

    retention_days: Annotated[Number, whole_number(1, 36_500, "days")] = 90
    """Days that metrics are kept. Changing it replaces the node."""

    zone: Zone | None = None
    """Availability zone of node and volume: a volume can only be attached in its own zone. Without it, the first of
    `network.zones`; with `network.existing`, the zone of the first of `privateSubnetIds`, which you have to name here.
    Another zone means another, empty volume."""

    @property
    def architecture(self) -> Architecture:
        """The processor architecture of the instance type."""
        return instance_types.architecture(self.instance_type)


# Debian without services takes a quarter of a GiB; the rest is VictoriaMetrics's caches, and the page cache with the
# samples of the last hours.
_MONITOR_GIB = 2
_COMFORTABLE = {"amd64": "t3.small", "arm64": "t4g.small"}


def monitor_has_memory(monitoring: MonitoringSettings | None) -> Iterator[Fault]:
    """The monitor has at least 2 GiB of memory; types whose memory does not follow from their names are not checked."""
    if monitoring is None:
        return
    memory = instance_types.memory_gib(monitoring.instance_type)
    if memory is not None and memory < _MONITOR_GIB:
        yield Fault(
            key="airflow:monitoring.instanceType",
            given=f"{shown(monitoring.instance_type)}, {memory:g} GiB of memory",
            allowed=f"a type with {_MONITOR_GIB} GiB or more for the metrics' database",
            remedy=f"use a larger type, for example {_COMFORTABLE[monitoring.architecture]} with 2 GiB",
        )


def monitor_has_a_subnet(monitoring: MonitoringSettings | None, network: NetworkSettings) -> Iterator[Fault]:
    """`monitoring.zone` is one of `network.zones`; with `network.existing`, it is set."""
    if monitoring is None:
        return
    if network.existing and monitoring.zone is None:
        yield Fault(
            key="airflow:monitoring.zone",
            given="nothing, with an existing network",
            allowed="the zone of the first of network.existing.privateSubnetIds: the metrics' volume is created there",
            remedy="add it: aws ec2 describe-subnets --query 'Subnets[].AvailabilityZone' --subnet-ids "
            f"{network.existing.private_subnet_ids[0]}",
        )
    if not network.existing and monitoring.zone is not None and monitoring.zone not in network.zones:
        yield Fault(
            key="airflow:monitoring.zone",
            given=shown(monitoring.zone),
            allowed=f"a zone of airflow:network.zones: {', '.join(network.zones)}",
            remedy="choose one of these, or leave the key out to use the first",
        )


RULES = (monitor_has_memory, monitor_has_a_subnet)


def instance_type_can_run(monitoring: MonitoringSettings | None, region: str) -> Iterator[str]:
    """Warnings about an instance type that the image or the region may not support."""
    if monitoring is not None:
        yield from doubts_about("airflow:monitoring.instanceType", [monitoring.instance_type], region)


WARNINGS = (instance_type_can_run,)
