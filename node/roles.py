"""The roles of nodes, one definition for each. Whatever differs between roles is in a definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from node.airflow_options.node_option import NodeOption
from node.airflow_options.rendering import MASTER_OPTIONS, WORKER_OPTIONS
from node.naming import POOL_LOCKS, TERMINATING_HOOK, metrics_volume_name
from node.worker_pool_config import for_masters

if TYPE_CHECKING:
    from node.environment import NodeEnvironment


class Role(StrEnum):
    """What a node does in the cluster. The value is the role's name on nodes, in tags and in the program archive."""

    MASTER = "master"
    WORKER = "worker"
    MONITOR = "monitor"

    @property
    def definition(self) -> Definition:
        """Everything that belongs to the role."""
        return DEFINITIONS[self]


@dataclass(frozen=True)
class Permission:
    """One IAM statement of a role's policy.

    Attributes:
        resource: what the actions are allowed on. `<bucket>` or `<bucket>/<objects>`, with a bucket's purpose as its
            name; `own-group` or `worker-groups`, the autoscaling groups; `secret:<names>`, secrets below the cluster's
            name; `own-instances`; what a monitor uses: `metrics-volume`, `alert-topics`,
            `alert-key`; or `*` where AWS grants all or nothing.
    """

    sid: str
    actions: tuple[str, ...]
    resource: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What makes a node a node of its role.

    Attributes:
        group: the end of the autoscaling group's name. With `{pool}` in it, the role has a group for each worker pool.
        iam_name: the end of the IAM role's name.
        layers: the folders below rootfs/ whose files the node gets. With `airflow` among them, the node has Airflow's
            environment and options, the DAGs and the secrets of Airflow's services.
        boot_steps: units that run once, before the services, without `airflow-` and `.service`.
        services: units that do the role's work for as long as the node runs.
        metered_services: those of them whose own metrics of Airflow are sent to the stack's monitor.
        supervisor: the unit that watches over them; None if systemd and the load balancer's health check suffice.
        secrets: secret key -> the variable in which the services get the secret's value.
        bootstrap_secrets: the same for the boot step that prepares the database. They are in a file of their own, which
            is deleted before the services start.
        permissions: what the node may do on AWS, besides reading the secrets of its services.
        system_packages: the Debian packages of the role's services.
        airflow_options: the Airflow options that only this role sets.
        variables: the environment variables that only this role has.
    """

    group: str
    iam_name: str
    layers: tuple[str, ...]
    boot_steps: tuple[str, ...]
    services: tuple[str, ...]
    metered_services: tuple[str, ...] = ()
    supervisor: str | None
    secrets: Mapping[str, str]
    bootstrap_secrets: Mapping[str, str] = field(default_factory=dict)
    permissions: tuple[Permission, ...]
    system_packages: tuple[str, ...] = ()
    airflow_options: tuple[NodeOption, ...] = ()
    variables: Callable[[NodeEnvironment], dict[str, str]]

    @property
    def runs_airflow(self) -> bool:
        """Whether nodes of the role run Airflow."""
        return "airflow" in self.layers

    @property
    def in_worker_pools(self) -> bool:
        """Whether the role has an autoscaling group for each worker pool."""
        return "{pool}" in self.group

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """Every secret that a node of the role reads."""
        return (*self.secrets, *self.bootstrap_secrets)


def _master_variables(node: NodeEnvironment) -> dict[str, str]:
    # Read by GitPython, of which Airflow's Git bundle is made.
    git = {"GIT_PYTHON_GIT_EXECUTABLE": "/usr/local/lib/airflow/git-within-limit"}
    # The locks themselves are not here: a changed one would replace the masters.
    pool_locks = {"NODE_POOL_LOCKS": POOL_LOCKS} if node.builds_for_pools else {}
    return (
        (git if any(bundle.git for bundle in node.dag_bundles) else {})
        | pool_locks
        | {
            "NODE_POOLS": for_masters(node.pools),
            "NODE_METADATA_DAYS": str(node.metadata_days),
            "FORWARDED_ALLOW_IPS": ",".join(node.vpc_cidrs),
        }
    )


def _monitor_variables(node: NodeEnvironment) -> dict[str, str]:
    return {
        "NODE_METRICS_RETENTION": f"{node.metrics_days}d",
        "NODE_METRICS_VOLUME": metrics_volume_name(node.cluster),
        "NODE_ALERT_TOPICS": " ".join(f"{severity}={arn}" for severity, arn in node.alert_topics.items()),
    }


def _worker_variables(node: NodeEnvironment) -> dict[str, str]:
    return node.worker_pool.worker_variables() | {"NODE_TERMINATING_HOOK": TERMINATING_HOOK}


_DAGS = (
    Permission("ListDags", ("s3:ListBucket",), "dags"),
    Permission("ReadDags", ("s3:GetObject",), "dags/*"),
)
_ARTIFACTS = (
    # Without ListBucket, S3 answers 403 for a missing object instead of 404.
    Permission("FindArtifacts", ("s3:ListBucket",), "artifacts"),
    Permission("ReadArtifacts", ("s3:GetObject",), "artifacts/*"),
)
_TASK_LOGS = (
    # Airflow appends to a task's log if it exists, and checks that first. Only the bucket's lifecycle deletes logs.
    Permission("FindTaskLogs", ("s3:ListBucket",), "task-logs"),
    Permission("KeepTaskLogs", ("s3:GetObject", "s3:PutObject"), "task-logs/*"),
)
# A node reports that it is ready, still draining, drained, or broken.
_OWN_STATE = Permission(
    "ReportOwnState",
    (
        "autoscaling:CompleteLifecycleAction",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "autoscaling:SetInstanceHealth",
    ),
    "own-group",
)
_COMMON_PERMISSIONS = (*_ARTIFACTS, _OWN_STATE)
_AIRFLOW_PERMISSIONS = (*_DAGS, *_ARTIFACTS, *_TASK_LOGS, _OWN_STATE)

DEFINITIONS: Mapping[Role, Definition] = {
    Role.MASTER: Definition(
        group="masters",
        iam_name="master",
        layers=("common", "airflow", "master"),
        boot_steps=("artifacts", "setup", "install", "secrets", "database"),
        services=("api-server", "scheduler", "dag-processor", "triggerer", "scaling", "lost-tasks"),
        metered_services=("api-server", "scheduler", "dag-processor", "triggerer"),
        supervisor="health",
        secrets={
            "database-dsn": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "result-backend": "AIRFLOW__CELERY__RESULT_BACKEND",
            "broker-url": "AIRFLOW__CELERY__BROKER_URL",
            "fernet-key": "AIRFLOW__CORE__FERNET_KEY",
            "jwt-secret-key": "AIRFLOW__API_AUTH__JWT_SECRET",
            "api-secret-key": "AIRFLOW__API__SECRET_KEY",
            "flask-secret-key": "FLASK_SECRET_KEY",
        },
        bootstrap_secrets={
            "admin-password": "NODE_ADMIN_PASSWORD",
            "database-admin": "NODE_DATABASE_ADMIN",
        },
        permissions=(
            *_AIRFLOW_PERMISSIONS,
            # One statement for any number of worker pools, because the size of inline policies is limited.
            Permission("ScalePools", ("autoscaling:SetDesiredCapacity",), "worker-groups"),
            Permission(
                "SeePools", ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"), "*"
            ),
            # Other nodes unpack the environment that a master built. The keys of other artifacts start with a hash.
            Permission("PublishEnvironments", ("s3:PutObject",), "artifacts/environments/*"),
            # Of DAGs. The cluster's own secrets have names without a second slash (components/secrets.py).
            Permission("ReadConnections", ("secretsmanager:GetSecretValue",), "secret:connections/*"),
            Permission("ReadVariables", ("secretsmanager:GetSecretValue",), "secret:variables/*"),
        ),
        airflow_options=MASTER_OPTIONS,
        variables=_master_variables,
    ),
    Role.WORKER: Definition(
        group="pool-{pool}",
        iam_name="pool-{pool}",
        layers=("common", "airflow", "worker"),
        boot_steps=("artifacts", "setup", "install", "secrets", "admission"),
        services=("worker",),
        supervisor="lifecycle",
        # Workers run the code of DAG authors: no DSN, no Fernet key, no JWT secret, and not the key that signs the UI's
        # sessions.
        secrets={
            "broker-url": "AIRFLOW__CELERY__BROKER_URL",
            "result-backend": "AIRFLOW__CELERY__RESULT_BACKEND",
            "api-secret-key": "AIRFLOW__API__SECRET_KEY",
        },
        permissions=(
            *_AIRFLOW_PERMISSIONS,
            # A worker terminates itself. IAM has no condition that would keep it from terminating others of its group.
            Permission("Leave", ("autoscaling:TerminateInstanceInAutoScalingGroup",), "own-group"),
        ),
        airflow_options=WORKER_OPTIONS,
        variables=_worker_variables,
    ),
    Role.MONITOR: Definition(
        group="monitor",
        iam_name="monitor",
        layers=("common", "monitor"),
        boot_steps=("artifacts", "setup", "volume"),
        services=("victoria-metrics", "vmalert", "alertmanager"),
        supervisor=None,
        secrets={},
        permissions=(
            *_COMMON_PERMISSIONS,
            # EC2 checks the permission on both sides of an attachment, and describes all volumes or none.
            Permission("FindVolume", ("ec2:DescribeVolumes",), "*"),
            Permission("AttachVolume", ("ec2:AttachVolume",), "metrics-volume"),
            Permission("AttachToMonitor", ("ec2:AttachVolume",), "own-instances"),
            Permission("PublishAlerts", ("sns:Publish",), "alert-topics"),
            Permission("EncryptAlerts", ("kms:Decrypt", "kms:GenerateDataKey"), "alert-key"),
        ),
        system_packages=("victoria-metrics", "prometheus-alertmanager"),
        variables=_monitor_variables,
    ),
}


@dataclass(frozen=True)
class NodeGroup:
    """The nodes of one autoscaling group.

    Attributes:
        pool: the worker pool, for a role that has a group for each of them; None for the other roles.
    """

    role: Role
    pool: str | None = None

    def __post_init__(self) -> None:
        if self.role.definition.in_worker_pools == (self.pool is None):
            has = "one for each worker pool" if self.pool is None else "one for all its nodes, whatever the worker pool"
            raise ValueError(f"Role {self.role} has autoscaling groups: {has}; given: pool {self.pool!r}.")

    @property
    def key(self) -> str:
        """The group's name within its cluster: `masters`, `pool-default`. State keys start with it."""
        return self.role.definition.group.format(pool=self.pool)

    @property
    def iam_name(self) -> str:
        """The end of the name of the IAM role that the group's nodes have."""
        return self.role.definition.iam_name.format(pool=self.pool)

    def name(self, cluster: str) -> str:
        """The physical name of the group: typed by operators, named in policies and present on the nodes."""
        return f"{cluster}-{self.key}"


MASTERS = NodeGroup(Role.MASTER)
MONITOR = NodeGroup(Role.MONITOR)
EVERY_WORKER_POOL = NodeGroup(Role.WORKER, "*")
"""Its name is the pattern that all worker pools' groups match."""


def worker_group(pool: str) -> NodeGroup:
    """The group of a worker pool."""
    return NodeGroup(Role.WORKER, pool)
