"""The stack's outputs: commands to paste into a shell, and the names to look things up by."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pulumi

from components.alarms import dashboard_name
from components.alert_topics import AlertTopics
from components.autoscaling_group import MAX_HEALTHY_PERCENT, MIN_HEALTHY_PERCENT
from components.buckets import Buckets, publisher_policy
from components.celery_broker import CeleryBroker
from components.context import Context
from components.instance_role import role_name
from components.launch_template import NodeLaunch
from components.load_balancers import LoadBalancers
from components.masters import Masters
from components.metadata_database import MetadataDatabase
from components.monitor import Monitor
from components.network import Network
from components.secrets import Secrets
from components.worker_pool import WorkerPool
from node.dag_bundles import DEFAULT_BUNDLE


def export_access(
    context: Context, web: LoadBalancers, secrets: Secrets, buckets: Buckets, bundles: Collection[str]
) -> None:
    """How to reach Airflow, and how to publish DAGs to each bundle."""
    pulumi.export("url", web.url)
    pulumi.export("adminUser", "admin")
    pulumi.export(
        "adminPasswordCommand",
        f"aws secretsmanager get-secret-value --secret-id {secrets.names['admin-password']} --query SecretString"
        f" --output text --region {context.region}",
    )
    for bundle in bundles:
        # A folder follows. It is run here, in the program's directory.
        command = f"AWS_REGION={context.region} .venv/bin/python -m dags publish --bucket {buckets.dags.name}"
        if bundle == DEFAULT_BUNDLE:
            pulumi.export("publishDagsCommand", command)
        else:
            pulumi.export(f"publishDagsCommand-{bundle}", f"{command} --bundle {bundle}")
    # Ready to attach to the role with which a team's workflow publishes (docs/authoring.md).
    pulumi.export("dagPublisherPolicies", {bundle: publisher_policy(buckets.dags.name, bundle) for bundle in bundles})
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


def export_nodes(context: Context, masters: Masters, pools: Mapping[str, WorkerPool], monitor: Monitor | None) -> None:
    """The groups of nodes, and the commands that list and replace their nodes."""
    pulumi.export("nodesCommand", list_nodes_command(context.cluster, context.region))
    for component in (masters, *pools.values()):
        # One output for each command: `pulumi stack output <name>` prints it ready to paste into a shell.
        group_name, launch = component.autoscaling_group_name, component.launch
        pulumi.export(f"watchRefreshCommand-{launch.group.key}", watch_refresh_command(group_name, context.region))
        pulumi.export(f"refreshCommand-{launch.group.key}", refresh_command(group_name, context.region, launch))
    # The names of the IAM roles, to which an operator attaches what DAGs need (docs/connections-and-variables.md).
    pulumi.export(
        "instanceRoles",
        {
            "masters": role_name(context.cluster, context.region, masters.launch.group),
            "workerPools": {
                pool: role_name(context.cluster, context.region, component.launch.group)
                for pool, component in pools.items()
            },
        },
    )
    pulumi.export(
        "autoscalingGroups",
        {
            "masters": masters.autoscaling_group_name,
            "workerPools": {pool: component.autoscaling_group_name for pool, component in pools.items()},
            **({"monitor": monitor.autoscaling_group_name} if monitor else {}),
        },
    )


def export_network_and_logs(network: Network, database: MetadataDatabase, broker: CeleryBroker) -> None:
    """The log groups, and the addresses from which the nodes reach the internet."""
    flow_logs = [network.flow_log_group_name] if network.flow_log_group_name else []
    pulumi.export("logGroups", [*database.log_group_names, *broker.log_group_names, *flow_logs])
    pulumi.export("natAddresses", network.nat_addresses)


def export_alerts(context: Context, alerts: AlertTopics | None) -> None:
    """The topics of alerts, to subscribe or publish to, and the commands that list their subscribers: SNS sends nothing
    to those that are listed as PendingConfirmation."""
    if alerts is None:
        return
    pulumi.export("alertTopics", alerts.arns)
    pulumi.export("alertsDashboard", dashboard_url(context))
    for severity, topic in alerts.arns.items():
        pulumi.export(f"alertSubscribersCommand-{severity}", list_subscribers_command(topic, context.region))


def dashboard_url(context: Context) -> str:
    """The dashboard of the alarms in CloudWatch's console."""
    region = context.region
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    return f"{console}#dashboards/dashboard/{dashboard_name(context)}"


def list_subscribers_command(topic_arn: pulumi.Output[str], region: str) -> pulumi.Output[str]:
    """Lists a topic's subscribers: who has confirmed has an ARN."""
    return pulumi.Output.concat(
        "aws sns list-subscriptions-by-topic --topic-arn ",
        topic_arn,
        f" --region {region} --output table --query 'Subscriptions[].[Protocol,Endpoint,SubscriptionArn]'",
    )


def list_nodes_command(cluster: str, region: str) -> str:
    """Lists the running nodes with their images and launch times, oldest first."""
    columns = "{name: Tags[?Key==`Name`] | [0].Value, id: InstanceId, image: ImageId, launched: LaunchTime}"
    return (
        f"aws ec2 describe-instances --region {region} --filters Name=tag:airflow:cluster,Values={cluster}"
        " Name=instance-state-name,Values=running --output table"
        f" --query 'sort_by(Reservations[].Instances[].{columns}, &launched)'"
    )


def watch_refresh_command(group_name: pulumi.Output[str], region: str) -> pulumi.Output[str]:
    """Shows the progress of the group's last refresh: `pulumi up` does not wait for one."""
    return pulumi.Output.concat(
        "aws autoscaling describe-instance-refreshes --auto-scaling-group-name ",
        group_name,
        f" --region {region} --max-records 1",
    )


def refresh_command(group_name: pulumi.Output[str], region: str, launch: NodeLaunch) -> pulumi.Output[str]:
    """Starts a refresh as the program does: neither AWS nor `pulumi up` retries one that failed."""
    return pulumi.Output.concat(
        "aws autoscaling start-instance-refresh --auto-scaling-group-name ",
        group_name,
        f" --region {region} --preferences MinHealthyPercentage={MIN_HEALTHY_PERCENT},"
        f"MaxHealthyPercentage={MAX_HEALTHY_PERCENT},SkipMatching={str(launch.skip_matching).lower()}",
    )
