"""The broker's client for the node's own programs. Celery uses another one.

Every task knows the broker's URL and may have written anything: keys of another type, bytes that are not text, or more
data than fits into a node's memory. So a response is limited to ANSWER_BYTES.
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
    """A response is longer than any that our programs cause. The connection is closed; the next command reconnects."""


def connect(url: str, *, timeout_seconds: float, retries: int = 0) -> Any:
    """A client that decodes responses. Connects when first used.

    Certificates are verified as Airflow does it: with the system's authorities and the host name. `retries`: how often
    a command is repeated after a lost connection. A command that timed out is not repeated. The next command reconnects
    in either case.
    """
    secure = url.startswith("rediss:")
    # Any: the annotations of redis-py also cover its asynchronous client.
    return redis.Redis.from_url(
        url,
        connection_class=BoundedTlsConnection if secure else BoundedConnection,
        decode_responses=True,
        # An entry that is not valid text must not prevent that the others are read.
        encoding_errors="replace",
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries, supported_errors=(redis.ConnectionError,)),
        **({"ssl_cert_reqs": "required"} if secure else {}),
    )


def fault_of_key(error: redis.RedisError) -> str | None:
    """What is wrong with the key that was read; None if the error is not about the key but about the broker."""
    if isinstance(error, AnswerTooLargeError):
        return str(error)
    return "has a value of another type" if "WRONGTYPE" in str(error) else None


class BoundedConnection(Connection):
    """A connection with a limit on the size of responses."""

    def _connect(self) -> Any:
        return _BoundedSocket(super()._connect())


class BoundedTlsConnection(SSLConnection):
    """The same with TLS."""

    def _connect(self) -> Any:
        return _BoundedSocket(super()._connect())


class _BoundedSocket:
    """Counts the bytes received since the last send."""

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
