"""Reads Celery's messages in Redis without taking any. Names and forms are kombu's, of its Redis transport."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

import redis
from lost_tasks import Messages
from redis.backoff import NoBackoff
from redis.retry import Retry

UNACKED = "unacked"
# A queue has a list per priority; the first, without a suffix, is Airflow's.
PRIORITY_SUFFIXES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
# Per command: the broker answers one at a time, and a message has a few kilobytes.
BATCH = 200
# Messages in a queue. A longer one would be some 30 MB for each look of each master. Airflow itself queues no more than
# [core] parallelism at a time, for each of its schedulers.
LONGEST = 10_000


class BrokerMessages:
    """The broker's messages. Every error is a `redis.RedisError`."""

    def __init__(self, client: redis.Redis) -> None:
        """A client that decodes its answers."""
        self._client: Any = client
        self.unread: frozenset[str] = frozenset()
        """The queues that were too long at the last look."""

    @classmethod
    def connect(cls, broker_url: str, *, timeout_seconds: float) -> BrokerMessages:
        """The messages at a broker. Connects when first used."""
        secure = {"ssl_cert_reqs": "required"} if broker_url.startswith("rediss:") else {}
        return cls(
            redis.Redis.from_url(
                broker_url,
                decode_responses=True,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
                **secure,
            )
        )

    def of(self, queues: Collection[str]) -> Messages:
        """The messages that wait in these queues, and those that any worker has taken; too long a queue is not read.

        In this order: one that is taken meanwhile is seen twice and not never.
        """
        self.unread = frozenset(queue for queue in queues if self._length(queue) > LONGEST)
        read = [queue for queue in queues if queue not in self.unread]
        waiting = _ids(message for queue in read for message in self._waiting(queue))
        return Messages(waiting=waiting, taken=_ids(self._taken()), unread=self.unread)

    def _length(self, queue: str) -> int:
        return sum(self._client.llen(f"{queue}{suffix}") for suffix in PRIORITY_SUFFIXES)

    def _waiting(self, queue: str) -> Iterator[Any]:
        for suffix in PRIORITY_SUFFIXES:
            start = 0
            # New messages come in at the left and move the others on to where they are still to be read.
            while batch := self._client.lrange(f"{queue}{suffix}", start, start + BATCH - 1):
                yield from map(_load, batch)
                start += BATCH

    def _taken(self) -> Iterator[Any]:
        for _, text in self._client.hscan_iter(UNACKED, count=BATCH):
            taken = _load(text)
            # With the exchange and the routing key that it goes back to.
            yield taken[0] if isinstance(taken, list) and taken else None


def _load(text: str) -> Any:
    """A message, or nothing: what runs as a task can write to the broker, too."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _ids(messages: Iterable[Any]) -> set[str]:
    ids: set[str] = set()
    for message in messages:
        with suppress(TypeError, LookupError):
            ids.add(str(message["headers"]["id"]))
    return ids
