"""The architecture: the settings, then the parts of the cluster in the order in which they depend on each other."""

from __future__ import annotations

import pulumi

import virtual_environment  # noqa: F401 - reports a stale environment, before the imports below fail with a traceback
from components.buckets import Buckets, BucketsArgs
from components.celery_broker import CeleryBroker, CeleryBrokerArgs
from components.deletion_protection import DeletionProtection, DeletionProtectionArgs
from components.instance_role import InstanceRole, InstanceRoleArgs
from components.launch_template import (
    NodeLaunch,
    list_nodes_command,
    node_tags,
    refresh_command,
    watch_refresh_command,
)
from components.load_balancers import LoadBalancers, LoadBalancersArgs
from components.masters import Masters, MastersArgs
from components.metadata_database import MetadataDatabase, MetadataDatabaseArgs
from components.network import Network, NetworkArgs
from components.secrets import Secrets, SecretsArgs
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from components.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs
from components.web_domain import WebDomain, WebDomainArgs
from components.worker_pool import WorkerPool, WorkerPoolArgs
from node.artifacts import artifacts
from node.lock_inputs import stale_locks
from node.roles import MASTERS, Role, worker_group
from node.user_data import user_data
from settings import load_settings

settings = load_settings()
if stale := stale_locks():
    raise pulumi.RunError(stale)
cluster, account_id, region = settings.cluster.name, settings.cluster.account_id, settings.region
protect, retention = settings.cluster.protect_data, settings.retention

network = Network(
    "network", NetworkArgs(cluster=cluster, account_id=account_id, region=region, settings=settings.network)
)
access = SecurityGroups(
    "access",
    SecurityGroupsArgs(
        cluster=cluster,
        vpc_id=network.vpc_id,
        web=settings.web,
        with_endpoints=bool(settings.network.interface_endpoints),
    ),
)
endpoints = (
    VpcEndpoints(
        "endpoints",
        VpcEndpointsArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            security_group_id=access.endpoints,
            region=region,
            services=settings.network.interface_endpoints,
        ),
    )
    if access.endpoints is not None
    else None
)

database = MetadataDatabase(
    "database",
    MetadataDatabaseArgs(
        cluster=cluster,
        account_id=account_id,
        region=region,
        settings=settings.database,
        subnet_ids=network.data_subnet_ids,
        security_group_id=access.database,
        max_connections=settings.database.max_connections,
        log_retention_days=retention.log_groups_days,
        protect=protect,
    ),
)
broker = CeleryBroker(
    "broker",
    CeleryBrokerArgs(
        cluster=cluster,
        settings=settings.broker,
        subnet_ids=network.data_subnet_ids,
        security_group_id=access.broker,
        log_retention_days=retention.log_groups_days,
        protect=protect,
    ),
)
secrets = Secrets(
    "secrets",
    SecretsArgs(
        cluster=cluster,
        database_address=database.address,
        database_port=database.port,
        database_admin_secret_arn=database.admin_secret_arn,
        broker_address=broker.address,
        broker_port=broker.port,
        broker_auth_token=broker.auth_token,
        protect=protect,
    ),
)
buckets = Buckets(
    "buckets",
    BucketsArgs(
        cluster=cluster,
        account_id=account_id,
        region=region,
        retention=retention,
        artifacts=artifacts(),
        protect=protect,
    ),
)
web = LoadBalancers(
    "web",
    LoadBalancersArgs(
        cluster=cluster,
        settings=settings.web,
        vpc_id=network.vpc_id,
        internal_subnet_ids=network.private_subnet_ids,
        public_subnet_ids=network.public_subnet_ids,
        internal_security_group_id=access.internal_web,
        public_security_group_id=access.public_web,
        access_logs_bucket=buckets.access_logs.name_with_policy,
        protect=protect,
    ),
)

# A worker pool's role is deleted after its group: the workers of a pool that was removed from the stack file may drain
# for hours, and need their permissions until the last one has gone.
instance_roles = {
    group: InstanceRole(
        "master-identity" if group == MASTERS else group.key,
        InstanceRoleArgs(
            group=group,
            cluster=cluster,
            account_id=account_id,
            region=region,
            secret_arns=secrets.arns,
            database_admin_secret_arn=database.admin_secret_arn,
            package_index_secret=settings.package_index.credentials_secret if settings.package_index else None,
            bucket_arns={
                "task-logs": buckets.task_logs.arn,
                "dags": buckets.dags.arn,
                "artifacts": buckets.artifacts.arn,
            },
        ),
    )
    for group in settings.node_groups
}
# Everything that a node needs from boot to termination, whether or not an argument refers to it. Groups are created
# after these and deleted before them; user data contains only settings.
needs = [network, access, *([endpoints] if endpoints else []), secrets, buckets, web]

masters_launch = NodeLaunch(
    image_id=settings.node_image.image_id(settings.masters.architecture),
    user_data=user_data(settings.node_environment(MASTERS)),
    subnet_ids=network.private_subnet_ids,
    security_group_id=access.masters,
    instance_profile_arn=instance_roles[MASTERS].instance_profile_arn,
    tags=node_tags(settings.tags, cluster=cluster, role="master"),
    secret_versions=secrets.versions_for(Role.MASTER),
    after=[*needs, instance_roles[MASTERS]],
)
masters = Masters(
    "masters",
    MastersArgs(
        cluster=cluster,
        settings=settings.masters,
        launch=masters_launch,
        target_group_arns=web.target_group_arns,
    ),
)
# A draining worker reports its last tasks to the masters, and people watch those tasks in the web interface.
worker_needs = [*needs, masters]
if settings.web.domain is not None and settings.web.hosted_zone_id is not None:
    worker_needs.append(
        WebDomain(
            "web-domain",
            WebDomainArgs(
                domain=settings.web.domain,
                hosted_zone_id=settings.web.hosted_zone_id,
                load_balancer=web.entrance,
                plain_listener_arn=web.plain_listener_arn,
                after=[web, masters],
                entrypoint=web,
            ),
        )
    )
pool_launches = {
    pool: NodeLaunch(
        image_id=settings.node_image.image_id(pool_settings.architecture),
        user_data=user_data(settings.node_environment(worker_group(pool))),
        subnet_ids=network.private_subnet_ids,
        security_group_id=access.workers,
        instance_profile_arn=instance_roles[worker_group(pool)].instance_profile_arn,
        tags=node_tags(settings.tags, cluster=cluster, role="worker", pool=pool),
        secret_versions=secrets.versions_for(Role.WORKER),
        after=[*worker_needs, instance_roles[worker_group(pool)]],
    )
    for pool, pool_settings in settings.worker_pools.items()
}
pools = {
    pool: WorkerPool(
        f"pool-{pool}",
        WorkerPoolArgs(cluster=cluster, pool=pool, settings=settings.worker_pools[pool], launch=launch),
    )
    for pool, launch in pool_launches.items()
}

DeletionProtection("deletion-protection", DeletionProtectionArgs(last=[masters, *pools.values()], protect=protect))

pulumi.export("url", web.url)
pulumi.export("adminUser", "admin")
pulumi.export(
    "adminPasswordCommand",
    f"aws secretsmanager get-secret-value --secret-id {secrets.names['admin-password']} --query SecretString"
    f" --output text --region {region}",
)
pulumi.export("uploadDagsCommand", f"aws s3 sync dags/ s3://{buckets.dags.name}/ --region {region}")
pulumi.export("nodesCommand", list_nodes_command(cluster, region))
# One output for each command: `pulumi stack output <name>` prints it ready to paste into a shell.
for key, group, launch in [
    ("masters", masters, masters_launch),
    *((f"pool-{pool}", pools[pool], launch) for pool, launch in pool_launches.items()),
]:
    group_name = group.autoscaling_group_name
    pulumi.export(f"watchRefreshCommand-{key}", watch_refresh_command(group_name, region))
    pulumi.export(f"refreshCommand-{key}", refresh_command(group_name, region, launch))
pulumi.export(
    "buckets",
    {
        "taskLogs": buckets.task_logs.name,
        "dags": buckets.dags.name,
        "artifacts": buckets.artifacts.name,
        "accessLogs": buckets.access_logs.name,
    },
)
pulumi.export("secrets", secrets.names)
pulumi.export(
    "autoscalingGroups",
    {
        "masters": masters.autoscaling_group_name,
        "workerPools": {pool: group.autoscaling_group_name for pool, group in pools.items()},
    },
)
flow_logs = [network.flow_log_group_name] if network.flow_log_group_name else []
pulumi.export("logGroups", [*database.log_group_names, *broker.log_group_names, *flow_logs])
pulumi.export("natAddresses", network.nat_addresses)
