"""The whole configuration surface: every key a stack file may hold, and nothing else.

Keys are camelCase in YAML and snake_case here. A section that is optional is absent when its feature is off. The
limits of a single value are in its field; the rules between values are in sections/, and so are the fields of a
worker pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import pulumi
from pydantic import Field

from aws_catalog import database_classes, instance_types, limits
from aws_catalog.debian_images import latest_image_parameter
from aws_catalog.instance_types import Architecture
from node.environment import NodeEnvironment, PackageIndex
from node.roles import NodeGroup
from settings import loader, node_environments
from settings.errors import SettingsError as SettingsError  # what load_settings raises
from settings.rules import broken_rules
from settings.section import Section
from settings.sections.airflow_config.values import OptionValue
from settings.sections.worker_pools import (
    WorkerPoolSettings as WorkerPoolSettings,  # for importers of a pool's settings
)
from settings.types import (
    AccountId,
    BrokerNodeType,
    Cidr,
    ClusterName,
    DatabaseClass,
    DomainName,
    EndpointService,
    EngineVersion,
    ExistingVpcCidr,
    Flag,
    HostedZoneId,
    ImageId,
    InstanceType,
    LogRetentionDays,
    Number,
    PackageIndexUrl,
    PoolName,
    Region,
    SecretName,
    SubnetId,
    TagKey,
    TagValue,
    VpcCidr,
    VpcId,
    Zone,
    at_least,
    whole_number,
)
from settings.validation import accept
from settings.warnings import warnings


class ClusterSettings(Section):
    """The cluster's identity. Its name is the prefix of every physical name that a person or a machine has to type."""

    name: ClusterName
    """Prefix of the names of buckets, secrets, groups, database and load balancers. At most 25 characters: the name of
    the public load balancer is the first to reach its limit (32); in regions with long names it is a bucket's (63). Do
    not change it in a running stack: the database would be renamed, and everything else replaced by empty resources
    (docs/moving-a-cluster.md)."""

    account_id: AccountId
    """The AWS account, in quotes; part of the bucket names, so that they are globally unique. Must be one of
    `aws:allowedAccountIds`, which stops Pulumi if the credentials belong to another account."""

    protect_data: Flag = True
    """Whether Pulumi and AWS refuse to delete what cannot be recreated (database, broker, log and DAG buckets, Fernet
    key) and the internal load balancer, and Pulumi refuses `pulumi destroy` before it deletes anything. To destroy a
    stack, set it to false and run `pulumi up` first."""


class ExistingNetwork(Section):
    """An existing VPC; the program adds security groups and endpoints to it, but no subnets or routes."""

    vpc_id: VpcId
    """The VPC. DNS support and DNS host names must be on: the nodes find the api-server through a private hosted
    zone."""

    cidrs: Annotated[tuple[ExistingVpcCidr, ...], at_least(1, "network", at_most=limits.CIDR_BLOCKS_PER_VPC)]
    """All IPv4 ranges of the VPC, including secondary ones: Airflow trusts the `X-Forwarded-*` headers of load
    balancers in these ranges. If the range of a load balancer's subnet is missing, Airflow redirects users to
    `http`."""

    public_subnet_ids: tuple[SubnetId, ...] = ()
    """Subnets with a route to an internet gateway, two or more, in different zones. Only `web.public` needs them."""

    private_subnet_ids: Annotated[tuple[SubnetId, ...], at_least(2, "subnets, in different zones")]
    """Subnets of the nodes and the internal load balancer. They need a route to the internet (NAT): tasks call external
    services, and nodes call AWS APIs while they boot. An Application Load Balancer needs at least two zones."""

    data_subnet_ids: Annotated[tuple[SubnetId, ...], at_least(2, "subnets, in different zones")]
    """Subnets of the database and the broker. They need no route to the internet. RDS requires two zones even without
    Multi-AZ. They may be the private subnets."""


class NetworkSettings(Section):
    """The cluster's own VPC (`cidr` and `zones`), or an existing one (`existing`)."""

    cidr: VpcCidr | None = None
    """IPv4 range of the new VPC. It must not overlap any network that the VPC will ever be peered with. Do not change
    it in a running stack: RDS and ElastiCache cannot move to another VPC, and `pulumi up` would fail halfway
    (docs/moving-a-cluster.md)."""

    zones: tuple[Zone, ...] = ()
    """Availability zones: at least two, usually three. Each gets a public, a private and a data subnet. RDS and load
    balancers need two; with a third, two thirds of the nodes remain when a zone fails, for the price of one more NAT
    gateway. A zone can be added at any time; drain a zone before you remove it (docs/removing-a-zone.md). Not every
    zone has every instance type, database class and interface endpoint, and the same letter can stand for a different
    physical zone in each account. `aws ec2 describe-instance-type-offerings --location-type availability-zone` lists
    the instance types of your zones; for the rest, `pulumi up` shows AWS's error."""

    nat_gateways: Literal["perZone", "single"] = "perZone"
    """`perZone`: a zone's failure cuts off only its own nodes, and traffic out is not billed between zones. `single`:
    one gateway for all zones, about 35 USD a month less for each zone after the first."""

    flow_log_retention_days: LogRetentionDays = 90
    """Days that accepted and refused connections of the VPC are kept in CloudWatch Logs. Longer costs storage only."""

    interface_endpoints: tuple[EndpointService, ...] = ()
    """AWS services that the nodes reach inside the VPC instead of through NAT, for example `secretsmanager`. Each costs
    about 8 USD per zone and month. S3 always has a gateway endpoint, at no charge. Not allowed with `existing`: an
    endpoint takes over its service's DNS name for everything in the VPC. `aws ec2 describe-vpc-endpoint-services` lists
    the zones of each service."""

    existing: ExistingNetwork | None = None
    """Ids of a VPC to use. All other keys of `network` then have no effect and are refused."""

    @property
    def vpc_cidrs(self) -> tuple[str, ...]:
        """The VPC's IPv4 ranges, whether the VPC is the program's or an existing one."""
        if self.existing:
            return self.existing.cidrs
        return (self.cidr,) if self.cidr else ()


class DatabaseSettings(Section):
    """RDS PostgreSQL for Airflow's metadata and Celery's results."""

    instance_class: DatabaseClass
    """CPU, memory, and by its memory the number of connections: masters and workers that need more than it holds are
    refused. Changing it restarts the database at once: a failover of a minute or two with Multi-AZ, longer without."""

    engine_version: EngineVersion = "17"
    """PostgreSQL version, in quotes. `"17"`: RDS creates it with its default minor version and applies new ones in the
    maintenance window. A minor version pins it; RDS never goes back to an older one."""

    allocated_storage_gib: Annotated[Number, whole_number(*limits.DATABASE_STORAGE_GIB, "GiB, gp3")]
    """GiB of gp3 storage. It can be raised while the database runs, once every six hours, by at least ten percent.
    Lowering it does nothing: RDS cannot shrink storage. From 400 GiB on, 12,000 IOPS and 500 MiB/s are included instead
    of 3,000 and 125, at no extra charge. If RDS has grown the storage beyond the size in the stack file, raise it with
    `pulumi up --refresh`; otherwise RDS refuses a size between the two."""

    max_allocated_storage_gib: Annotated[Number, whole_number(*limits.DATABASE_STORAGE_GIB, "GiB, gp3")]
    """GiB that storage autoscaling may grow to, at least ten percent above `allocatedStorageGib`. A full disk stops the
    scheduler, so leave room; only what is allocated is billed."""

    multi_az: Flag = True
    """A synchronous standby in another zone, and about twice the price. Without it, you have to restore a backup
    yourself when a zone or host fails."""

    backup_retention_days: Annotated[Number, whole_number(*limits.DATABASE_BACKUP_RETENTION_DAYS, "days")] = 14
    """Days back to which the database can be restored, to the second. 0 switches backups off, and is refused while
    `cluster.protectData` is true. RDS keeps at most 35."""

    final_snapshot: Flag = True
    """A last snapshot when the database is deleted, and backups that outlive it. Without it, `pulumi destroy` leaves
    nothing to restore."""

    @property
    def max_connections(self) -> int:
        """What the parameter group sets: `LEAST(DBInstanceClassMemory/9531392, 5000)`, RDS's own formula, with a
        cautious guess of the memory that RDS keeps for itself (aws_catalog/database_classes.py)."""
        return database_classes.max_connections(self.instance_class)


class BrokerSettings(Section):
    """ElastiCache, where tasks wait for a worker."""

    node_type: BrokerNodeType
    """CPU and memory of each broker node. A queued task needs a few KiB, so memory is rarely the limit; the burstable
    types run out of CPU credits under steady load. Changing it is an online resize with a short failover."""

    replicas: Annotated[Number, whole_number(*limits.BROKER_REPLICAS, "nodes")] = 1
    """Copies of the primary in other zones; ElastiCache allows five. With one or more, failover is automatic. With 0 a
    failed node comes back empty: the masters notice within about a minute, and its queued tasks run again within two
    and a half."""

    snapshot_retention_days: Annotated[Number, whole_number(*limits.BROKER_SNAPSHOT_RETENTION_DAYS, "days")] = 7
    """Days that a daily snapshot is kept, at most 35; 0 disables snapshots."""


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

    @property
    def architecture(self) -> Architecture:
        """The processor architecture of the instance type."""
        return instance_types.architecture(self.instance_type)


class PublicWeb(Section):
    """A second, internet-facing ALB: HTTPS only, without the execution API. The domain's record then leads all users to
    it, including those in `web.allowedCidrs`: its own `allowedCidrs` must include their public addresses. The internal
    load balancer still accepts those users on 443, but no name in its certificate leads to it, unless your own DNS
    resolves the domain to it."""

    allowed_cidrs: Annotated[tuple[Cidr, ...], at_least(1, "network")] = ("0.0.0.0/0",)
    """Public IPv4 networks that may reach it on port 443. The default is the whole internet: Airflow's login is then
    the only protection of the UI."""


class WebSettings(Section):
    """Who can reach Airflow's UI and API, and under which name."""

    allowed_cidrs: Annotated[tuple[Cidr, ...], at_least(1, "network")]
    """IPv4 networks that may reach the internal load balancer: the VPC's own, a VPN's, an office's. Workers need no
    entry."""

    domain: DomainName | None = None
    """Host name of the UI, for example `airflow.example.com`. Brings an ACM certificate, HTTPS on 443, a redirect from
    8080 and the DNS record. Without it, the UI uses HTTP inside the VPC. Needs `hostedZoneId`. What users notice when
    it changes: `docs/changing-the-domain.md`."""

    hosted_zone_id: HostedZoneId | None = None
    """The public Route 53 zone that holds `domain`, in the same account; the certificate is validated and the record
    written there."""

    public: PublicWeb | None = None
    """If set, the UI is also on the internet, through a second load balancer. Needs `domain`. `{}` uses the
    defaults."""


class RetentionSettings(Section):
    """How long logs and the history of runs are kept."""

    task_logs_days: Annotated[Number, whole_number(1, 36_500, "days")] = 365
    """Days that task logs stay in their bucket, and so in the UI. S3 deletes them after that."""

    metadata_days: Annotated[Number, whole_number(0, 36_500, "days")] = 365
    """Days that runs, tasks, XComs and the audit log stay in the metadata database, and so in the UI; 0 keeps them for
    ever, other values must be at least 30. A master deletes older ones every night, without an archive:
    `docs/stored-data.md`. The last scheduled run of each DAG is kept. Changing it replaces the masters."""

    access_logs_days: Annotated[Number, whole_number(1, 36_500, "days")] = 90
    """Days that the load balancers' access logs stay in their bucket."""

    log_groups_days: LogRetentionDays = 90
    """Days that the database's and the broker's logs stay in CloudWatch Logs."""


class NodeImageSettings(Section):
    """AMI ids that pin the node image; `make node-image` writes Debian's newest, but never replaces an image that is
    not Debian's. Without a pinned image, each node starts from the newest Debian 13 image at its launch, and every
    instance refresh replaces all nodes of its group."""

    amd64: ImageId | None = None
    """Image of the Intel and AMD nodes. An id is valid in one region only."""

    arm64: ImageId | None = None
    """Image of the Graviton nodes."""

    def image_id(self, architecture: Architecture) -> str:
        """The image of a launch template: the pinned AMI id, or an alias that EC2 resolves at each launch."""
        return self.pinned(architecture) or f"resolve:ssm:{latest_image_parameter(architecture)}"

    def pinned(self, architecture: Architecture) -> str | None:
        """The AMI id that the stack file gives for an architecture."""
        return self.amd64 if architecture == "amd64" else self.arm64


class PackageIndexSettings(Section):
    """A Python package index of your own, for both `make lock` and the nodes."""

    url: PackageIndexUrl
    """Address of its simple API (PEP 503), for example `https://packages.example.com/simple/`. It is part of user data,
    so it must not contain credentials. Nodes reach it through NAT, and trust the certificate authorities that Debian
    trusts. Changing it replaces the nodes."""

    credentials_secret: SecretName | None = None
    """Name of a secret that you create in Secrets Manager, in this account and region, encrypted with the default key:
    JSON with `username` and `password`. Every node, and therefore every task, can read it, so give these credentials
    read-only access to the index. `make lock` reads the secret with your own AWS credentials. Without this key, the
    index is used without credentials."""

    pypi: Flag = True
    """Whether packages that the index lacks come from PyPI. A package that is in the index never comes from PyPI. Set
    it to false if the index mirrors PyPI."""

    def for_nodes(self) -> PackageIndex:
        """The index in the form that the nodes and the lock use."""
        return PackageIndex(url=self.url, credentials_secret=self.credentials_secret, pypi=self.pypi)


class Settings(Section):
    """Everything the program knows about the cluster before it starts."""

    # These three are among the AWS provider's keys, as listed in settings/schema.py.
    region: Region
    """The region of all resources."""

    tags: Mapping[TagKey, TagValue] = Field(default_factory=dict)
    """Tags on every resource, and on the instances and volumes that the Auto Scaling groups launch."""

    allowed_account_ids: tuple[AccountId, ...] = ()
    """The accounts in which this stack may be created; with credentials for any other, Pulumi stops."""

    cluster: ClusterSettings
    network: NetworkSettings
    database: DatabaseSettings
    broker: BrokerSettings
    masters: MasterSettings
    worker_pools: Mapping[PoolName, WorkerPoolSettings]
    web: WebSettings
    retention: RetentionSettings = RetentionSettings()
    node_image: NodeImageSettings = NodeImageSettings()
    package_index: PackageIndexSettings | None = None

    config: Mapping[str, Mapping[str, OptionValue]] = Field(default_factory=dict)
    """Airflow options by section, as in airflow.cfg: `core: {max_active_tasks_per_dag: 64}`, but with single percent
    signs. Names, types and fixed choices are checked against the pinned version. Options are refused if they hold
    secrets, if the program sets them itself, or if they cannot work on the nodes. `secrets.backend_kwargs` may set
    prefixes and the like; you then have to allow the nodes' IAM roles to read what is there."""

    @property
    def node_groups(self) -> tuple[NodeGroup, ...]:
        """The groups of nodes: the masters, and the workers of each pool."""
        return node_environments.groups(self)

    def node_environment(self, group: NodeGroup) -> NodeEnvironment:
        """The environment of the group's nodes."""
        return node_environments.environment(self, group)


def load_settings() -> Settings:
    """The stack's settings.

    Logs a warning about each setting that may be a mistake. Raises SettingsError with all faults of the stack file at
    once, before any resource is registered.
    """
    settings = accept(Settings, loader.given(), rules=broken_rules, stack=pulumi.get_stack())
    for warning in warnings(settings):
        pulumi.log.warn(warning)
    return settings
