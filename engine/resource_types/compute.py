"""EC2 and Auto Scaling: launch templates, groups and their lifecycle hooks."""

from __future__ import annotations

from engine import fake_ids
from engine.recording import Registration
from engine.resource_types.mock_outputs import Answer, answers, arn, name, text


@answers("aws:ec2/launchTemplate:LaunchTemplate")
def _launch_template(registration: Registration) -> Answer:
    id_ = fake_ids.ec2("lt", registration.urn)
    return Answer(
        id=id_,
        outputs={
            "arn": arn(registration, "ec2", f"launch-template/{id_}"),
            "latestVersion": 1,
            "defaultVersion": 1,
        },
        planned={"name": name(registration, longest=128)},
    )


@answers("aws:autoscaling/group:Group")
def _group(registration: Registration) -> Answer:
    called = name(registration)
    group = f"autoScalingGroup:{fake_ids.uuid4(registration.urn)}:autoScalingGroupName/{called}"
    service_role = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    return Answer(
        id=called,
        outputs={
            "arn": arn(registration, "autoscaling", group),
            "serviceLinkedRoleArn": arn(registration, "iam", service_role, regional=False),
            "desiredCapacity": registration.inputs.get("desiredCapacity", registration.inputs.get("minSize")),
        },
        planned={"name": called},
    )


@answers("aws:autoscaling/attachment:Attachment")
def _attachment(registration: Registration) -> Answer:
    group = text(registration, "autoscalingGroupName")
    return Answer(id=f"{group}-{fake_ids.hexadecimal(registration.urn, 26)}")


@answers("aws:autoscaling/lifecycleHook:LifecycleHook")
def _lifecycle_hook(registration: Registration) -> Answer:
    called = name(registration)
    return Answer(id=called, planned={"name": called})
