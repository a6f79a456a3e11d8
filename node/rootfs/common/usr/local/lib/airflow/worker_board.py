"""The worker board: what workers and masters tell each other, in a database of its own on the broker.

Everything on it expires. A worker that dies is off the board by itself, and one that was retired by a master which
is gone goes back to work. Every method raises `redis.RedisError` when the broker cannot be reached or refuses.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import record
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from scaling.pool import UNKNOWN, Group

# The broker's own database is 0; the api-servers count logins in 1.
BOARD_DATABASE = 2
# Workers report every few seconds, masters renew what they said every ten.
REPORT_SECONDS = 30
RETIREMENT_SECONDS = 60
GROUP_SECONDS = 60
# Time to replace a worker. Only then may the next one of its pool be taken out of work for its tasks' failures.
EJECTION_SECONDS = 900
# A pool's boots are worth knowing for as long as its image and environment are likely to be the same.
BOOTS_KEPT = 20
BOOT_SECONDS_KEPT = 30 * 24 * 3600
# No instance is ready sooner, and one that takes longer has something wrong with it: no measure for the others.
# A lead beyond any boot would launch workers for runs of tomorrow.
SHORTEST_BOOT_SECONDS = 10.0
LONGEST_BOOT_SECONDS = 1800.0
# Keys per command, so that no command holds the broker up: it answers one at a time.
BATCH = 1000
# What reading an entry raises that nobody of ours has written: what runs as a task can write to the broker, too.
UNREADABLE = (TypeError, ValueError, OverflowError, RecursionError)

# Later releases may have states of their own. The word goes into log lines.
STATE = re.compile(r"[a-z][a-z-]{0,31}")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a worker says about itself. The defaults are what the report of another release means that lacks a field.

    Attributes:
        state: one of those in `scaling.pool`, or of a later release.
        slots: tasks that it can run at a time.
        active: tasks that it runs or has reserved.
        idle_seconds: how long it has had none.
        failed_at_once: tasks of the last minutes that did.
        others: all others of the last minutes, those included that have run for a while.
    """

    instance: str
    pool: str
    state: str = UNKNOWN
    slots: int = 0
    active: int = 0
    idle_seconds: float = 0.0
    failed_at_once: int = 0
    others: int = 0


class WorkerBoard:
    """The board as one process sees it. Instance ids and pool names hold no colon and no wildcard."""

    def __init__(self, board: redis.Redis, broker: redis.Redis) -> None:
        """Clients that decode their answers: of the board's database, and of the one with the queues."""
        self._board = board
        self._broker = broker

    @classmethod
    def connect(cls, broker_url: str, *, timeout_seconds: float) -> WorkerBoard:
        """The board beside the broker. Connects when first used; a command waits one time-out at most.

        Certificates are checked as Airflow checks them: by the system's authorities, and by name.
        """
        parts = urlsplit(broker_url)
        return cls(
            _client(parts._replace(path=f"/{BOARD_DATABASE}").geturl(), timeout_seconds),
            _client(broker_url, timeout_seconds),
        )

    def report(self, report: Report) -> None:
        """Put a worker on the board, or renew it."""
        self._board.set(_worker_key(report.pool, report.instance), json.dumps(asdict(report)), ex=REPORT_SECONDS)

    def reports(self, pool: str | None = None) -> list[Report]:
        """The workers of one pool or of all, by instance id. A report that cannot be read is left out."""
        pattern = _worker_key(pool or "*", "*")
        # A scan may return a key twice.
        keys = sorted(set(self._board.scan_iter(match=pattern, count=BATCH)))
        pipeline = self._board.pipeline(transaction=False)
        for start in range(0, len(keys), BATCH):
            pipeline.mget(keys[start : start + BATCH])
        texts = [text for some in pipeline.execute() for text in some]
        found = [_read_report(key, text) for key, text in zip(keys, texts, strict=True) if text is not None]
        return sorted((report for report in found if report is not None), key=lambda report: report.instance)

    def retire(self, pool: str, instances: Iterable[str]) -> None:
        """Ask workers to take no more tasks, for as long as this is renewed."""
        pipeline = self._board.pipeline(transaction=False)
        for instance in instances:
            pipeline.set(_retirement_key(pool, instance), "1", ex=RETIREMENT_SECONDS)
        pipeline.execute()

    def recall(self, pool: str, instances: Sequence[str]) -> None:
        """Take workers back into work."""
        if instances:
            self._board.delete(*(_retirement_key(pool, instance) for instance in instances))

    def is_retired(self, pool: str, instance: str) -> bool:
        """Whether the worker shall take no more tasks."""
        return bool(self._board.exists(_retirement_key(pool, instance)))

    def retirements(self) -> frozenset[tuple[str, str]]:
        """Pool and instance of each worker that shall take no more tasks; some may not have learnt it yet."""
        keys = self._board.scan_iter(match=_retirement_key("*", "*"), count=BATCH)
        names = (key.split(":") for key in keys)
        return frozenset((name[1], name[2]) for name in names if len(name) == 3)

    def eject(self, pool: str, instance: str) -> bool:
        """Whether this worker may go out of work for its tasks' failures: one of a pool at a time."""
        key = f"outlier:{pool}"
        self._board.set(key, instance, nx=True, ex=EJECTION_SECONDS)
        try:
            return self._board.get(key) == instance
        except redis.ResponseError:
            # No text: what runs as a task has written it.
            return False

    def publish_group(self, pool: str, group: Group) -> None:
        """Tell the workers their group's sizes: they may not ask Auto Scaling."""
        self._board.set(f"group:{pool}", json.dumps(asdict(group)), ex=GROUP_SECONDS)

    def group(self, pool: str) -> Group | None:
        """The pool's group as a master saw it within the last minute; None if none did, or it cannot be read."""
        text = self._board.get(f"group:{pool}")
        return None if text is None else _read_group(text)

    def note_boot(self, pool: str, seconds: float) -> None:
        """Note how long a worker took from power-on to its first readiness."""
        key = f"boots:{pool}"
        pipeline = self._board.pipeline()
        pipeline.lpush(key, f"{seconds:.1f}")
        pipeline.ltrim(key, 0, BOOTS_KEPT - 1)
        pipeline.expire(key, BOOT_SECONDS_KEPT)
        pipeline.execute()

    def boot_seconds(self, pool: str) -> float | None:
        """How long the pool's workers take to boot: the median of the last ones. None before the first.

        What cannot be read is left out, what no boot takes is cut.
        """
        read = [_read_boot(text) for text in self._board.lrange(f"boots:{pool}", 0, BOOTS_KEPT - 1)]
        boots = [seconds for seconds in read if seconds is not None]
        return statistics.median(boots) if boots else None

    def queue_length(self, queue: str) -> int:
        """Messages in a Celery queue that no worker has taken."""
        return self._broker.llen(queue)

    def close(self) -> None:
        """Close the connections."""
        self._board.close()
        self._broker.close()


def _client(url: str, timeout_seconds: float) -> Any:
    # Any: the client's annotations are those of its asynchronous sister as well.
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        # One entry that is no text must not keep the others from being read.
        encoding_errors="replace",
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # The client's own would repeat a time-out three times. A connection that was cut is opened anew without it.
        retry=Retry(NoBackoff(), 0),
        **({"ssl_cert_reqs": "required"} if url.startswith("rediss:") else {}),
    )


def _worker_key(pool: str, instance: str) -> str:
    return f"worker:{pool}:{instance}"


def _retirement_key(pool: str, instance: str) -> str:
    return f"retire:{pool}:{instance}"


def _read_report(key: str, text: str) -> Report | None:
    """A report, unless it is none. Whose it is stands in the key."""
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


def _read_group(text: str | bytes) -> Group | None:
    """A group, unless it is none."""
    try:
        group = record.from_fields(Group, json.loads(text))
    except UNREADABLE:
        return None
    sizes = (group.minimum, group.maximum, group.desired, group.instances)
    return group if all(isinstance(size, int) for size in sizes) else None


def _read_boot(text: str | bytes) -> float | None:
    """A boot's length, within what a boot may take."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(SHORTEST_BOOT_SECONDS, min(LONGEST_BOOT_SECONDS, seconds)) if math.isfinite(seconds) else None
