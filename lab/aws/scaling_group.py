"""One Auto Scaling group: its size, terminations and replacements. Time is an argument, in seconds.

EC2 has the instances themselves: see `Ec2`. The group records what it does with them in its activities.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from lab.aws.activities import Activity, ActivityLog, at
from lab.aws.lifecycle import IN_SERVICE, RETAINED, Member, NoActiveActionError, Rules

SECONDS_BETWEEN_FAILED_LAUNCHES = 15.0
"""EC2 Auto Scaling retries at intervals that it does not document."""


class CapacityError(Exception):
    """EC2 cannot launch; the text is the message of the activity."""


class RefusedError(Exception):
    """AWS refuses a request with a ValidationError of this text."""


@dataclass(frozen=True, kw_only=True)
class Launched:
    """A new instance."""

    id: str
    zone: str
    version: str = ""


class Ec2(Protocol):
    """What a group does with EC2."""

    def launch(self, *, spot: bool) -> Launched:
        """Start one instance; CapacityError if EC2 lacks the capacity."""

    def terminate(self, instance: str) -> None:
        """End one."""


@dataclass(kw_only=True)
class Sizes:
    """A group's size and purchase options.

    Attributes:
        on_demand_base, on_demand_percent: the first instances, and the share of those above them, that are not spot:
            https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
    """

    minimum: int
    maximum: int
    desired: int
    on_demand_base: int = 0
    on_demand_percent: int = 100


@dataclass(kw_only=True)
class Replacement:
    """An instance that is terminated when the one launched for it is in service."""

    old: str
    reason: str
    new: str | None = None


class ScalingGroup:
    """A group. After a method that changes it, call `settle`, which does what is due."""

    def __init__(self, name: str, ec2: Ec2, sizes: Sizes) -> None:
        self.name, self.sizes = name, sizes
        self.rules = Rules()
        self.members: dict[str, Member] = {}
        self.activities = ActivityLog()
        self.replaces_unhealthy = True
        self.termination_policies: Sequence[str] = ("Default",)
        self._ec2 = ec2
        self._replacements: list[Replacement] = []
        self._to_refresh: list[str] = []
        self._next_launch = 0.0
        self._request = ""

    @property
    def refreshing(self) -> bool:
        """Whether an instance refresh has instances left to replace."""
        return bool(self._to_refresh) or any(one.reason == "an instance refresh" for one in self._replacements)

    def set_desired(self, now: float, desired: int) -> None:
        """Set the desired capacity; RefusedError if it is outside of the bounds."""
        if desired > self.sizes.maximum:
            raise RefusedError(
                f"New SetDesiredCapacity value {desired} is above max value {self.sizes.maximum} "
                "for the AutoScalingGroup."
            )
        if desired < self.sizes.minimum:
            raise RefusedError(
                f"New SetDesiredCapacity value {desired} is below min value {self.sizes.minimum} "
                "for the AutoScalingGroup."
            )
        if desired != self.sizes.desired:
            self._request = (
                f"{at(now)} a user request explicitly set group desired capacity changing the desired capacity "
                f"from {self.sizes.desired} to {desired}. "
            )
        self.sizes.desired = desired
        self._next_launch = 0.0

    def resize(self, now: float, *, minimum: int | None, maximum: int | None, desired: int | None) -> None:
        """Change the bounds; the desired capacity moves into them unless it is given as well."""
        low = self.sizes.minimum = self.sizes.minimum if minimum is None else minimum
        high = self.sizes.maximum = self.sizes.maximum if maximum is None else maximum
        self.set_desired(now, min(max(self.sizes.desired, low), high) if desired is None else desired)

    def terminate(self, now: float, instance: str, *, decrement: bool) -> Activity:
        """TerminateInstanceInAutoScalingGroup, on an instance in any state."""
        member = self._member(instance)
        was = self.sizes.desired
        shrinks = decrement and member.counts
        if shrinks and was <= self.sizes.minimum:
            raise RefusedError(
                f"Currently, desiredSize equals minSize ({self.sizes.minimum}). Terminating instance without "
                "replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag "
                "to false or lower group's min size."
            )
        if shrinks:
            self.sizes.desired -= 1
        cause = f"instance {instance} was taken out of service in response to a user request"
        return self._end(now, member, cause + (f", shrinking the capacity from {was} to {was - 1}" if shrinks else ""))

    def complete(self, now: float, hook: str, result: str, *, instance: str | None, token: str | None) -> None:
        """Set the result of a lifecycle action; RefusedError if none is open."""
        member = self._waiting(instance, token)
        try:
            member.complete(now, hook, result, token)
        except NoActiveActionError:
            raise _no_action(instance, token) from None

    def heartbeat(self, now: float, hook: str, *, instance: str | None, token: str | None) -> None:
        """Restart the time-out of a lifecycle action; RefusedError if none is open."""
        member = self._waiting(instance, token)
        try:
            member.heartbeat(now, hook, token)
        except NoActiveActionError:
            raise _no_action(instance, token) from None

    def ended(self, now: float, instance: str) -> None:
        """EC2 has ended an instance; it is replaced without waiting for its hooks."""
        if instance in self.members:
            member = self.members[instance]
            cause = "response to an EC2 health check indicating it has been terminated or stopped"
            self._note_end(now, member, f"an instance was taken out of service in {cause}")
            member.end(now)

    def rebalance(self, instance: str) -> None:
        """EC2 recommends to replace a spot instance: launch another, then terminate it.

        https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html
        """
        if self._member(instance).counts and all(one.old != instance for one in self._replacements):
            self._replacements.append(Replacement(old=instance, reason="an instance rebalance recommendation"))

    def refresh(self, *, keep: Collection[str] = ()) -> None:
        """Replace the instances one by one, new ones first; those whose ids are in `keep` stay.

        RefusedError while a refresh is in progress. The next instance is replaced as soon as the one before is out of
        service, although its terminating hook may still wait: a refresh does not count it as capacity.
        """
        if self.refreshing:
            raise RefusedError("An Instance Refresh is already in progress and blocks the execution of this request.")
        self._to_refresh = [m.id for m in self.members.values() if m.counts and m.id not in keep]

    def settle(self, now: float) -> None:
        """Do what is due: time-outs, replacements, launches and terminations."""
        for member in list(self.members.values()):
            member.pass_time(now)
        while self._remove_ended(now) or self._replace(now) or self._adjust(now):
            pass
        self._request = ""
        for member in self.members.values():
            self._update_activity(now, member)

    def _replace(self, now: float) -> bool:
        """Terminate unhealthy instances, and those whose replacement is in service; true if something changed."""
        for member in self.members.values():
            if member.state == IN_SERVICE and not member.healthy and self.replaces_unhealthy:
                self._end(now, member, "an instance was taken out of service in response to a user health-check")
                return True
        for one in self._replacements:
            old, new = self.members.get(one.old), self.members.get(one.new or "")
            if old is None or not old.counts:
                self._replacements.remove(one)
                return True
            if new is None:
                one.new = None
            elif new.state == IN_SERVICE:
                self._replacements.remove(one)
                self._end(now, old, f"an instance was taken out of service in response to {one.reason}")
                return True
        if self._to_refresh and not any(one.reason == "an instance refresh" for one in self._replacements):
            self._replacements.append(Replacement(old=self._to_refresh.pop(0), reason="an instance refresh"))
            return True
        return False

    def _adjust(self, now: float) -> bool:
        """Launch or terminate one instance if there are too few or too many; true if it did."""
        counted = [member for member in self.members.values() if member.counts]
        target = self.sizes.desired + len(self._replacements)
        if len(counted) < target and now >= self._next_launch:
            return self._launch(now, counted)
        if len(counted) > target:
            busy = {one.new for one in self._replacements}
            free = [member for member in counted if not member.protected and member.id not in busy]
            if free:
                member = min(free, key=lambda one: self._order(one, counted))
                self._end(
                    now,
                    member,
                    "an instance was taken out of service in response to a difference between desired and actual "
                    f"capacity, shrinking the capacity from {len(counted)} to {len(counted) - 1}. {at(now)} instance "
                    f"{member.id} was selected for termination",
                )
                return True
        return False

    def _order(self, member: Member, counted: Sequence[Member]) -> tuple[object, ...]:
        """The order of terminations: the fullest zone first, then by the group's policies, then the oldest.

        https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html
        """
        age = list(self.members).index(member.id)
        keys: list[object] = [-sum(other.zone == member.zone for other in counted)]
        for policy in self.termination_policies:
            if policy in ("OldestLaunchTemplate", "Default"):
                keys.append(int(member.version or 0))
            elif policy == "NewestInstance":
                keys.append(-age)
        return (*keys, age)

    def _launch(self, now: float, counted: Sequence[Member]) -> bool:
        cause = (
            f"{self._request}{at(now)} an instance was started in response to a difference between desired and actual "
            f"capacity, increasing the capacity from {len(counted)} to {len(counted) + 1}."
        )
        activity = self.activities.add(Activity(description="Launching a new EC2 instance", cause=cause, began=now))
        spot = self._next_is_spot(counted)
        try:
            new = self._ec2.launch(spot=spot)
        except CapacityError as failure:
            activity.description += ".  Status Reason: " + str(failure)
            activity.finish(now, "Failed", str(failure))
            self._next_launch = now + SECONDS_BETWEEN_FAILED_LAUNCHES
            return False
        activity.instance = new.id
        activity.description += f": {new.id}"
        activity.details = {"Availability Zone": new.zone}
        member = Member(new.id, self.rules, zone=new.zone, version=new.version, spot=spot)
        self.members[new.id] = member
        vacant = next((one for one in self._replacements if one.new is None), None)
        if vacant is not None:
            vacant.new = new.id
        member.launch(now)
        return True

    def _next_is_spot(self, counted: Sequence[Member]) -> bool:
        """Whether the on-demand part of the capacity is full; it is rounded up."""
        above = max(len(counted) + 1 - self.sizes.on_demand_base, 0)
        on_demand = self.sizes.on_demand_base + math.ceil(above * self.sizes.on_demand_percent / 100)
        return sum(not member.spot for member in counted) >= on_demand

    def _end(self, now: float, member: Member, cause: str) -> Activity:
        activity = self._note_end(now, member, cause)
        member.terminate(now)
        return activity

    def _note_end(self, now: float, member: Member, cause: str) -> Activity:
        """The activity of a termination: the one in progress if there is one."""
        known = self.activities.of(member.id)
        if known is not None and not known.finished and known.description.startswith("Terminating"):
            return known
        if known is not None and not known.finished:
            known.finish(now, "Cancelled", member.message)
        text = f"{self._request}{at(now)} {cause}."
        return self.activities.add(
            Activity(
                description=f"Terminating EC2 instance: {member.id}",
                cause=text,
                began=now,
                instance=member.id,
                details={"Availability Zone": member.zone},
            )
        )

    def _remove_ended(self, now: float) -> bool:
        """Remove the members that have ended; true if there was one."""
        ended = [member for member in self.members.values() if member.how]
        for member in ended:
            activity = self._note_end(now, member, "an instance was taken out of service: its launch was abandoned")
            activity.finish(now, "Successful", member.message, {"How": member.how, "Waited": round(member.waited, 1)})
            del self.members[member.id]
            if member.how != "outside":
                self._ec2.terminate(member.id)
        return bool(ended)

    def _update_activity(self, now: float, member: Member) -> None:
        """Update the activity of a member's transition."""
        if not member.counts:
            abandoned_launch = "an instance was taken out of service: its launch was abandoned"
            activity = self._note_end(now, member, abandoned_launch)
            activity.status, activity.message = "MidLifecycleAction", ""
            if member.state == RETAINED:
                activity.message = member.message
            return
        activity = self.activities.of(member.id)
        if activity is not None and not activity.finished:
            if member.state == IN_SERVICE:
                activity.finish(now, "Successful")
            else:
                activity.status = "MidLifecycleAction"

    def _member(self, instance: str) -> Member:
        if instance not in self.members:
            raise RefusedError(f"Instance Id not found - No managed instance found for instance ID: {instance}")
        return self.members[instance]

    def _waiting(self, instance: str | None, token: str | None) -> Member:
        for member in self.members.values():
            if member.id == instance or (instance is None and token is not None and member.has(token)):
                return member
        raise _no_action(instance, token)


def _no_action(instance: str | None, token: str | None) -> RefusedError:
    whose = f"instance ID {instance}" if instance else f"token {token}"
    return RefusedError(f"No active Lifecycle Action found with {whose}")
