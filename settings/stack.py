"""The whole stack file: its sections, and what of them reaches a node."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from node import artifacts, lock_inputs
from node.artifacts import Artifact
from node.dag_bundles import DEFAULT_BUNDLE, DagBundle, git_packages
from node.environment import NodeEnvironment
from node.naming import alert_topic_name, bucket_name, metrics_url, web_url
from node.roles import MASTERS, MONITOR, NodeGroup, Role, worker_group
from node.worker_pool_config import WorkerPoolConfig
from settings import repository_file
from settings.section import Section
from settings.sections.airflow_config.types import Config
from settings.sections.alerts import SEVERITIES, AlertSettings
from settings.sections.broker import BrokerSettings
from settings.sections.cluster import ClusterSettings
from settings.sections.dag_bundles import BundleName, DagBundleSettings
from settings.sections.database import DatabaseSettings
from settings.sections.masters import MasterSettings
from settings.sections.monitoring import MonitoringSettings
from settings.sections.network import NetworkSettings
from settings.sections.node_image import NodeImageSettings
from settings.sections.package_index import PackageIndexSettings
from settings.sections.provider import Region, TagKey, TagValue
from settings.sections.retention import RetentionSettings
from settings.sections.web import WebSettings
from settings.sections.worker_pools import WorkerPoolSettings, most_task_slots
from settings.types import AccountId, Name


class Settings(Section):
    """A whole stack file: everything about the cluster that is decided before the program starts."""

    # These three are keys of the AWS provider (PROVIDER_KEYS in settings/schema.py).
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
    worker_pools: Mapping[Name, WorkerPoolSettings]
    web: WebSettings
    retention: RetentionSettings = RetentionSettings()
    monitoring: MonitoringSettings | None = None
    node_image: NodeImageSettings = NodeImageSettings()
    package_index: PackageIndexSettings | None = None
    dag_bundles: Mapping[BundleName, DagBundleSettings] = Field(
        default_factory=lambda: {DEFAULT_BUNDLE: DagBundleSettings()}
    )
    alerts: AlertSettings | None = None

    config: Config = Field(default_factory=dict)
    """Airflow options by section, as in airflow.cfg: `core: {max_active_tasks_per_dag: 64}`, but with single percent
    signs. Names, types and fixed choices are checked against the pinned version. Options are refused if they hold
    secrets, if the program sets them itself, or if they cannot work on the nodes. `secrets.backend_kwargs` narrows
    which connections and variables are looked up in Secrets Manager (docs/connections-and-variables.md); for another
    backend, set `secrets.backend` too, and allow the masters' IAM role to read what is there."""

    @property
    def release_bundles(self) -> tuple[str, ...]:
        """The names of the DAG bundles to which releases are published, in the order of the stack file."""
        return tuple(name for name, bundle in self.dag_bundles.items() if bundle.git is None)

    @property
    def operator_secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the operator creates. A node of any role may have to install packages, and to
        check out the DAGs of any bundle."""
        index = {self.package_index.credentials_secret} if self.package_index else set[str | None]()
        secrets = index | {bundle.git.credentials_secret for bundle in self.dag_bundles.values() if bundle.git}
        return tuple(sorted(name for name in secrets if name))

    @property
    def node_groups(self) -> tuple[NodeGroup, ...]:
        """The groups of nodes: the masters, the workers of each pool, and the monitor."""
        return (MASTERS, *map(worker_group, self.worker_pools), *([MONITOR] if self.monitoring else []))

    @property
    def roles(self) -> frozenset[Role]:
        """The roles that nodes of this stack have."""
        return frozenset(group.role for group in self.node_groups)

    def node_environment(self, group: NodeGroup) -> NodeEnvironment:
        """The environment of the group's nodes.

        It depends on settings alone: a preview shows the whole user data, and equal settings give equal bytes. Nothing
        that AWS decides at creation belongs here; addresses are in the values of the secrets.
        """
        cluster, region, account_id = self.cluster.name, self.region, self.cluster.account_id
        scales_pools = group.role is Role.MASTER
        return NodeEnvironment(
            group=group,
            cluster=cluster,
            region=region,
            pool=None if group.pool is None else self._pool_config(group.pool),
            # Only masters read the following four. In user data of workers, a change of one would replace every pool.
            pools=tuple(map(self._pool_config, self.worker_pools)) if scales_pools else (),
            builds_for_pools=scales_pools and bool(self.pool_locks),
            task_slots=most_task_slots(self.worker_pools) if scales_pools else None,
            metadata_days=self.retention.metadata_days if scales_pools else 0,
            web_url=web_url(cluster, self.web.domain),
            secure_cookies=self.web.domain is not None,
            vpc_cidrs=self.network.vpc_cidrs,
            task_logs_bucket=bucket_name(cluster, account_id, region, "task-logs"),
            dags_bucket=bucket_name(cluster, account_id, region, "dags"),
            dag_bundles=self._bundles(),
            artifacts_bucket=bucket_name(cluster, account_id, region, "artifacts"),
            metrics_days=self.monitoring.retention_days if self.monitoring and group.role is Role.MONITOR else 0,
            alert_topics=self._alert_topics() if group.role is Role.MONITOR else {},
            metrics_url=metrics_url(cluster) if self.monitoring and group.role is not Role.MONITOR else None,
            package_index=self.package_index.for_nodes() if self.package_index else None,
            system_packages=self._system_packages(group),
            artifacts=self._artifacts(group),
            config=self.config,
        )

    @property
    def node_artifacts(self) -> tuple[Artifact, ...]:
        """Everything that nodes of this stack fetch, all of them or those of one group."""
        of_groups = (artifact for group in self.node_groups for artifact in self._artifacts(group))
        return (*artifacts.artifacts(self.roles), *of_groups)

    @property
    def pool_locks(self) -> tuple[Artifact, ...]:
        """The locks of worker pools whose environments the masters can build: those of the masters' architecture."""
        pools = [name for name, pool in self.worker_pools.items() if pool.architecture == self.masters.architecture]
        of_pools = (artifact for pool in pools for artifact in self._artifacts(worker_group(pool)))
        return tuple(artifact for artifact in of_pools if artifact.name == artifacts.AIRFLOW_LOCK)

    def _artifacts(self, group: NodeGroup) -> tuple[Artifact, ...]:
        nodes = self._nodes(group)
        script = nodes.start_script if nodes else None
        own = [artifacts.start_script(repository_file.read(script), group)] if script else []
        requirements = self.worker_pools[group.pool].requirements if group.pool else None
        # A lock that is missing is a fault of another rule.
        if requirements and (lock := lock_inputs.pool_lock(requirements)).is_file():
            own.append(artifacts.pool_lock(lock.read_bytes(), group))
        return tuple(own)

    def _alert_topics(self) -> dict[str, str]:
        place = f"arn:aws:sns:{self.region}:{self.cluster.account_id}"
        names = {severity: alert_topic_name(self.cluster.name, severity) for severity in SEVERITIES}
        return {severity: f"{place}:{name}" for severity, name in names.items()} if self.alerts else {}

    def _nodes(self, group: NodeGroup) -> MasterSettings | WorkerPoolSettings | None:
        """The settings of nodes that run Airflow."""
        if not group.role.definition.runs_airflow:
            return None
        return self.masters if group.pool is None else self.worker_pools[group.pool]

    def _system_packages(self, group: NodeGroup) -> tuple[str, ...]:
        nodes = self._nodes(group)
        of_airflow = (*nodes.system_packages, *git_packages(self._bundles())) if nodes else ()
        return (*group.role.definition.system_packages, *of_airflow)

    def _bundles(self) -> tuple[DagBundle, ...]:
        return tuple(bundle.for_nodes(name) for name, bundle in self.dag_bundles.items())

    def _pool_config(self, name: str) -> WorkerPoolConfig:
        pool = self.worker_pools[name]
        return WorkerPoolConfig(
            name=name,
            group=worker_group(name).name(self.cluster.name),
            queues=pool.queues,
            concurrency=pool.task_slots,
            idle_seconds=pool.idle_seconds,
            drain_limit_seconds=pool.drain_limit_seconds,
            heartbeat_seconds=pool.heartbeat_seconds,
            boot_lead_seconds=pool.boot_lead_seconds,
            workers_ahead=pool.most_workers_ahead,
        )
