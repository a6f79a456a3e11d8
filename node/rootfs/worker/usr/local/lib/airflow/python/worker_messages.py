"""Drops messages that are not Airflow's before Celery reads them.

Every task can write to the broker. Unexpected content of a message can make the worker's main process exit, and its
tasks with it. The message then returns to its queue and stops the next worker.
Celery imports this into the worker's main process, as one of its `imports`.
"""

from __future__ import annotations

import base64
import os
from functools import partial
from typing import Any

from celery.utils.log import get_logger
from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.json import loads
from kombu.utils.objects import cached_property

TASK = "execute_workload"
# Queues of Celery's remote control; no queue of a worker pool may have such a name.
CONTROL_SUFFIX = ".pidbox"
# The length of the column in the result database.
LONGEST_ID = 155
# Airflow's executor uses none of them. Some make the worker keep the message in its memory, others start tasks.
UNUSED_HEADERS = ("eta", "expires", "group", "shadow", "stamped_headers", "stamps", "compression")
TEXT_HEADERS = ("root_id", "parent_id", "argsrepr", "kwargsrepr", "origin")
ADDRESS = ("exchange", "routing_key")
# Raised by reading untrusted JSON: it may be nested too deeply, or name a type that does not fit its value.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
# Pool processes and tasks are forked from the process that imports this.
WORKER_PID = os.getpid()
UNUSED_TIME_LIMITS = (None, [], [None, None])

# The rest of a broadcast arrives within this time after its first bytes.
BROADCAST_SECONDS = 1.0

logger = get_logger(__name__)


class QoS(redis.QoS):
    """kombu's record of the messages that workers have taken."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back that was taken long ago. An entry that is not a message is deleted."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (TypeError, ValueError, AttributeError):
            logger.error("Dropped an entry from %s that is not a message: %.100r", self.unacked_key, tag)
            with self.channel.conn_or_acquire(client) as connection:
                self._remove_from_indices(tag, connection.pipeline()).execute()


class Channel(redis.Channel):
    """kombu's channel, which does not wait for a broadcast."""

    QoS = QoS

    @cached_property
    def subclient(self) -> Any:
        """The connection on which broadcasts arrive, such as those of the remote control.

        kombu reads from it without a time-out when its socket is readable. But TLS's own records make it readable too,
        especially after a reconnect. Then the worker's main process would wait for the next broadcast, and meanwhile
        consume nothing and not notice that tasks have ended.
        """
        found = self._create_client(asynchronous=True).pubsub()
        found.parse_response = partial(found.parse_response, block=False, timeout=BROADCAST_SECONDS)
        return found


class Transport(redis.Transport):
    """kombu's transport, which delivers only messages that Airflow may have sent."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if not _is_worker():
            super()._deliver(message, queue)
            return
        why = _fault_of_envelope(message)
        if why is None and not queue.endswith(CONTROL_SUFFIX):
            why = _fault_of_task(message)
        if why is None:
            super()._deliver(message, queue)
        else:
            logger.error("Dropped a message from %s that is not Airflow's: it has %s", queue, why)


def _fault_of_envelope(message: Any) -> str | None:
    """What is wrong with the parts that kombu reads; None if they are valid."""
    if not isinstance(message, dict):
        return "another form than a JSON object"
    properties, headers = message.get("properties"), message.get("headers")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return "no headers or no properties"
    delivery = properties.get("delivery_info")
    if not isinstance(delivery, dict) or not all(isinstance(delivery.get(key), str) for key in ADDRESS):
        return "no delivery_info"
    if not isinstance(properties.get("delivery_tag"), str) or not _is_number_or_none(properties.get("priority")):
        return "no delivery_tag, or no number as priority"
    form = (message.get("content-type"), message.get("content-encoding"), properties.get("body_encoding"))
    if form != ("application/json", "utf-8", "base64"):
        return "another form than JSON in UTF-8 in base64"
    return "a body that is not base64" if _content(message) is None else None


def _fault_of_task(message: Any) -> str | None:
    """What is wrong with the parts that Celery's main process reads; None if they are valid."""
    headers = message["headers"]
    if headers.get("task") != TASK:
        return f"another task than {TASK}"
    task_id = headers.get("id")
    if not isinstance(task_id, str) or not _is_plain(task_id):
        return f"an id that is not a text of 1 to {LONGEST_ID} printable ASCII characters"
    used = [name for name in UNUSED_HEADERS if headers.get(name)]
    if used or headers.get("retries") or headers.get("timelimit") not in UNUSED_TIME_LIMITS:
        return f"headers that Airflow does not send: {', '.join(used) or 'retries or timelimit'}"
    texts = [headers.get(name) for name in TEXT_HEADERS]
    texts += [message["properties"].get(name) for name in ("reply_to", "correlation_id")]
    if not all(text is None or isinstance(text, str) for text in texts):
        return "a header that is not a text"
    return None if _is_workload(_content(message)) else "a body that is not a workload"


def _is_plain(task_id: str) -> bool:
    return task_id.isascii() and task_id.isprintable() and 0 < len(task_id) <= LONGEST_ID


def _is_workload(content: Any) -> bool:
    try:
        arguments, options, more = loads(content)
        (text,) = arguments
        return isinstance(arguments, list) and isinstance(text, str) and options == {} and not any(more.values())
    except UNREADABLE:
        return False


def _content(message: Any) -> bytes | None:
    try:
        return base64.b64decode(message["body"])
    except (KeyError, TypeError, ValueError):
        return None


def _is_number_or_none(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _load(text: str) -> Any:
    """A message; None where kombu would raise."""
    try:
        return loads(text)
    except UNREADABLE:
        if not _is_worker():
            raise
        return None


def _is_worker() -> bool:
    """Whether this is the worker's main process, not a task, which may use another broker."""
    return os.getpid() == WORKER_PID


redis.loads = _load  # ty: ignore[invalid-assignment]
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
