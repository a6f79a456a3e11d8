"""The EBS volume on which the monitor keeps metrics."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context
from node.naming import metrics_volume_name


@dataclass(frozen=True, kw_only=True)
class MetricsVolumeArgs:
    """The volume's size, and the zone of the monitor's subnet."""

    context: Context
    size_gib: int
    zone: str


class MetricsVolume(Component):
    """An encrypted volume that outlives the monitor's nodes. Each node finds it by its name and attaches it.

    Not protected, because a line of the stack file removes it. Whatever deletes it, AWS takes a snapshot first.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: MetricsVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:monitoring:MetricsVolume", name, None, opts)
        volume = aws.ebs.Volume(
            f"{name}-volume",
            availability_zone=args.zone,
            size=args.size_gib,
            type="gp3",
            encrypted=True,
            final_snapshot=True,
            tags={"Name": metrics_volume_name(args.context.cluster)},
            opts=self.child(),
        )
        self.arn = volume.arn
        self.register_outputs({"arn": self.arn})
