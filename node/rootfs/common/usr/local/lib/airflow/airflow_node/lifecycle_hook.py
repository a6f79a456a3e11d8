"""A lifecycle hook of Auto Scaling, as the instance that it holds speaks to it.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_node import aws_request
from airflow_node.aws_request import AwsError

CONTINUE, ABANDON = "CONTINUE", "ABANDON"
# What Auto Scaling answers where nothing waits for the call, or no more.
NOTHING_WAITS = "ValidationError"


@dataclass(frozen=True, kw_only=True)
class LifecycleHook:
    """The hook `name` of an autoscaling group, for one instance of the group."""

    name: str
    group: str
    instance: str

    def complete(self, result: str) -> bool:
        """End the waiting with CONTINUE or ABANDON; False if nothing waits."""
        return self._call("CompleteLifecycleAction", LifecycleActionResult=result)

    def heartbeat(self) -> bool:
        """Let the waiting begin anew; False if nothing waits."""
        return self._call("RecordLifecycleActionHeartbeat")

    def _call(self, action: str, **parameters: str) -> bool:
        place = {"AutoScalingGroupName": self.group, "LifecycleHookName": self.name, "InstanceId": self.instance}
        try:
            aws_request.autoscaling(action, **place, **parameters)
        except AwsError as error:
            if error.code == NOTHING_WAITS:
                return False
            raise
        return True
