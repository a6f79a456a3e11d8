"""The Valkey servers that carry Celery's messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.component import Component
from components.context import Context
from components.data_store import DataStore
from settings import BrokerSettings

PORT = 6379
ENGINE_VERSION = "8.2"
SNAPSHOT_WINDOW = "02:00-03:00"
MAINTENANCE_WINDOW = "sun:04:30-sun:05:30"
"""Both are in UTC, and after the database's, so that broker and database are never down at the same time."""

LOG_TYPES = ("slow-log", "engine-log")


@dataclass(frozen=True, kw_only=True)
class CeleryBrokerArgs:
    context: Context
    settings: BrokerSettings
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]


class CeleryBroker(Component):
    """ElastiCache for Valkey, which accepts only clients with TLS and its token.

    It never evicts a message to save memory. With a replica, a failover to another zone keeps the address.
    """

    access: DataStore
    """With the address of the primary, also after a failover."""
    log_group_names: Sequence[str]
    node_ids: Sequence[str]
    """The nodes, as ElastiCache names them when it creates a replication group."""

    def __init__(self, name: str, args: CeleryBrokerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:data:CeleryBroker", name, None, opts)
        # CloudWatch's policy for delivered logs covers this prefix. With another prefix each group makes the policy
        # longer, and at its size limit deliveries stop.
        self.log_group_names = [f"/aws/vendedlogs/elasticache/{_identifier(args)}/{log}" for log in LOG_TYPES]
        self.node_ids = [f"{_identifier(args)}-{number:03}" for number in range(1, 2 + args.settings.replicas)]
        token = self._auth_token(name)
        address = self._replication_group(name, args, token).primary_endpoint_address
        self.access = DataStore(address=address, port=PORT, credential=token)
        self.register_outputs({"address": address})

    def _auth_token(self, name: str) -> pulumi.Output[str]:
        """ElastiCache accepts 16 to 128 characters and only a few symbols; the length provides the strength."""
        token = random.RandomPassword(f"{name}-auth-token", length=64, special=False, opts=self.child())
        return token.result

    def _replication_group(
        self, name: str, args: CeleryBrokerArgs, auth_token: pulumi.Input[str]
    ) -> aws.elasticache.ReplicationGroup:
        replicated = args.settings.replicas > 0
        snapshots = args.settings.snapshot_retention_days > 0
        return aws.elasticache.ReplicationGroup(
            # State key: under another name the broker would be replaced by an empty one.
            f"{name}-replication-group",
            replication_group_id=_identifier(args),
            description=f"Celery broker of {args.context.cluster}",
            engine="valkey",
            engine_version=ENGINE_VERSION,
            node_type=args.settings.node_type,
            # Celery uses one server: its multi-key commands fail across the slots of a cluster.
            cluster_mode="disabled",
            num_cache_clusters=1 + args.settings.replicas,
            automatic_failover_enabled=replicated,
            multi_az_enabled=replicated,
            parameter_group_name=self._parameters(name, args).name,
            port=PORT,
            subnet_group_name=self._subnets(name, args).name,
            security_group_ids=[args.security_group_id],
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            auth_token=auth_token,
            # The old token stays valid beside the new one: running nodes use it until their services restart.
            auth_token_update_strategy="ROTATE",  # noqa: S106 a strategy, no token
            at_rest_encryption_enabled=True,
            snapshot_retention_limit=args.settings.snapshot_retention_days,
            snapshot_window=SNAPSHOT_WINDOW if snapshots else None,
            # Pinned: after an upgrade by AWS the next `pulumi up` would downgrade the broker, which replaces it and
            # loses its queues.
            auto_minor_version_upgrade=False,
            maintenance_window=MAINTENANCE_WINDOW,
            # AWS changes the token and the delivery of logs only immediately, not in the maintenance window.
            apply_immediately=True,
            log_delivery_configurations=self._log_delivery(name, args),
            opts=self.child(protect=args.context.protect),
        )

    def _log_delivery(
        self, name: str, args: CeleryBrokerArgs
    ) -> list[aws.elasticache.ReplicationGroupLogDeliveryConfigurationArgs]:
        deliveries = []
        for log_type, group_name in zip(LOG_TYPES, self.log_group_names, strict=True):
            group = aws.cloudwatch.LogGroup(
                f"{name}-{log_type}",
                name=group_name,
                retention_in_days=args.context.retention.log_groups_days,
                opts=self.child(),
            )
            deliveries.append(
                aws.elasticache.ReplicationGroupLogDeliveryConfigurationArgs(
                    destination=group.name,
                    destination_type="cloudwatch-logs",
                    log_format="json",
                    log_type=log_type,
                )
            )
        return deliveries

    def _subnets(self, name: str, args: CeleryBrokerArgs) -> aws.elasticache.SubnetGroup:
        return aws.elasticache.SubnetGroup(
            f"{name}-subnets",
            description=f"Data subnets of {args.context.cluster}",
            subnet_ids=args.subnet_ids,
            opts=self.child(),
        )

    def _parameters(self, name: str, args: CeleryBrokerArgs) -> aws.elasticache.ParameterGroup:
        return aws.elasticache.ParameterGroup(
            f"{name}-parameters",
            family=f"valkey{ENGINE_VERSION.partition('.')[0]}",
            description=f"Valkey as Celery broker of {args.context.cluster}",
            parameters=[
                # An evicted key would be a lost task. When the memory is full, publishers get an error instead.
                aws.elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value="noeviction"),
            ],
            opts=self.child(),
        )


def _identifier(args: CeleryBrokerArgs) -> str:
    return f"{args.context.cluster}-broker"
