"""What a worker asks of Auto Scaling about itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from airflow_node import log

from lifecycle.actions import DONE, Outcome, Result

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
# The answer to what can never succeed: no hook waits, the group is at its minimum, the instance is not in the group.
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
FINAL = "ValidationError"


class GroupApi:
    """Calls that end soon and are never repeated here: whoever asks decides when to ask again."""

    def __init__(self, *, instance: str, group: str, hook: str, connect: Callable[[], Any] | None = None) -> None:
        """`hook`: the terminating lifecycle hook. `connect` makes the client, when it is first needed."""
        self._instance = instance
        self._hook = {"LifecycleHookName": hook, "AutoScalingGroupName": group, "InstanceId": instance}
        self._connect = connect or _client

    def heartbeat(self) -> Result:
        """Have the hook wait for another heartbeat time-out."""
        return self._call("record_lifecycle_action_heartbeat", **self._hook)

    def complete(self) -> Result:
        """Let the termination go on."""
        return self._call("complete_lifecycle_action", **self._hook, LifecycleActionResult="CONTINUE")

    def terminate(self, *, decrement: bool) -> Result:
        """End this instance; with `decrement` the group becomes one smaller instead of replacing it."""
        return self._call(
            "terminate_instance_in_auto_scaling_group",
            InstanceId=self._instance,
            ShouldDecrementDesiredCapacity=decrement,
        )

    def report_unhealthy(self) -> Result:
        """Have the group replace this instance, grace period or not."""
        return self._call(
            "set_instance_health",
            InstanceId=self._instance,
            HealthStatus="Unhealthy",
            ShouldRespectGracePeriod=False,
        )

    @cached_property
    def _api(self) -> Any:
        return self._connect()

    def _call(self, name: str, **arguments: Any) -> Result:
        try:
            getattr(self._api, name)(**arguments)
        except Exception as error:  # noqa: BLE001 - credentials, network, throttling: the node lives on, and asks again
            response = getattr(error, "response", {})
            code = response.get("Error", {}).get("Code", "")
            # A server's error (5xx) may come after the deed.
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if not response:
                # A client that was made while the metadata service did not answer never gets credentials.
                self.__dict__.pop("_api", None)
            outcome = Outcome.REFUSED if code == FINAL else Outcome.FAILED
            return Result(outcome, log.one_line(error), answered=status < 500)
        return DONE


def _client() -> Any:
    # Late: boto3 takes half a second and 40 MB, and most workers need it once, at their end.
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    return boto3.client("autoscaling", config=config)
