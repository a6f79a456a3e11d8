"""The worker registry: reports of the workers and requests of the masters, in a database of its own on the broker.

Every entry expires. A worker that has failed disappears from the registry, and a worker whose cordon no master renews
takes tasks again. Every method raises `redis.RedisError` if the broker cannot be reached or refuses a command.

Tasks can write to this database, too. So only keys that our programs write are read, at most as many bytes as they
write are read, and an entry that cannot be read is ignored and reported
(docs/adr/0021-tolerate-what-tasks-write-to-the-broker.md).
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis

from airflow_node import broker_client, record

# The broker's own database is 0; the api-servers count logins in 1.
REGISTRY_DATABASE = 2
# Workers report every few seconds, masters renew their entries every ten.
REPORT_SECONDS = 30
CORDON_SECONDS = 60
GROUP_SECONDS = 60
# Long enough to replace a worker. After that, another worker of its pool may be ejected.
EJECTION_SECONDS = 900
# Boots are kept for as long as the pool's image and environment are likely to be the same.
BOOTS_KEPT = 20
BOOT_SECONDS_KEPT = 30 * 24 * 3600
# No instance is ready sooner, and one that takes longer has a fault, so its boot says nothing about others. A longer
# lead would launch workers for runs of tomorrow.
SHORTEST_BOOT_SECONDS = 10.0
LONGEST_BOOT_SECONDS = 1800.0
# Commands that are sent at a time, and keys that one scan looks at: the broker answers one command at a time.
BATCH = 1000
# A report has 150 bytes; those of later releases may be longer.
ENTRY_BYTES = 4096
# Raised by reading an entry that a task has written.
UNREADABLE = (TypeError, ValueError, OverflowError, RecursionError)

# Later releases may have states of their own. The state appears in log lines.
STATE = re.compile(r"[a-z][a-z-]{0,31}")


class WorkerState(StrEnum):
    """The states of a worker. `lifecycle/state_machine.py` has the transitions."""

    STARTING = "starting"
    WORKING = "working"
    # The value in the reports of earlier releases.
    CORDONED = "retired"
    """Takes no more tasks, finishes those it has, and can be uncordoned until it leaves."""
    UNAVAILABLE = "unavailable"
    """Takes no tasks, because they would fail on it. Works again when the reason ends, or is replaced."""
    NOT_CONSUMING = "not-consuming"
    """Should take tasks and does not. It is restarted when its last task has ended; until then it keeps its place."""
    LEAVING = "leaving"
    """Scales in by its own decision: it is stopped, and has nothing left to do."""
    DRAINING = "draining"
    """Must end: it finishes its tasks, and takes no others."""
    ENDED = "ended"
    """Auto Scaling has been informed that nothing runs on it any more. Reported as draining."""


# The state of a report that lacks one, as a report of another release may.
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class GroupSizes:
    """Sizes of an Auto Scaling group, in instances.

    Attributes:
        instances: all that it lists, including those that boot and those that still finish tasks before they end.
    """

    minimum: int
    maximum: int
    desired: int
    instances: int = 0

    def within(self, size: int) -> int:
        """The size, or the nearest one that the group may have."""
        return max(self.minimum, min(self.maximum, size))


@dataclass(frozen=True, kw_only=True)
class Report:
    """A worker's report. A default applies if a report of another release lacks the field.

    Attributes:
        state: a `WorkerState`, or a state of a later release.
        slots: tasks that it can run at a time.
        active: tasks that it runs or has reserved.
        idle_seconds: how long it has had no task.
        failed_at_once: number of tasks that failed at once in the last minutes.
        others: number of all other tasks of the last minutes, including those that have been running for a while.
    """

    instance: str
    pool: str
    state: str = UNKNOWN
    slots: int = 0
    active: int = 0
    idle_seconds: float = 0.0
    failed_at_once: int = 0
    others: int = 0


Entry = TypeVar("Entry")


class WorkerRegistry:
    """Reads and writes the registry. Instance ids and pool names must hold no colon and no wildcard."""

    def __init__(self, registry: Any, broker: Any) -> None:
        """Clients of `broker_client` for the registry's database and for the one with the queues."""
        self._registry = registry
        self._broker = broker
        self._faults: dict[str, str] = {}

    @classmethod
    def connect(cls, broker_url: str, *, timeout_seconds: float) -> WorkerRegistry:
        """The registry on this broker. Connects when first used; a command waits one time-out at most."""
        registry_url = urlsplit(broker_url)._replace(path=f"/{REGISTRY_DATABASE}").geturl()
        return cls(
            broker_client.connect(registry_url, timeout_seconds=timeout_seconds),
            broker_client.connect(broker_url, timeout_seconds=timeout_seconds),
        )

    def faults(self) -> dict[str, str]:
        """Why entries could not be read since the last call, by key."""
        found, self._faults = self._faults, {}
        return found

    def report(self, report: Report) -> None:
        """Store or renew a worker's report."""
        self._registry.set(_worker_key(report.pool, report.instance), json.dumps(asdict(report)), ex=REPORT_SECONDS)

    def reports(self, pool: str, instances: Collection[str]) -> list[Report]:
        """The reports of these instances of the pool, by instance id. Reports of other instances are not read."""
        keys = [_worker_key(pool, instance) for instance in sorted(instances)]
        texts = self._each(keys, REPORT_SECONDS, lambda pipeline, key: pipeline.getrange(key, 0, ENTRY_BYTES))
        read = [
            self._read(key, text, lambda text, key=key: _read_report(key, text))
            for key, text in zip(keys, texts, strict=True)
            if text
        ]
        return [report for report in read if report is not None]

    def cordon(self, pool: str, instances: Iterable[str]) -> None:
        """Have workers take no more tasks, for as long as this is renewed."""
        pipeline = self._registry.pipeline(transaction=False)
        for instance in instances:
            pipeline.set(_cordon_key(pool, instance), "1", ex=CORDON_SECONDS)
        pipeline.execute()

    def uncordon(self, pool: str, instances: Sequence[str]) -> None:
        """Have workers take tasks again."""
        if instances:
            self._registry.delete(*(_cordon_key(pool, instance) for instance in instances))

    def is_cordoned(self, pool: str, instance: str) -> bool:
        """Whether the worker is cordoned."""
        return bool(self._registry.exists(_cordon_key(pool, instance)))

    def cordoned(self, pool: str, instances: Collection[str]) -> frozenset[str]:
        """Those of the pool's instances that are cordoned; some may not have read it yet."""
        keys = [_cordon_key(pool, instance) for instance in instances]
        exist = self._each(keys, CORDON_SECONDS, lambda pipeline, key: pipeline.exists(key))
        return frozenset(instance for instance, there in zip(instances, exist, strict=True) if there)

    def note_unknown_instances(self, known: Mapping[str, Collection[str]]) -> None:
        """Add a fault for each report of an instance that its pool does not have, if one step of a scan finds it.

        `known`: the instances of each pool, by its name.
        """
        for key in self._some_keys(_worker_key("*", "*")):
            pool, _, instance = key.removeprefix("worker:").partition(":")
            if pool in known and instance not in known[pool]:
                self._faults[key] = "comes from no instance of the pool's group and is not counted"

    def some_reports(self, pool: str) -> list[Report]:
        """Reports of the pool, for a caller that does not have the list of its instances: a task may have forged some.

        One step of a scan finds all of them, except in a very large cluster or among very many forged ones.
        """
        prefix = _worker_key(pool, "")
        return self.reports(pool, {key.removeprefix(prefix) for key in self._some_keys(f"{prefix}*")})

    def eject(self, pool: str, instance: str) -> bool:
        """Whether this worker may take no tasks because they fail on it: one worker of a pool at a time."""
        key = f"outlier:{pool}"
        self._registry.set(key, instance, nx=True, ex=EJECTION_SECONDS)
        self._registry.expire(key, EJECTION_SECONDS, lt=True)
        return self._of_key(key, lambda: self._registry.getrange(key, 0, ENTRY_BYTES)) == instance

    def publish_group(self, pool: str, group: GroupSizes) -> None:
        """Store the group's sizes for its workers, which have no permission to read them from Auto Scaling."""
        self._registry.set(f"group:{pool}", json.dumps(asdict(group)), ex=GROUP_SECONDS)

    def group(self, pool: str) -> GroupSizes | None:
        """The group's sizes, as a master read them within the last minute; None if there are none that can be read."""
        key = f"group:{pool}"
        text = self._of_key(key, lambda: self._registry.getrange(key, 0, ENTRY_BYTES))
        return self._read(key, text, _read_group) if text else None

    def record_boot(self, pool: str, seconds: float) -> None:
        """Store how long a worker took from power-on to its first readiness."""
        key = f"boots:{pool}"
        pipeline = self._registry.pipeline()
        pipeline.lpush(key, f"{seconds:.1f}")
        pipeline.ltrim(key, 0, BOOTS_KEPT - 1)
        pipeline.expire(key, BOOT_SECONDS_KEPT)
        pipeline.execute()

    def boot_seconds(self, pool: str) -> float | None:
        """How long the pool's workers take to boot: the median of the last ones. None before the first.

        Entries that cannot be read are left out, and lengths that no boot has are limited. A key that can never be read
        again is deleted, because it would exist for ever.
        """
        key = f"boots:{pool}"
        texts = self._of_key(key, lambda: self._registry.lrange(key, 0, BOOTS_KEPT - 1))
        if texts is None:
            self._registry.unlink(key)
            self._faults[key] += ", and was deleted"
            return None
        read = [_read_boot(text) for text in texts]
        boots = [seconds for seconds in read if seconds is not None]
        if len(boots) < len(read):
            self._faults[key] = "holds an entry that is not a number of seconds"
        return statistics.median(boots) if boots else None

    def queue_length(self, queue: str) -> int:
        """Messages in a Celery queue that no worker has taken yet."""
        return self._of_key(queue, lambda: self._broker.llen(queue)) or 0

    def close(self) -> None:
        """Close the connections."""
        self._registry.close()
        self._broker.close()

    def _some_keys(self, pattern: str) -> list[str]:
        """The keys that one step of a scan finds."""
        step = self._of_key(pattern, lambda: self._registry.scan(match=pattern, count=BATCH))
        return step[1] if step else []

    def _each(self, keys: Sequence[str], seconds: int, ask: Callable[[Any, str], object]) -> list[Any]:
        """The answers for the keys, None for one that cannot be read.

        Every key is made to expire: a task may have written one that never does.
        """
        answers: list[Any] = []
        for start in range(0, len(keys), BATCH):
            pipeline = self._registry.pipeline(transaction=False)
            for key in keys[start : start + BATCH]:
                ask(pipeline, key)
                pipeline.expire(key, seconds, lt=True)
            answers += pipeline.execute(raise_on_error=False)[::2]
        return [self._or_fault(key, answer) for key, answer in zip(keys, answers, strict=True)]

    def _of_key(self, key: str, ask: Callable[[], Entry]) -> Entry | None:
        """The answer for one key, None if it cannot be read."""
        try:
            return ask()
        except redis.RedisError as error:
            return self._or_fault(key, error)

    def _or_fault(self, key: str, answer: Any) -> Any:
        if not isinstance(answer, redis.RedisError):
            return answer
        fault = broker_client.fault_of_key(answer)
        if fault is None:
            raise answer
        self._faults[key] = fault
        return None

    def _read(self, key: str, text: str, read: Callable[[str], Entry | None]) -> Entry | None:
        found = read(text)
        if found is None:
            self._faults[key] = f"cannot be read: {text[:60]!r}"
        return found


def _worker_key(pool: str, instance: str) -> str:
    return f"worker:{pool}:{instance}"


def _cordon_key(pool: str, instance: str) -> str:
    return f"retire:{pool}:{instance}"


def _read_report(key: str, text: str) -> Report | None:
    """The report; None if it is not valid. The key names the worker to which it belongs."""
    try:
        _, pool, instance = key.split(":")
        report = record.from_fields(Report, {"instance": instance, "pool": pool} | json.loads(text))
        counts = (report.slots, report.active, report.failed_at_once, report.others)
        numbers_are_sound = (
            all(isinstance(number, int) for number in counts)
            and math.isfinite(report.idle_seconds)
            and min(*counts, report.idle_seconds) >= 0
        )
        has_state = STATE.fullmatch(report.state) is not None
    except UNREADABLE:
        return None
    is_its_own = (report.pool, report.instance) == (pool, instance)
    return report if numbers_are_sound and has_state and is_its_own else None


def _read_group(text: str | bytes) -> GroupSizes | None:
    """The sizes; None if they are not valid."""
    try:
        group = record.from_fields(GroupSizes, json.loads(text))
    except UNREADABLE:
        return None
    sizes = (group.minimum, group.maximum, group.desired, group.instances)
    return group if all(isinstance(size, int) for size in sizes) else None


def _read_boot(text: str | bytes) -> float | None:
    """The length of a boot, limited to what a boot may take; None if it is not a number."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(SHORTEST_BOOT_SECONDS, min(LONGEST_BOOT_SECONDS, seconds)) if math.isfinite(seconds) else None
