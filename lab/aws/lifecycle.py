"""The lifecycle of one instance in its Auto Scaling group, lifecycle hooks included. Time is an argument, in seconds.

The states and their transitions:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
The states `Pending:Proceed` and `Terminating:Proceed` take no time here and are never seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"
CONTINUE, ABANDON = "CONTINUE", "ABANDON"
PENDING, PENDING_WAIT, IN_SERVICE = "Pending", "Pending:Wait", "InService"
TERMINATING_WAIT, RETAINED, GONE = "Terminating:Wait", "Terminating:Retained", "gone"

# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html (GlobalTimeout)
LONGEST_WAIT = 172_800.0
HEARTBEATS = 100


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A lifecycle hook of a group.

    Attributes:
        transition: LAUNCHING or TERMINATING.
        heartbeat_timeout: seconds without a heartbeat after which `default_result` counts.
        default_result: CONTINUE or ABANDON.
    """

    name: str
    transition: str
    heartbeat_timeout: float
    default_result: str


@dataclass(kw_only=True)
class Rules:
    """A group's rules for the lifecycle of its instances.

    Attributes:
        retain: an instance whose termination was abandoned is kept until it is terminated by a request:
            https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-lifecycle-policy.html
    """

    hooks: Sequence[Hook] = ()
    retain: bool = False


@dataclass(kw_only=True)
class Action:
    """A lifecycle action without a result yet."""

    hook: Hook
    began: float
    heartbeat: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def deadline(self) -> float:
        """When the default result applies: heartbeats postpone that, up to the global time-out."""
        timeout = self.hook.heartbeat_timeout
        return min(self.heartbeat + timeout, self.began + min(LONGEST_WAIT, HEARTBEATS * timeout))


class NoActiveActionError(Exception):
    """No lifecycle action is open for this result or heartbeat."""


class Member:
    """An instance of a group.

    Attributes:
        spot: whether EC2 may reclaim it.
        version: of the launch template.
        healthy: the health that was last reported.
        message: the result of its last lifecycle action, as a scaling activity words it.
        how: what ended it: `continue`, `abandon`, `timeout`, `retained` (terminated after having been retained),
            `no hook`, or `outside` (EC2 ended it); empty until its end.
    """

    def __init__(self, id_: str, rules: Rules, *, zone: str, version: str = "", spot: bool = False) -> None:
        self.id, self.zone, self.version, self.spot = id_, zone, version, spot
        self.state = PENDING
        self.healthy, self.protected = True, False
        self.in_service_since: float | None = None
        self.terminating_since: float | None = None
        self.gone_since: float | None = None
        self.message, self.how = "", ""
        self._rules = rules
        self._actions: list[Action] = []

    @property
    def counts(self) -> bool:
        """Whether it is part of the desired capacity."""
        return self.state in (PENDING, PENDING_WAIT, IN_SERVICE)

    @property
    def waited(self) -> float:
        """Seconds between the decision to terminate it and its end."""
        if self.terminating_since is None or self.gone_since is None:
            return 0.0
        return self.gone_since - self.terminating_since

    @property
    def waits(self) -> bool:
        """Whether a lifecycle action is open."""
        return bool(self._actions)

    def launch(self, now: float) -> None:
        """EC2 has started it."""
        if self._wait_for(LAUNCHING, now):
            self.state = PENDING_WAIT
        else:
            self._enter_service(now)

    def terminate(self, now: float) -> None:
        """Terminate it: at once, or when its terminating hooks are done."""
        if self.state == RETAINED:
            self._leave(now, "retained")
        elif self.counts:
            self.terminating_since = now
            if self._wait_for(TERMINATING, now):
                self.state = TERMINATING_WAIT
            else:
                self._leave(now, "no hook")

    def end(self, now: float) -> None:
        """EC2 has ended it; open actions do not matter."""
        self._leave(now, "outside")

    def complete(self, now: float, hook: str, result: str, token: str | None = None) -> None:
        """Set the result of the open action; NoActiveActionError if there is none of this hook (and token)."""
        self._decide(now, self._open(hook, token), result, "Lifecycle Action Completed with ABANDON Result", result)

    def heartbeat(self, now: float, hook: str, token: str | None = None) -> None:
        """Restart the heartbeat time-out; NoActiveActionError if no action is open."""
        self._open(hook, token).heartbeat = now

    def pass_time(self, now: float) -> bool:
        """Apply the default results that are due; true if there was one."""
        due = [action for action in self._actions if action.deadline <= now]
        for action in due:
            if action in self._actions:  # the first one's result may have closed the others
                self._decide(now, action, action.hook.default_result, "Heartbeat Timeout", "timeout")
        return bool(due)

    def has(self, token: str) -> bool:
        """Whether one of its open actions has this token."""
        return any(action.token == token for action in self._actions)

    def _open(self, hook: str, token: str | None) -> Action:
        for action in self._actions:
            if action.hook.name == hook and token in (None, action.token):
                return action
        raise NoActiveActionError

    def _wait_for(self, transition: str, now: float) -> bool:
        hooks = [hook for hook in self._rules.hooks if hook.transition == transition]
        self._actions = [Action(hook=hook, began=now, heartbeat=now) for hook in hooks]
        return self.waits

    def _decide(self, now: float, action: Action, result: str, reason: str, how: str) -> None:
        """ABANDON closes the other actions of the transition; CONTINUE leaves them open."""
        self._actions = [] if result == ABANDON else [other for other in self._actions if other is not action]
        if result == ABANDON:
            self.message = (
                f"Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {action.token} "
                f"was abandoned: {reason}"
            )
        if self.waits:
            return
        if self.state == PENDING_WAIT:
            self._enter_service(now) if result == CONTINUE else self.terminate(now)
        elif result == ABANDON and self._rules.retain:
            self.state = RETAINED
        else:
            self._leave(now, how.lower())

    def _enter_service(self, now: float) -> None:
        self.state, self.in_service_since = IN_SERVICE, now

    def _leave(self, now: float, how: str) -> None:
        self.state, self.how, self.gone_since, self._actions = GONE, how, now, []
        if self.terminating_since is None:
            self.terminating_since = now


def target_of(state: str) -> str:
    """The target lifecycle state of an instance in `state`, as its metadata has it.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
    """
    return IN_SERVICE if state in (PENDING, PENDING_WAIT, IN_SERVICE) else "Terminated"
