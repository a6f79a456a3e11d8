"""The Auto Scaling API: moto's, with the hooks, refusals and activities of `lab.aws.scaling_group`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import ASG_NAME_TAG, AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.launch_templates import LaunchTemplateVersion

from lab.aws.activities import Activity
from lab.aws.fleet import NO_CAPACITY_TAG, REBALANCE_TAG
from lab.aws.lifecycle import Hook, Member
from lab.aws.scaling_group import CapacityError, Launched, RefusedError, ScalingGroup, Sizes
from lab.aws.shutdowns import Shutdowns

SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT = 30, 7200
"""https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html (HeartbeatTimeout)"""

_lock = threading.RLock()
_groups: WeakKeyDictionary[FakeAutoScalingGroup, ScalingGroup] = WeakKeyDictionary()
_retaining: set[str] = set()
_shutdowns = Shutdowns()
_create = AutoScalingResponse.create_auto_scaling_group
_update_group = AutoScalingResponse.update_auto_scaling_group
_update = FakeAutoScalingGroup.update
_set_template = FakeAutoScalingGroup._set_launch_configuration
_call_action = AutoScalingResponse.call_action


class MotoEc2:
    """moto's EC2, for one group."""

    def __init__(self, group: FakeAutoScalingGroup) -> None:
        self._group = group

    def launch(self, *, spot: bool) -> Launched:
        """Start an instance in the group's emptiest subnet, from the group's version of the launch template."""
        group = self._group
        if refusal := next((tag["Value"] for tag in group.tags if tag["Key"] == NO_CAPACITY_TAG), ""):
            raise CapacityError(refusal)
        taken = [state.instance.subnet_id for state in group.instance_states]
        _shutdowns.settle(time.time())
        template = group.ec2_launch_template
        if template is None:
            raise CapacityError("The group has no launch template.")
        version = template.get_version(group.launch_template_version)
        reservation = group.ec2_backend.run_instances(
            version.image_id,
            1,
            None,  # `Fleet` reads user data from the template: moto does not pass on that of every version
            version.security_groups,
            instance_type=next(iter(_types(group)), version.instance_type),
            tags={"instance": group.get_propagated_tags() | {ASG_NAME_TAG: group.name} | group.instance_tags},
            placement=group.availability_zones[0],
            launch_template={"LaunchTemplateId": template.id, "Version": str(version.number)},
            subnet_id=min((group.vpc_zone_identifier or "").split(","), key=taken.count),
            is_instance_type_default=False,
            lifecycle="spot" if spot else None,
        )
        [instance] = reservation.instances
        group.instance_states.append(InstanceState(instance, autoscaling_group=group))
        return Launched(id=instance.id, zone=instance.placement.zone or "", version=str(version.number))

    def terminate(self, instance: str) -> None:
        """End an instance."""
        self._group.ec2_backend.terminate_instances([instance])
        _shut_down(self._group, instance)


def _shut_down(group: FakeAutoScalingGroup, instance: str) -> None:
    """Free the address of a terminated instance when it is off; moto never does."""

    def release() -> None:
        for interface in group.ec2_backend.get_instance(instance).nics.values():
            interface.delete()

    _shutdowns.begin(time.time(), release)


@contextmanager
def opened(group: FakeAutoScalingGroup) -> Generator[ScalingGroup]:
    """The behaviour of a group, with the settings from moto; afterwards moto gets its state."""
    with _lock:
        if group not in _groups:
            sizes = Sizes(minimum=group.min_size or 0, maximum=group.max_size or 0, desired=0)
            _groups[group] = ScalingGroup(group.name, MotoEc2(group), sizes)
        scaling = _groups[group]
        _read_settings(group, scaling)
        try:
            yield scaling
        except RefusedError as refusal:
            raise ValidationError(str(refusal)) from None
        scaling.settle(time.time())
        group.desired_capacity = scaling.sizes.desired
        group.min_size, group.max_size = scaling.sizes.minimum, scaling.sizes.maximum
        _show(group, scaling)


def _read_settings(group: FakeAutoScalingGroup, scaling: ScalingGroup) -> None:
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    scaling.rules.hooks = [
        Hook(
            name=hook.name,
            transition=hook.lifecycle_transition or "",
            heartbeat_timeout=hook.heartbeat_timeout,
            default_result=hook.default_result,
        )
        for hook in hooks
    ]
    scaling.rules.retain = group.name in _retaining
    scaling.termination_policies = group.termination_policies
    scaling.replaces_unhealthy = all(one["ProcessName"] != "ReplaceUnhealthy" for one in group.suspended_processes)
    distribution = (group.mixed_instances_policy or {}).get("InstancesDistribution", {})
    scaling.sizes.on_demand_base = int(distribution.get("OnDemandBaseCapacity", 0))
    scaling.sizes.on_demand_percent = int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100))
    if group.capacity_rebalance:
        for state in group.instance_states:
            if state.instance_id in scaling.members and _is_at_risk(state):
                scaling.rebalance(state.instance_id)


def _is_at_risk(state: InstanceState) -> bool:
    return any(tag["key"] == REBALANCE_TAG for tag in state.instance.get_tags())


def _show(group: FakeAutoScalingGroup, scaling: ScalingGroup) -> None:
    """Copy the members' states to moto."""
    group.instance_states = [state for state in group.instance_states if state.instance_id in scaling.members]
    for state in group.instance_states:
        member: Member = scaling.members[state.instance_id]
        state.lifecycle_state = member.state
        state.health_status = "Healthy" if member.healthy else "Unhealthy"


def group_of(backend: AutoScalingBackend, instance: str) -> FakeAutoScalingGroup:
    """The group of an instance; ValidationError when there is none."""
    for group in backend.autoscaling_groups.values():
        if any(state.instance_id == instance for state in group.instance_states):
            return group
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance}")


def group_named(backend: AutoScalingBackend, name: str) -> FakeAutoScalingGroup:
    """A group; ValidationError when there is none."""
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def call_action(self: AutoScalingResponse) -> Any:
    """Do everything that is due, then the request."""
    with _lock:
        for group in list(self.autoscaling_backend.autoscaling_groups.values()):
            with opened(group):
                pass
        return _call_action(self)


def create_auto_scaling_group(self: AutoScalingResponse) -> ActionResult:
    """Add what moto leaves out: hooks, before the group's first instance, and retention."""
    name = self._get_param("AutoScalingGroupName")
    for hook in self._get_param("LifecycleHookSpecificationList", []):
        _put_hook(self.autoscaling_backend, name, hook)
    if self._get_param("InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon") == "retain":
        _retaining.add(name)
    return _create(self)


def update_auto_scaling_group(self: AutoScalingResponse) -> ActionResult:
    """Add what moto leaves out: capacity rebalancing can be turned on and off at any time."""
    rebalance = self._get_bool_param("CapacityRebalance")
    if rebalance is not None:
        group_named(self.autoscaling_backend, self._get_param("AutoScalingGroupName")).capacity_rebalance = rebalance
    return _update_group(self)


def put_lifecycle_hook(self: AutoScalingResponse) -> ActionResult:
    """Add a hook to a group; it applies to launches and terminations from now on."""
    name = self._get_param("AutoScalingGroupName")
    group_named(self.autoscaling_backend, name)
    _put_hook(self.autoscaling_backend, name, self._get_params())
    return EmptyResult()


def _put_hook(backend: AutoScalingBackend, group: str, given: Mapping[str, Any]) -> None:
    timeout = int(given.get("HeartbeatTimeout") or 3600)
    if not SHORTEST_HEARTBEAT <= timeout <= LONGEST_HEARTBEAT:
        raise ValidationError(
            f"HeartbeatTimeout {timeout} is not between {SHORTEST_HEARTBEAT} and {LONGEST_HEARTBEAT} seconds"
        )
    hook = backend.create_lifecycle_hook(
        name=given["LifecycleHookName"],
        as_name=group,
        transition=given["LifecycleTransition"],
        timeout=timeout,
        result=given.get("DefaultResult") or "ABANDON",
    )
    hook.global_timeout = min(172_800, 100 * timeout)


def complete_lifecycle_action(self: AutoScalingResponse) -> ActionResult:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html"""
    result = self._get_param("LifecycleActionResult")
    if result not in ("CONTINUE", "ABANDON"):
        raise ValidationError(f"LifecycleActionResult {result} is neither CONTINUE nor ABANDON")
    with opened(group_named(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))) as scaling:
        scaling.complete(time.time(), self._get_param("LifecycleHookName"), result, **_action(self))
    return ActionResult({})


def record_lifecycle_action_heartbeat(self: AutoScalingResponse) -> ActionResult:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RecordLifecycleActionHeartbeat.html"""
    with opened(group_named(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))) as scaling:
        scaling.heartbeat(time.time(), self._get_param("LifecycleHookName"), **_action(self))
    return ActionResult({})


def _action(request: AutoScalingResponse) -> dict[str, str | None]:
    return {"instance": request._get_param("InstanceId"), "token": request._get_param("LifecycleActionToken")}


def terminate_instance(self: AutoScalingResponse) -> ActionResult:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html"""
    instance = self._get_param("InstanceId")
    decrement = self._get_bool_param("ShouldDecrementDesiredCapacity", False)
    group = group_of(self.autoscaling_backend, instance)
    with opened(group) as scaling:
        activity = scaling.terminate(time.time(), instance, decrement=bool(decrement))
    return ActionResult({"Activity": _described(activity, group.name)})


def set_instance_health(self: AutoScalingResponse) -> ActionResult:
    """Set an instance's health; during the grace period only if ShouldRespectGracePeriod is false.

    The grace period begins when an instance enters service:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-check-grace-period.html
    """
    instance, healthy = self._get_param("InstanceId"), self._get_param("HealthStatus") == "Healthy"
    group = group_of(self.autoscaling_backend, instance)
    with opened(group) as scaling:
        member, now = scaling.members[instance], time.time()
        age = 0.0 if member.in_service_since is None else now - member.in_service_since
        young = age < (group.health_check_grace_period or 0)
        if not (young and self._get_bool_param("ShouldRespectGracePeriod", True)):
            member.healthy = healthy
    return EmptyResult()


def set_desired_capacity(self: FakeAutoScalingGroup, new_capacity: int | None) -> None:
    """Set the desired capacity with hooks and bounds, which moto ignores."""
    with opened(self) as scaling:
        scaling.set_desired(time.time(), scaling.sizes.minimum if new_capacity is None else new_capacity)


def update(self: FakeAutoScalingGroup, **given: Any) -> None:
    """Change only what is given; moto removes a mixed instances policy that is not given again."""
    policy, version = self.mixed_instances_policy, getattr(self, "launch_template_version", None)
    sizes = {key: given.pop(key) for key in ("min_size", "max_size", "desired_capacity")}
    _update(self, min_size=None, max_size=None, desired_capacity=None, **given)
    if given["mixed_instances_policy"] is None and not given["launch_template"]:
        self.mixed_instances_policy, self.launch_template_version = policy, version or "$Default"
    with opened(self) as scaling:
        scaling.resize(
            time.time(), minimum=sizes["min_size"], maximum=sizes["max_size"], desired=sizes["desired_capacity"]
        )


def set_template(self: FakeAutoScalingGroup, configuration: str, template: Any, mixed_instances_policy: Any) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/advanced-settings-for-your-launch-template.html"""
    _set_template(self, configuration, template, mixed_instances_policy)
    if (template or mixed_instances_policy) and not (_types(self) or _version(self).instance_type):
        raise ValidationError("A launch template must have an instance type, unless overrides name types")


def notify_terminate_instances(self: AutoScalingBackend, instance_ids: list[str]) -> None:
    """EC2 has terminated instances without Auto Scaling."""
    for group in list(self.autoscaling_groups.values()):
        with opened(group) as scaling:
            for instance in set(instance_ids) & scaling.members.keys():
                scaling.ended(time.time(), instance)
                _shut_down(group, instance)


def start_instance_refresh(self: AutoScalingResponse) -> ActionResult:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html

    If the template's image is a Systems Manager parameter, AWS supports neither skip matching nor a desired
    configuration (https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html).
    """
    group = group_named(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    skip_matching = self._get_bool_param("Preferences.SkipMatching", False)
    desired = self._get_param("DesiredConfiguration")
    if self._get_bool_param("Preferences.AutoRollback", False) and not desired:
        raise ValidationError(
            "The AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty. Set "
            "AutoRollback to false or specify a desired configuration and try again."
        )
    if _version(group).image_id.startswith("resolve:ssm:") and (skip_matching or desired):
        raise ValidationError(
            "An instance refresh with skip matching or a desired configuration is not supported for a launch template "
            "that specifies a Systems Manager parameter instead of an AMI ID"
        )
    with opened(group) as scaling:
        scaling.refresh(keep=_matching(group) if skip_matching else ())
    return ActionResult({"InstanceRefreshId": f"refresh-of-{group.name}"})


def _version(group: FakeAutoScalingGroup) -> LaunchTemplateVersion:
    """The version of the launch template from which the group launches at present."""
    if group.ec2_launch_template is None:
        raise ValidationError(f"AutoScalingGroup '{group.name}' has no launch template")
    return group.ec2_launch_template.get_version(group.launch_template_version)


def _matching(group: FakeAutoScalingGroup) -> list[str]:
    """The instances that skip matching keeps: their template version and type match the group's.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-instance-refresh-skip-matching.html
    """
    version, types = str(_version(group).number), _types(group)
    return [
        state.instance_id
        for state in group.instance_states
        if instance_template(state)["Version"] == version and (not types or state.instance.instance_type in types)
    ]


def _types(group: FakeAutoScalingGroup) -> list[str]:
    """The instance types of a mixed instances policy, which override the launch template's."""
    template = (group.mixed_instances_policy or {}).get("LaunchTemplate", {})
    return [override["InstanceType"] for override in template.get("Overrides") or []]


def describe_scaling_activities(self: AutoScalingResponse) -> ActionResult:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScalingActivities.html"""
    name, records = self._get_param("AutoScalingGroupName"), self._get_int_param("MaxRecords", 100)
    groups = self.autoscaling_backend.autoscaling_groups
    wanted = [group_named(self.autoscaling_backend, name)] if name else list(groups.values())
    begin = int(self._get_param("NextToken") or 0)
    listed = [_described(activity, group.name) for group in wanted for activity in _groups[group].activities.listing()]
    end = begin + records
    return ActionResult({"Activities": listed[begin:end], **({"NextToken": str(end)} if end < len(listed) else {})})


def _described(activity: Activity, group: str) -> dict[str, Any]:
    times = {"StartTime": activity.began} | ({} if activity.ended is None else {"EndTime": activity.ended})
    return {
        "ActivityId": activity.id,
        "AutoScalingGroupName": group,
        "Description": activity.description,
        "Cause": activity.cause,
        **{key: datetime.fromtimestamp(moment, UTC) for key, moment in times.items()},
        "StatusCode": activity.status,
        **({"StatusMessage": activity.message} if activity.message else {}),
        "Progress": 100 if activity.finished else 50,
        "Details": json.dumps(activity.details),
    }


def instance_template(self: InstanceState) -> dict[str, Any]:
    """The template version from which an instance was launched, whatever its group launches now."""
    tags = {tag["key"]: tag["value"] for tag in self.instance.get_tags()}
    template = self.auto_scaling_group.ec2_launch_template
    return {
        "LaunchTemplateId": tags["aws:ec2launchtemplate:id"],
        "LaunchTemplateName": template.name if template else "",
        "Version": tags["aws:ec2launchtemplate:version"],
    }


# Owner and name of each attribute of moto that is replaced, and its replacement.
REPLACED: tuple[tuple[type, str, Callable[..., Any] | property], ...] = (
    (AutoScalingResponse, "call_action", call_action),
    (AutoScalingResponse, "create_auto_scaling_group", create_auto_scaling_group),
    (AutoScalingResponse, "update_auto_scaling_group", update_auto_scaling_group),
    (AutoScalingResponse, "put_lifecycle_hook", put_lifecycle_hook),
    (AutoScalingResponse, "complete_lifecycle_action", complete_lifecycle_action),
    (AutoScalingResponse, "record_lifecycle_action_heartbeat", record_lifecycle_action_heartbeat),
    (AutoScalingResponse, "terminate_instance_in_auto_scaling_group", terminate_instance),
    (AutoScalingResponse, "set_instance_health", set_instance_health),
    (AutoScalingResponse, "start_instance_refresh", start_instance_refresh),
    (AutoScalingResponse, "describe_scaling_activities", describe_scaling_activities),
    (AutoScalingBackend, "notify_terminate_instances", notify_terminate_instances),
    (FakeAutoScalingGroup, "set_desired_capacity", set_desired_capacity),
    (FakeAutoScalingGroup, "update", update),
    (FakeAutoScalingGroup, "_set_launch_configuration", set_template),
    (InstanceState, "launch_template", property(instance_template)),
)
