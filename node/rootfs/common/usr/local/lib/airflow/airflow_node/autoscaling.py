"""What an instance asks of Auto Scaling about itself: every call that a node makes for its own launch and end.

Each call is a single attempt. It raises AwsError if AWS refuses it, and OSError if there is no complete response; even
then it may have been executed. `aws_request` signs the requests: at boot the SDK is not installed yet, and later its
import would cost half a second and 40 MB. Masters describe and resize the worker pools' groups with the SDK, which
parses the descriptions: `scaling.launch_groups`.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from airflow_node import aws_request
from airflow_node.aws_request import TIMEOUTS, AwsError, Request, Timeouts

# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/Welcome.html
VERSION = "2011-01-01"
CONTINUE, ABANDON = "CONTINUE", "ABANDON"
# The code of an error that a retry cannot change: no hook waits, the group is at its minimum, or the instance is not in
# the group. https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
FINAL = "ValidationError"


@dataclass(frozen=True, kw_only=True)
class LifecycleHook:
    """The lifecycle hook `name` of a group, for one instance of the group.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html
    """

    name: str
    group: str
    instance: str
    timeouts: Timeouts = TIMEOUTS

    def complete(self, result: str) -> bool:
        """End the wait with CONTINUE or ABANDON; False if no lifecycle action waits."""
        return self._call("CompleteLifecycleAction", LifecycleActionResult=result)

    def heartbeat(self) -> bool:
        """Extend the wait by another heartbeat time-out; False if no lifecycle action waits."""
        return self._call("RecordLifecycleActionHeartbeat")

    def _call(self, action: str, **parameters: str) -> bool:
        place = {"AutoScalingGroupName": self.group, "LifecycleHookName": self.name, "InstanceId": self.instance}
        try:
            call(action, self.timeouts, **place, **parameters)
        except AwsError as error:
            if error.code == FINAL:
                return False
            raise
        return True


def report_unhealthy(instance: str, *, respect_grace_period: bool, timeouts: Timeouts = TIMEOUTS) -> None:
    """Have the group replace this instance; with `respect_grace_period` not before the group's grace period is over."""
    call(
        "SetInstanceHealth",
        timeouts,
        InstanceId=instance,
        HealthStatus="Unhealthy",
        ShouldRespectGracePeriod=_boolean(respect_grace_period),
    )


def terminate(instance: str, *, decrement: bool, timeouts: Timeouts = TIMEOUTS) -> None:
    """End this instance; with `decrement` the group becomes one smaller instead of replacing it."""
    call(
        "TerminateInstanceInAutoScalingGroup",
        timeouts,
        InstanceId=instance,
        ShouldDecrementDesiredCapacity=_boolean(decrement),
    )


def call(action: str, timeouts: Timeouts, **parameters: str) -> None:
    """Call an action whose response has nothing that a node reads."""
    body = urllib.parse.urlencode({"Action": action, "Version": VERSION, **parameters}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = f"{aws_request.endpoint('autoscaling')}/"
    aws_request.send(Request(service="autoscaling", url=url, method="POST", headers=headers, body=body), timeouts)


def _boolean(value: bool) -> str:
    return str(value).lower()
