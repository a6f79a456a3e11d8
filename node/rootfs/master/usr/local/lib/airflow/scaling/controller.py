"""Runs the passes: observe everything, decide for each pool, and act."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import redis
from airflow_node.worker_registry import GroupSizes, WorkerRegistry

from scaling.decision_log import ScalingLog
from scaling.generation import Generation, Role
from scaling.launch_groups import AutoScalingError, LaunchGroup, LaunchGroups
from scaling.launch_watch import LaunchWatch
from scaling.metadata_database import MetadataDatabase, is_scaled
from scaling.metrics import ScalingMetrics
from scaling.observation import Observation, Observer, PoolObservation
from scaling.pool import Pool
from scaling.scaler import Decision, PoolScaler

PERIOD_SECONDS = 10.0
# After this time a pass sends no more requests to Auto Scaling: it must end before another master can get the lock.
PASS_SECONDS = 40.0
TOO_SLOW = "Auto Scaling responds too slowly; the next pass tries again"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts that the controller uses. The clock is monotonic, in seconds.

    `instance` is this master's id, and `masters` the name of its group.
    """

    instance: str
    masters: str
    database: MetadataDatabase
    groups: LaunchGroups
    registry: WorkerRegistry
    log: ScalingLog = field(default_factory=ScalingLog)
    metrics: ScalingMetrics = field(default_factory=ScalingMetrics)
    clock: Callable[[], float] = time.monotonic


class Controller:
    """Scales the pools of one cluster. A step that fails is logged once, and tried again in the next pass."""

    def __init__(self, pools: Sequence[Pool], parts: Parts) -> None:
        self._pools = pools
        self._parts = parts
        self._observer = Observer(pools, parts.groups, parts.registry, self._note)
        self._generation = Generation(parts.instance)
        self._role = Role.SCALES
        self._scalers = {pool.name: PoolScaler(pool) for pool in pools}
        self._watches = {pool.name: LaunchWatch(pool.group) for pool in pools}
        self._started = parts.clock()
        self._has_registry = False

    def run_pass(self) -> None:
        """Run one pass, unless another master runs one."""
        self._started = self._parts.clock()
        outcome = "failed"
        try:
            with self._parts.database.turn() as connection:
                outcome = "skipped" if connection is None else self._act(connection)
            self._note("the database", None)
        except psycopg.Error as error:
            self._note("the database", error)
        except AutoScalingError as error:
            self._note("Auto Scaling", error)
        metrics = self._parts.metrics
        metrics.passes.labels(outcome).inc()
        if outcome in ("done", "left"):
            metrics.pass_seconds.set(self._seconds())
            metrics.last_pass.set_to_current_time()

    def _act(self, connection: psycopg.Connection) -> str:
        """Observe, decide and act; returns the label under which the metrics count the pass."""
        parts = self._parts
        try:
            groups = parts.groups.describe([parts.masters, *(pool.group for pool in self._pools)])
        except AutoScalingError:
            # A master that cannot raise a pool must not prevent that others do.
            parts.database.show_presence(False)
            raise
        self._note("Auto Scaling", None)
        role = self._generation.role(self._started, groups.get(parts.masters), lambda: is_scaled(connection))
        if role is not self._role:
            self._role = role
            parts.log.event("role", why=f"this master {role.value}")
        parts.database.show_presence(role is Role.SCALES)
        if role is Role.LEAVES_IT:
            return "left"
        self._scale_all(self._observer.look(connection, groups))
        return "done"

    def _scale_all(self, observation: Observation) -> None:
        self._has_registry = observation.registry is not None
        faults = observation.registry.faults if observation.registry else {}
        self._parts.log.unreadable(faults)
        self._parts.metrics.registry_faults.set(len(faults))
        for pool in self._pools:
            group = observation.groups.get(pool.group)
            self._note(f"the group {pool.group}", None if group else "Auto Scaling knows no such group")
            if group:
                self._scale(pool, group, observation.of(pool))
        unserved = observation.demand.unserved(queue for pool in self._pools for queue in pool.queues)
        self._parts.log.unserved(self._started, unserved)
        self._parts.metrics.show_unserved(unserved)

    def _scale(self, pool: Pool, group: LaunchGroup, found: PoolObservation) -> None:
        failure = self._launch_failure(pool, group)
        decision = self._scalers[pool.name].decide(
            self._started,
            group=group.sizes,
            running=found.running,
            queued=found.queued,
            expected=found.expected,
            workers=found.workers,
            in_service=group.in_service,
            boot_seconds=found.boot_seconds,
            launch_failure=failure,
            only_raise=self._role is Role.STANDS_IN,
        )
        desired = group.sizes.desired
        if decision.desired > desired and (raised := self._raise(pool, decision.desired)):
            self._parts.metrics.raises.labels(pool.name, found.reason_for_more_than(desired, pool)).inc()
            desired = raised
        self._publish(pool, replace(group.sizes, minimum=decision.floor, desired=desired), decision)
        self._parts.metrics.show_pool(pool.name, group, found, decision, desired, failure)
        self._log_decision(pool, group, found, decision, desired, failure)

    def _launch_failure(self, pool: Pool, group: LaunchGroup) -> str | None:
        what = f"asking for the launches of {pool.group}"
        watch = self._watches[pool.name]
        if self._seconds() > PASS_SECONDS:
            self._note(what, TOO_SLOW)
            return watch.last_failure
        try:
            failure = watch.failure(self._started, group, self._parts.groups)
        except AutoScalingError as error:
            self._note(what, error)
            return watch.last_failure
        self._note(what, None)
        return failure

    def _raise(self, pool: Pool, desired: int) -> int | None:
        """Raise the desired capacity; returns the new one, None if the request failed."""
        what = f"raising {pool.group}"
        if self._seconds() > PASS_SECONDS:
            self._note(what, TOO_SLOW)
            return None
        try:
            raised = self._parts.groups.raise_to(pool.group, desired)
        except AutoScalingError as error:
            self._note(what, error)
            return None
        self._note(what, None)
        return raised

    def _publish(self, pool: Pool, sizes: GroupSizes, decision: Decision) -> None:
        """Renew the group's sizes and the cordons in the registry, unless the broker has failed in this pass already.

        Workers treat the floor as the group's minimum, so that no worker leaves that the next pass would replace. A
        master that stands in publishes nothing: workers that another generation has cordoned take tasks again, and none
        leaves.
        """
        if not self._has_registry or self._role is Role.STANDS_IN:
            return
        registry = self._parts.registry
        try:
            registry.publish_group(pool.name, sizes)
            registry.cordon(pool.name, decision.cordon)
            registry.uncordon(pool.name, decision.uncordon)
        except redis.RedisError as error:
            self._has_registry = False
            self._note("the worker registry", error)

    def _log_decision(
        self,
        pool: Pool,
        group: LaunchGroup,
        found: PoolObservation,
        decision: Decision,
        desired: int,
        failure: str | None,
    ) -> None:
        facts: dict[str, Any] = {
            "from": group.sizes.desired,
            "to": desired,
            "needed": decision.needed,
            "minimum": group.sizes.minimum,
            "maximum": group.sizes.maximum,
            "floor": decision.floor,
            "in_service": len(group.in_service),
            "running": found.running,
            "queued": found.queued,
            "expected": found.expected,
            "workers": found.count_by_state(),
            "cordon": decision.cordon,
            "uncordon": decision.uncordon,
            "reason": decision.reason,
            "seconds": round(self._seconds(), 3),
        }
        if failure:
            facts["launch_failure"] = failure
        changes = desired != group.sizes.desired or bool(decision.uncordon)
        # News is logged at once; each change of a size is news.
        news = (self._started if changes else None, decision.cordon, failure)
        self._parts.log.decision(self._started, pool.name, facts, news=news)

    def _note(self, what: str, error: object | None) -> None:
        """Log the beginning and the end of a failure, and count it."""
        if error is None:
            self._parts.log.worked(self._started, what)
        else:
            self._parts.log.failed(self._started, what, error)
            self._parts.metrics.errors.labels(what).inc()

    def _seconds(self) -> float:
        """How long this pass has taken so far."""
        return self._parts.clock() - self._started
