"""The cluster's nodes: the masters, and the workers of each pool, with their instance roles and what leads to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi

from aws_catalog.instance_types import Architecture
from components.alert_topics import AlertTopics
from components.buckets import Buckets
from components.context import Context
from components.instance_role import InstanceRole, InstanceRoleArgs
from components.launch_template import NodeLaunch, node_tags
from components.load_balancers import LoadBalancers
from components.masters import Masters, MastersArgs
from components.metadata_database import MetadataDatabase
from components.metrics_volume import MetricsVolume, MetricsVolumeArgs
from components.monitor import Monitor, MonitorArgs
from components.network import Network
from components.secrets import Secrets
from components.security_groups import SecurityGroups
from components.web_domain import WebDomain, WebDomainArgs
from components.worker_pool import WorkerPool, WorkerPoolArgs
from node.roles import MASTERS, MONITOR, NodeGroup, worker_group
from node.user_data import user_data
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class NodeGroups:
    """Registers the groups of nodes, in the order in which they depend on each other.

    Attributes:
        needs: everything that a node needs from boot to termination, whether or not an argument refers to it. Groups
            are created after these and deleted before them.
    """

    context: Context
    settings: Settings
    network: Network
    access: SecurityGroups
    database: MetadataDatabase
    secrets: Secrets
    buckets: Buckets
    web: LoadBalancers
    alerts: AlertTopics | None
    needs: Sequence[pulumi.Resource]

    def masters(self) -> Masters:
        """The masters, which the load balancers forward to."""
        nodes = self.settings.masters
        role = self._instance_role(MASTERS, "master-identity")
        return Masters(
            "masters",
            MastersArgs(
                settings=nodes,
                launch=self._launch(MASTERS, role, nodes.architecture, self.access.masters, after=self.needs),
                target_group_arns=self.web.target_group_arns,
            ),
        )

    def domain(self, masters: Masters) -> WebDomain | None:
        """The domain of the web interface, if the stack has one: it leads to masters that exist."""
        web = self.settings.web
        if web.domain is None or web.hosted_zone_id is None:
            return None
        return WebDomain(
            "web-domain",
            WebDomainArgs(
                domain=web.domain,
                hosted_zone_id=web.hosted_zone_id,
                load_balancer=self.web.entrance,
                plain_listener_arn=self.web.plain_listener_arn,
                after=[self.web, masters],
                load_balancers=self.web,
            ),
        )

    def worker_pools(self, masters: Masters, domain: WebDomain | None) -> dict[str, WorkerPool]:
        """The worker pools by name. A draining worker reports its last tasks to the masters, and people watch those
        tasks in the web interface: both are deleted after the workers."""
        after = [*self.needs, masters, *([domain] if domain else [])]
        pools = {}
        for pool, nodes in self.settings.worker_pools.items():
            group = worker_group(pool)
            role = self._instance_role(group, group.key)
            launch = self._launch(group, role, nodes.architecture, self.access.workers, after=after)
            topic = self.alerts.arns["warning"] if self.alerts else None
            pools[pool] = WorkerPool(group.key, WorkerPoolArgs(settings=nodes, launch=launch, alert_topic_arn=topic))
        return pools

    def monitor(self) -> Monitor | None:
        """The monitor, if the stack has one, and its volume."""
        settings, network = self.settings.monitoring, self.settings.network
        security_group_id, target_group_arn = self.access.monitor, self.web.metrics_target_group_arn
        if settings is None or security_group_id is None or target_group_arn is None:
            return None
        zone = settings.zone or network.zones[0]
        volume = MetricsVolume(
            "metrics", MetricsVolumeArgs(context=self.context, size_gib=settings.volume_gib, zone=zone)
        )
        # Of an existing network, the stack file names the zone of the first subnet.
        place = 0 if network.existing else network.zones.index(zone)
        monitor_arns = {
            "metrics-volume": [volume.arn],
            "alert-topics": list(self.alerts.arns.values()) if self.alerts else [],
            "alert-key": [self.alerts.key_arn] if self.alerts else [],
        }
        role = self._instance_role(MONITOR, "monitor-identity", monitor_arns=monitor_arns)
        launch = self._launch(MONITOR, role, settings.architecture, security_group_id, after=[*self.needs, volume])
        launch = replace(launch, subnet_ids=[self.network.private_subnet_ids[place]])
        return Monitor("monitor", MonitorArgs(settings=settings, launch=launch, target_group_arn=target_group_arn))

    def _launch(
        self,
        group: NodeGroup,
        role: InstanceRole,
        architecture: Architecture,
        security_group_id: pulumi.Input[str],
        *,
        after: Sequence[pulumi.Resource],
    ) -> NodeLaunch:
        return NodeLaunch(
            group=group,
            group_name=group.name(self.context.cluster),
            image_id=self.settings.node_image.image_id(architecture),
            # Only settings are in it.
            user_data=user_data(self.settings.node_environment(group)),
            subnet_ids=self.network.private_subnet_ids,
            security_group_id=security_group_id,
            instance_profile_arn=role.instance_profile_arn,
            tags=node_tags(self.settings.tags, self.context.cluster, group),
            secret_versions=self.secrets.versions_for(group.role),
            # A worker pool's role is deleted after its group: the workers of a pool that was removed from the stack
            # file may drain for hours, and need their permissions until the last one has gone.
            after=[*after, role],
        )

    def _instance_role(
        self, group: NodeGroup, name: str, *, monitor_arns: Mapping[str, Sequence[pulumi.Input[str]]] | None = None
    ) -> InstanceRole:
        return InstanceRole(
            name,
            InstanceRoleArgs(
                context=self.context,
                group=group,
                secret_arns=self.secrets.arns,
                database_admin_secret_arn=self.database.admin_secret_arn,
                operator_secrets=self.settings.operator_secrets,
                bucket_arns=self.buckets.arns,
                monitor_arns=monitor_arns or {},
            ),
        )
