"""Reads Celery's messages in Redis without taking any. Names and forms are kombu's, of its Redis transport.

Tasks can write to the broker, too: entries that are not messages are ignored, keys that cannot be read are reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

import redis
from airflow_node import broker_client

from lost_tasks.search import Messages

UNACKED = "unacked"
# A queue has a list per priority; the first, without a suffix, is Airflow's.
PRIORITY_SUFFIXES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
# Messages per command: the broker executes one command at a time, and a message has a few kilobytes.
BATCH = 200
# Messages in a queue. A longer queue would mean some 30 MB for each pass of each master. Each scheduler of Airflow
# queues at most [core] parallelism tasks at a time.
LONGEST = 10_000
# The length of Airflow's column for a message's id, task_instance.external_executor_id.
ID_LENGTH = 250


class UnreadableError(Exception):
    """A key whose messages cannot be read. The message says why."""


class BrokerMessages:
    """The broker's messages. Every error is a `redis.RedisError`."""

    def __init__(self, client: Any) -> None:
        """A client of `broker_client`."""
        self._client = client
        self.unread: dict[str, str] = {}
        """What could not be read in the last pass: the reason by queue or other key."""

    @classmethod
    def connect(cls, broker_url: str, *, timeout_seconds: float) -> BrokerMessages:
        """The messages at a broker. Connects when first used."""
        return cls(broker_client.connect(broker_url, timeout_seconds=timeout_seconds, retries=1))

    def of(self, queues: Collection[str]) -> Messages:
        """The messages that wait in these queues, and those that any worker has taken. Too long queues are not read.

        They are read in this order, so that a message that is taken meanwhile is found twice rather than not at all.
        """
        self.unread = {}
        waiting = {queue: self._ids(queue, lambda queue=queue: self._waiting(queue)) for queue in sorted(queues)}
        taken = self._ids(UNACKED, self._taken)
        return Messages(
            waiting=set().union(*(ids for ids in waiting.values() if ids is not None)),
            taken=taken,
            unread=frozenset(queue for queue, ids in waiting.items() if ids is None),
        )

    def _ids(self, key: str, messages: Callable[[], Iterable[Any]]) -> set[str] | None:
        """The ids of the messages; None if they cannot be read."""
        try:
            return set(_ids(messages()))
        except UnreadableError as fault:
            self.unread[key] = str(fault)
        except redis.RedisError as error:
            fault = broker_client.fault_of_key(error)
            if fault is None:
                raise
            self.unread[key] = fault
        return None

    def _waiting(self, queue: str) -> Iterator[Any]:
        lists = [f"{queue}{suffix}" for suffix in PRIORITY_SUFFIXES]
        _refuse_more_than_longest(sum(self._client.llen(key) for key in lists))
        for key in lists:
            start = 0
            # New messages are inserted at the left and shift the others towards the part that is not read yet.
            while start <= 2 * LONGEST and (batch := self._client.lrange(key, start, start + BATCH - 1)):
                yield from map(_load, batch)
                start += BATCH

    def _taken(self) -> Iterator[Any]:
        _refuse_more_than_longest(self._client.hlen(UNACKED))
        for number, (_, text) in enumerate(self._client.hscan_iter(UNACKED, count=BATCH)):
            _refuse_more_than_longest(number // 2)
            taken = _load(text)
            # The entry also has the exchange and the routing key.
            yield taken[0] if isinstance(taken, list) and taken else None


def _refuse_more_than_longest(messages: int) -> None:
    if messages > LONGEST:
        raise UnreadableError(f"holds more than {LONGEST} messages")


def _load(text: str) -> Any:
    """The message; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _ids(messages: Iterable[Any]) -> Iterator[str]:
    for message in messages:
        with suppress(TypeError, LookupError):
            identity = message["headers"]["id"]
            if isinstance(identity, str) and len(identity) <= ID_LENGTH:
                yield identity
