"""The client with which a node's programs read and write at the broker, beside Celery's own.

Every task knows the broker's URL, so anything may stand there: keys of another type, text that is none, or more than a
node's memory holds. A command never brings more than ANSWER_BYTES here.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.retry import Retry

# Two hundred of Airflow's messages are less than a megabyte, as are the reports of a thousand workers.
ANSWER_BYTES = 8 << 20


class AnswerTooLargeError(redis.RedisError):
    """There is more to read than any of ours has written. The connection is closed, and the next command opens it."""


def connect(url: str, *, timeout_seconds: float, retries: int = 0) -> Any:
    """A client that decodes its answers. Connects when first used.

    Certificates are checked as Airflow checks them: by the system's authorities, and by name. `retries` counts those
    after a lost connection; a time-out is never tried again, and a connection that was cut is opened anew without them.
    """
    secure = url.startswith("rediss:")
    # Any: the client's annotations are those of its asynchronous sister as well.
    return redis.Redis.from_url(
        url,
        connection_class=BoundedTlsConnection if secure else BoundedConnection,
        decode_responses=True,
        # One entry that is no text must not keep the others from being read.
        encoding_errors="replace",
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries, supported_errors=(redis.ConnectionError,)),
        **({"ssl_cert_reqs": "required"} if secure else {}),
    )


def fault_of_key(error: redis.RedisError) -> str | None:
    """What is wrong with the key that was asked for; None if it is the broker that does not answer, or refuses."""
    if isinstance(error, AnswerTooLargeError):
        return str(error)
    return "has a value of another type" if "WRONGTYPE" in str(error) else None


class BoundedConnection(Connection):
    """A connection whose answers have an end."""

    def _connect(self) -> Any:
        return _BoundedSocket(super()._connect())


class BoundedTlsConnection(SSLConnection):
    """The same with TLS."""

    def _connect(self) -> Any:
        return _BoundedSocket(super()._connect())


class _BoundedSocket:
    """Counts what comes back since something was sent."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._received = 0

    def sendall(self, data: Any) -> None:
        self._received = 0
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        data = self._socket.recv(size)
        self._received += len(data)
        if self._received > ANSWER_BYTES:
            raise AnswerTooLargeError(f"has more than {ANSWER_BYTES >> 20} MiB")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)
