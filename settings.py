"""The whole configuration surface: every key a stack file may hold, and nothing else.

Keys are camelCase in YAML and snake_case here. A section that is optional is absent when its feature is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NodeSize = str
ConfigValue = str | int | float | bool


class Section(BaseModel):
    """One section of the stack file: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ClusterSettings(Section):
    """Who the cluster is. Its name starts every physical name that a person or a machine has to type."""

    name: str
    account_id: str
    protect_data: bool = True


class ExistingNetwork(Section):
    """A VPC that is already there; the program adds security groups and endpoints, no subnets or routes."""

    vpc_id: str
    cidr: str
    public_subnet_ids: tuple[str, ...] = ()
    private_subnet_ids: tuple[str, ...]
    data_subnet_ids: tuple[str, ...]


class NetworkSettings(Section):
    cidr: str | None = None
    zones: tuple[str, ...] = ()
    nat_gateways: Literal["perZone", "single"] = "perZone"
    flow_log_retention_days: int = 90
    interface_endpoints: tuple[str, ...] = ()
    existing: ExistingNetwork | None = None


class DatabaseSettings(Section):
    instance_class: str
    engine_version: str = "17"
    allocated_storage_gib: int
    max_allocated_storage_gib: int
    multi_az: bool = True
    backup_retention_days: int = 14


class BrokerSettings(Section):
    node_type: str
    replicas: int = 1
    snapshot_retention_days: int = 7


class MasterSettings(Section):
    count: int = 2
    instance_type: NodeSize
    root_volume_gib: int = 30


class WorkerPoolSettings(Section):
    queues: tuple[str, ...]
    instance_types: tuple[NodeSize, ...]
    concurrency: int
    min_size: int
    max_size: int
    root_volume_gib: int = 50


class PublicWeb(Section):
    """A second, internet-facing ALB: HTTPS only, without the execution API."""

    allowed_cidrs: tuple[str, ...] = ("0.0.0.0/0",)


class WebSettings(Section):
    allowed_cidrs: tuple[str, ...]
    domain: str | None = None
    hosted_zone_id: str | None = None
    public: PublicWeb | None = None


class RetentionSettings(Section):
    task_logs_days: int = 365
    access_logs_days: int = 90
    log_groups_days: int = 90


class NodeImageSettings(Section):
    """AMI ids that pin the node image; without them EC2 resolves Debian 13's public parameter at launch."""

    amd64: str | None = None
    arm64: str | None = None


class Settings(Section):
    region: str
    tags: Mapping[str, str] = Field(default_factory=dict)
    cluster: ClusterSettings
    network: NetworkSettings
    database: DatabaseSettings
    broker: BrokerSettings
    masters: MasterSettings
    worker_pools: Mapping[str, WorkerPoolSettings]
    web: WebSettings
    retention: RetentionSettings = RetentionSettings()
    node_image: NodeImageSettings = NodeImageSettings()
    config: Mapping[str, Mapping[str, ConfigValue]] = Field(default_factory=dict)
