"""The PostgreSQL instance that holds Airflow's metadata and, as a second database, Celery's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from aws_catalog import database_storage
from components.component import Component
from components.context import Context
from components.data_store import DataStore
from components.iam_documents import on_behalf_of, trust_policy
from settings import DatabaseSettings

PORT = 5432
ADMIN_USER = "airflow_admin"
LOG_EXPORTS = ("postgresql", "upgrade")
CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
FREE_INSIGHTS_DAYS = 7
"""The longest retention of Performance Insights without a charge. For PostgreSQL every instance class has it."""
BACKUP_WINDOW = "01:00-02:00"
MAINTENANCE_WINDOW = "sun:03:00-sun:04:00"
"""Both in UTC; AWS refuses windows that overlap."""


@dataclass(frozen=True, kw_only=True)
class MetadataDatabaseArgs:
    context: Context
    settings: DatabaseSettings
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]


class MetadataDatabase(Component):
    """RDS PostgreSQL that only nodes reach, over TLS only.

    A master creates the databases and their roles, with the admin's password that RDS keeps in Secrets Manager. That
    password is in no state file of Pulumi.

    When protected, Pulumi and AWS both refuse to delete it. Without protection, AWS takes a final snapshot before the
    deletion and keeps the backups, unless the stack file disables both.
    """

    identifier: pulumi.Output[str]
    access: DataStore
    admin_secret_arn: pulumi.Output[str]
    """The secret that RDS manages: JSON with `username` and `password`, a new password each week."""
    log_group_names: Sequence[str]

    def __init__(self, name: str, args: MetadataDatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:data:MetadataDatabase", name, None, opts)
        self.log_group_names = [f"/aws/rds/instance/{_identifier(args)}/{export}" for export in LOG_EXPORTS]
        log_groups = self._log_groups(name, args)
        instance = self._instance(name, args, log_groups)
        self.identifier = instance.identifier
        # AWS gives an instance whose admin it manages exactly one such secret.
        self.admin_secret_arn = instance.master_user_secrets.apply(lambda secrets: str(secrets[0].secret_arn))
        self.access = DataStore(address=instance.address, port=PORT, credential=self.admin_secret_arn)
        self.register_outputs({"address": instance.address})

    def _log_groups(self, name: str, args: MetadataDatabaseArgs) -> Sequence[aws.cloudwatch.LogGroup]:
        """Create the log groups before the instance: those that RDS creates keep their logs, at a cost, for ever."""
        return [
            aws.cloudwatch.LogGroup(
                f"{name}-{group_name.rpartition('/')[2]}-logs",
                name=group_name,
                retention_in_days=args.context.retention.log_groups_days,
                opts=self.child(),
            )
            for group_name in self.log_group_names
        ]

    def _instance(
        self, name: str, args: MetadataDatabaseArgs, log_groups: Sequence[aws.cloudwatch.LogGroup]
    ) -> aws.rds.Instance:
        monitoring_role, monitoring_policy = self._monitoring_role(name, args)
        performance = _performance(args.settings.allocated_storage_gib)
        return aws.rds.Instance(
            # State key: under another name the database would be replaced by an empty one.
            f"{name}-instance",
            identifier=_identifier(args),
            engine="postgres",
            engine_version=args.settings.engine_version,
            instance_class=args.settings.instance_class,
            parameter_group_name=self._parameters(name, args).name,
            allocated_storage=args.settings.allocated_storage_gib,
            max_allocated_storage=args.settings.max_allocated_storage_gib,
            storage_type="gp3",
            iops=performance.iops if performance else None,
            storage_throughput=performance.throughput if performance else None,
            storage_encrypted=True,
            multi_az=args.settings.multi_az,
            db_subnet_group_name=self._subnets(name, args).name,
            vpc_security_group_ids=[args.security_group_id],
            publicly_accessible=False,
            port=PORT,
            ca_cert_identifier=CERTIFICATE_AUTHORITY,
            username=ADMIN_USER,
            manage_master_user_password=True,
            backup_retention_period=args.settings.backup_retention_days,
            backup_window=BACKUP_WINDOW,
            copy_tags_to_snapshot=True,
            deletion_protection=args.context.protect,
            skip_final_snapshot=not args.settings.final_snapshot,
            final_snapshot_identifier=self._final_snapshot(name, args) if args.settings.final_snapshot else None,
            delete_automated_backups=not args.settings.final_snapshot,
            # A minor version in the stack file is a pin; Pulumi would try to undo an upgrade, which RDS refuses.
            auto_minor_version_upgrade="." not in args.settings.engine_version,
            maintenance_window=MAINTENANCE_WINDOW,
            # Not in the maintenance window: a larger class that waited for Sunday would come after the nodes that need
            # its connections, and every update until then would show the change again.
            apply_immediately=True,
            performance_insights_enabled=True,
            performance_insights_retention_period=FREE_INSIGHTS_DAYS,
            monitoring_interval=60,
            monitoring_role_arn=monitoring_role.arn,
            enabled_cloudwatch_logs_exports=list(LOG_EXPORTS),
            opts=self.child(protect=args.context.protect, depends_on=[monitoring_policy, *log_groups]),
        )

    def _final_snapshot(self, name: str, args: MetadataDatabaseArgs) -> pulumi.Output[str]:
        """The name of the final snapshot, unique per database: AWS refuses a second snapshot of the same name."""
        mark = random.RandomId(f"{name}-final-snapshot-mark", byte_length=4, opts=self.child())
        return pulumi.Output.concat(f"{_identifier(args)}-final-", mark.hex)

    def _subnets(self, name: str, args: MetadataDatabaseArgs) -> aws.rds.SubnetGroup:
        return aws.rds.SubnetGroup(
            f"{name}-subnets",
            description=f"Data subnets of {args.context.cluster}",
            subnet_ids=args.subnet_ids,
            opts=self.child(),
        )

    def _parameters(self, name: str, args: MetadataDatabaseArgs) -> aws.rds.ParameterGroup:
        return aws.rds.ParameterGroup(
            f"{name}-parameters",
            family=f"postgres{args.settings.engine_version.partition('.')[0]}",
            description=f"PostgreSQL for Airflow in {args.context.cluster}",
            parameters=postgresql_parameters(args.settings.max_connections),
            opts=self.child(),
        )

    def _monitoring_role(
        self, name: str, args: MetadataDatabaseArgs
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicyAttachment]:
        role = aws.iam.Role(
            f"{name}-monitoring-role",
            description=f"Lets RDS report operating system metrics of {_identifier(args)}",
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
            assume_role_policy=trust_policy(
                "monitoring.rds",
                condition=on_behalf_of(
                    args.context.account_id,
                    args.context.arn("rds", f"db:{_identifier(args)}"),
                ),
            ),
            opts=self.child(),
        )
        attachment = aws.iam.RolePolicyAttachment(
            f"{name}-monitoring-policy",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
            opts=self.child(),
        )
        return role, attachment


def postgresql_parameters(max_connections: int) -> list[aws.rds.ParameterGroupParameterArgs]:
    """The parameters that differ from RDS's defaults, or must not change when the defaults do."""
    hours = 60 * 60 * 1000
    at_start = {
        # PostgreSQL reads it only when it starts, so AWS refuses any other apply method.
        "max_connections": str(max_connections),
        # RDS's defaults, set explicitly. AWS keeps "pending-reboot" for a parameter with its default value, so any
        # other method here would be a change in each `pulumi up` (terraform-provider-aws#39252).
        "rds.force_ssl": "1",
        "timezone": "UTC",
    }
    immediate = {
        # `airflow db migrate` keeps its lock in a transaction that is idle while the migration runs, so a limit of
        # minutes would end it. With RDS's default, 24 h, a lost client can block vacuum on busy tables for a day.
        "idle_in_transaction_session_timeout": str(4 * hours),
        # Logs slow statements, and the sessions that hold the locks for which others wait.
        "log_min_duration_statement": "1000",
        "log_lock_waits": "1",
        "log_statement": "ddl",
        "log_connections": "1",
        "log_disconnections": "1",
    }
    parameter = aws.rds.ParameterGroupParameterArgs
    return [
        *(parameter(name=key, value=value, apply_method="pending-reboot") for key, value in at_start.items()),
        *(parameter(name=key, value=value, apply_method="immediate") for key, value in immediate.items()),
    ]


def _performance(gib: int) -> database_storage.Performance | None:
    """The included performance, set explicitly from the size at which RDS accepts it. Otherwise, when storage grows,
    the provider sends the values of the smaller storage, and RDS refuses them (terraform-provider-aws#28382)."""
    return database_storage.included(gib) if gib >= database_storage.STRIPED_FROM_GIB else None


def _identifier(args: MetadataDatabaseArgs) -> str:
    return f"{args.context.cluster}-metadata"
