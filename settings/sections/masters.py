"""`airflow:masters`: the nodes of the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from aws_catalog import instance_types, limits
from aws_catalog.instance_types import Architecture
from settings.errors import Fault, shown
from settings.instance_type import InstanceType, doubts_about
from settings.repository_file import StartScript
from settings.section import Section
from settings.system_packages import SystemPackages
from settings.types import Number, whole_number


class MasterSettings(Section):
    """Nodes with api-server, scheduler, dag-processor and triggerer, all of them active."""

    count: Annotated[Number, whole_number(1, 10, "nodes")] = 2
    """Number of masters, spread over the zones. Two survive the loss of a node or a zone; one means a pause of some
    minutes. Each further master uses about 80 database connections; more than a handful of schedulers wait for each
    other's row locks."""

    instance_type: InstanceType
    """EC2 instance type with at least 4 GiB (the four services need 1.1 GiB before the first DAG), better 8. Changing
    it replaces the masters one after the other; running tasks continue."""

    root_volume_gib: Annotated[Number, whole_number(16, limits.LARGEST_ROOT_VOLUME_GIB, "GiB")] = 30
    """GiB of encrypted gp3: Debian, Airflow, the DAG bundles' copies, the journal. Changing it replaces the nodes."""

    system_packages: SystemPackages = ()
    """Debian packages for what masters run of your code: DAG files at their import, triggers, plugins. Installed as
    those of a worker pool. Changing the list replaces the masters one after the other."""

    start_script: StartScript | None = None
    """Path of a script in this repository that each new master runs, as `startScript` of a worker pool. Changing its
    content replaces the masters one after the other."""

    @property
    def architecture(self) -> Architecture:
        """The processor architecture of the instance type."""
        return instance_types.architecture(self.instance_type)


# The four services use 1.1 GiB before the first DAG. With Debian and the parsing of one DAG, 2 GiB are too little.
_MASTER_GIB = 4
_COMFORTABLE = {"amd64": "m7i.large", "arm64": "m7g.large"}


def masters_have_memory(masters: MasterSettings) -> Iterator[Fault]:
    """A master has at least 4 GiB of memory; types whose memory does not follow from their names are not checked."""
    memory = instance_types.memory_gib(masters.instance_type)
    if memory is not None and memory < _MASTER_GIB:
        yield Fault(
            key="airflow:masters.instanceType",
            given=f"{shown(masters.instance_type)}, {memory:g} GiB of memory",
            allowed=f"a type with {_MASTER_GIB} GiB or more for api-server, scheduler, dag-processor and triggerer",
            remedy=f"use a larger type, for example {_COMFORTABLE[masters.architecture]} with 8 GiB",
        )


RULES = (masters_have_memory,)


def instance_type_can_run(masters: MasterSettings, region: str) -> Iterator[str]:
    """Warnings about an instance type that the image or the region may not support."""
    yield from doubts_about("airflow:masters.instanceType", [masters.instance_type], region)


WARNINGS = (instance_type_can_run,)
