"""The architecture: the settings, then the parts of the cluster in the order in which they depend on each other."""

from __future__ import annotations

import pulumi

import virtual_environment  # noqa: F401 - reports a stale environment, before the imports below fail with a traceback
from cluster_alarms import cluster_alarms
from components.alarms import Alarms, AlarmsArgs
from components.alert_topics import AlertTopics, AlertTopicsArgs
from components.buckets import Buckets, BucketsArgs
from components.celery_broker import CeleryBroker, CeleryBrokerArgs
from components.context import Context
from components.deletion_protection import DeletionProtection, DeletionProtectionArgs
from components.load_balancers import LoadBalancers, LoadBalancersArgs
from components.metadata_database import MetadataDatabase, MetadataDatabaseArgs
from components.network import Network, NetworkArgs
from components.secrets import Secrets, SecretsArgs
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from components.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs
from exports import export_access, export_alerts, export_network_and_logs, export_nodes
from node.lock_inputs import stale_locks
from node_groups import NodeGroups
from settings import load_settings

settings = load_settings()
if stale := stale_locks():
    raise pulumi.RunError(stale)
context = Context.of(settings)

alerts = None
if settings.alerts is not None:
    alerts = AlertTopics("alerts", AlertTopicsArgs(context=context, settings=settings.alerts))
network = Network("network", NetworkArgs(context=context, settings=settings.network))
# "access" and other logical names are state keys, whatever the classes are called.
access = SecurityGroups(
    "access",
    SecurityGroupsArgs(
        context=context,
        vpc_id=network.vpc_id,
        web=settings.web,
        with_endpoints=bool(settings.network.interface_endpoints),
        with_monitor=settings.monitoring is not None,
    ),
)
endpoints = []
if access.endpoints is not None:
    endpoints_args = VpcEndpointsArgs(
        context=context,
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        security_group_id=access.endpoints,
        services=settings.network.interface_endpoints,
    )
    endpoints.append(VpcEndpoints("endpoints", endpoints_args))
database = MetadataDatabase(
    "database",
    MetadataDatabaseArgs(
        context=context,
        settings=settings.database,
        subnet_ids=network.data_subnet_ids,
        security_group_id=access.database,
    ),
)
broker = CeleryBroker(
    "broker",
    CeleryBrokerArgs(
        context=context,
        settings=settings.broker,
        subnet_ids=network.data_subnet_ids,
        security_group_id=access.broker,
    ),
)
secrets = Secrets("secrets", SecretsArgs(context=context, database=database.access, broker=broker.access))
buckets_args = BucketsArgs(context=context, artifacts=settings.node_artifacts, pool_locks=settings.pool_locks)
buckets = Buckets("buckets", buckets_args)
web = LoadBalancers(
    "web",
    LoadBalancersArgs(
        context=context,
        settings=settings.web,
        vpc_id=network.vpc_id,
        internal_subnet_ids=network.private_subnet_ids,
        public_subnet_ids=network.public_subnet_ids,
        internal_security_group_id=access.internal_web,
        public_security_group_id=access.public_web,
        access_logs_bucket=buckets.access_logs.name_with_policy,
        with_monitor=settings.monitoring is not None,
    ),
)

groups = NodeGroups(
    context=context,
    settings=settings,
    network=network,
    access=access,
    database=database,
    secrets=secrets,
    buckets=buckets,
    web=web,
    alerts=alerts,
    needs=[network, access, *endpoints, secrets, buckets, web],
)
masters = groups.masters()
pools = groups.worker_pools(masters, groups.domain(masters))
monitor = groups.monitor()
last: list[pulumi.Resource] = [masters, *pools.values(), *([monitor] if monitor else [])]
if alerts is not None:
    watched = cluster_alarms(context, settings, network=network, database=database, broker=broker, web=web)
    alarms = AlarmsArgs(context=context, topic_arns=alerts.arns, alarms=watched, database=database.identifier)
    last += [alerts, Alarms("alarms", alarms)]
DeletionProtection("deletion-protection", DeletionProtectionArgs(context=context, last=last))

export_access(context, web, secrets, buckets, settings.release_bundles)
export_nodes(context, masters, pools, monitor)
export_network_and_logs(network, database, broker)
export_alerts(context, alerts)
