"""The alarms on the groups of nodes."""

from __future__ import annotations

from components.alarm import Alarm, Metric, Watch
from node.roles import NodeGroup, Role

# Workers that have never reported the end of their drain:
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/manage-retained-instances.html
RETAINED_WORKERS = "GroupTerminatingRetainedInstances"


def group_alarms(group: NodeGroup, cluster: str) -> list[Alarm]:
    """Alarms on a group of nodes: the masters, a worker pool, or the monitor. EC2's status checks need none: the group
    replaces a node that fails them."""
    group_name = group.name(cluster)
    whom = f"Tasks for pool {group.pool} wait." if group.pool else ""
    if group.role is Role.MASTER:
        whom = "The next failure of a master may stop scheduling and the UI."
    if group.role is Role.MONITOR:
        whom = "No metrics are stored, and no alert rules evaluated."
    of = Watch("AWS/AutoScaling", {"AutoScalingGroupName": group_name}, group.key, "node-groups.md")
    return [
        Alarm(
            name=f"{group.key}-lacks-nodes",
            severity="warning",
            broken=f"The group {group_name} has had fewer nodes than it wants for three quarters of an hour: it cannot"
            f" launch them, or they fail to boot. {whom}".strip(),
            runbook="node-groups.md#lacks-nodes",
            # The smallest wanted size against the largest actual one: a growing group is not at fault in a period in
            # which it reached what it wanted before.
            metrics={
                "wanted": of.metric("GroupDesiredCapacity", "Minimum"),
                "actual": of.metric("GroupInServiceInstances", "Maximum"),
            },
            expression="wanted - actual",
            above=0,
            periods=9,
            missing="ignore",
        )
    ]


def retained_worker_alarm(pool: str, group_name: str) -> Alarm:
    """An operator has to check a worker that never reported the end of its drain: it costs money, and its group does
    not count it. A worker whose tasks end within a quarter of an hour terminates itself."""
    return Alarm(
        name=f"pool-{pool}-retained",
        severity="warning",
        broken=f"A worker of pool {pool} was told to leave and has not reported that its tasks are done. It still runs,"
        " and costs money, outside of its group.",
        runbook="node-groups.md#retained-workers",
        metrics={
            "retained": Metric(
                namespace="AWS/AutoScaling",
                name=RETAINED_WORKERS,
                dimensions={"AutoScalingGroupName": group_name},
                statistic="Maximum",
            )
        },
        above=0,
        periods=3,
    )
