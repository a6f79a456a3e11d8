"""One instance's way through its Auto Scaling group, lifecycle hooks included. Time is an argument, in seconds.

The states and what leads from one to the next:
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
    """What a group has decided about its instances' lives.

    Attributes:
        retain: an instance whose termination was abandoned is kept until somebody terminates it:
            https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-lifecycle-policy.html
    """

    hooks: Sequence[Hook] = ()
    retain: bool = False


@dataclass(kw_only=True)
class Action:
    """A lifecycle action that waits for its result."""

    hook: Hook
    began: float
    heartbeat: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def deadline(self) -> float:
        """When the default result counts: heartbeats put that off, up to the global time-out."""
        timeout = self.hook.heartbeat_timeout
        return min(self.heartbeat + timeout, self.began + min(LONGEST_WAIT, HEARTBEATS * timeout))


class NoActiveActionError(Exception):
    """Nothing waits for this result or heartbeat."""


class Member:
    """An instance of a group.

    Attributes:
        spot: whether EC2 may reclaim it.
        version: of the launch template.
        healthy: what was last reported.
        message: what became of its last lifecycle action, in the words of a scaling activity.
        how: what ended it: `continue`, `abandon`, `timeout`, `retained` (terminated after having been retained),
            `no hook`, or `outside` (EC2 ended it); empty as long as it is there.
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
        """Somebody wants it to go: it goes at once, or when the terminating hooks are done; never in less."""
        if self.state == RETAINED:
            self._leave(now, "retained")
        elif self.counts:
            self.terminating_since = now
            if self._wait_for(TERMINATING, now):
                self.state = TERMINATING_WAIT
            else:
                self._leave(now, "no hook")

    def end(self, now: float) -> None:
        """EC2 has ended it, whatever waits."""
        self._leave(now, "outside")

    def complete(self, now: float, hook: str, result: str, token: str | None = None) -> None:
        """The result of the open action; NoActiveActionError when there is none of this hook (and token)."""
        self._decide(now, self._open(hook, token), result, "Lifecycle Action Completed with ABANDON Result", result)

    def heartbeat(self, now: float, hook: str, token: str | None = None) -> None:
        """Begin the heartbeat time-out anew; NoActiveActionError when nothing waits."""
        self._open(hook, token).heartbeat = now

    def pass_time(self, now: float) -> bool:
        """Let default results count whose time has come; true when there was one."""
        due = [action for action in self._actions if action.deadline <= now]
        for action in due:
            if action in self._actions:  # the first one's result may have closed the others
                self._decide(now, action, action.hook.default_result, "Heartbeat Timeout", "timeout")
        return bool(due)

    def has(self, token: str) -> bool:
        """Whether this is the token of one of its open actions."""
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
        """ABANDON closes the other actions of the transition; CONTINUE lets them go on."""
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
    """The steady state that an instance in `state` is on its way to, or in: what it reads in its metadata.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
    """
    return IN_SERVICE if state in (PENDING, PENDING_WAIT, IN_SERVICE) else "Terminated"
