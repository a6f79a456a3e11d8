"""Connections to PostgreSQL: the metadata database, the result database, and the server's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from airflow_node import boot_step, log

# After a failover a connection may be dead without an error. With SHORT_TIMEOUTS that is noticed within some 20 s: for
# services, which reconnect in their next pass. With LONG_TIMEOUTS within a minute: for steps whose statements take
# long. Names and units are libpq's.
SHORT_TIMEOUTS: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
LONG_TIMEOUTS: dict[str, Any] = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def connect(conninfo: str = "", *, application: str, timeouts: dict[str, Any], **options: Any) -> psycopg.Connection:
    """A connection in which each statement is a transaction of its own. Raises psycopg.Error.

    `application` is its name in pg_stat_activity; `options` are libpq's.
    """
    return psycopg.connect(conninfo, autocommit=True, application_name=application, **timeouts, **options)


class KeptConnection:
    """One connection that is opened when first used, and reopened after it was lost."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None

    def get(self) -> psycopg.Connection:
        """The open connection. Raises psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connection_info(url: str, variable: str = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") -> str:
    """libpq's form of an SQLAlchemy URL, whose parts are percent-encoded in both.

    ValueError if it is invalid. The message names the variable and quotes nothing of the URL, which contains a
    password.
    """
    scheme, separator, rest = url.partition("://")
    conninfo = f"postgresql://{rest}"
    try:
        found = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        found = {}
    if not (separator and scheme.startswith("postgresql") and found.get("host") and found.get("dbname")):
        raise ValueError(
            f"{variable} must be a postgresql:// URL that names a host and a database;"
            " its user and password must be percent-encoded"
        )
    return conninfo


def refusal(url: str, variable: str) -> str | None:
    """The server's message if it refuses the password of an SQLAlchemy URL; None if it accepts it or does not answer.

    The message is the same if the role does not exist. Raises StepFailedError, which names the variable, if `url` is
    not a valid URL.
    """
    conninfo = f"postgresql://{url.partition('://')[2]}"
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        # Not with the error's own message, which quotes the URL.
        raise boot_step.StepFailedError(
            f"{variable} is not a connection URL; its user and password must be percent-encoded."
        ) from None
    try:
        connect(conninfo, application="airflow-password-check", timeouts=SHORT_TIMEOUTS).close()
    except psycopg.OperationalError as error:
        # libpq has no error code for this: https://www.postgresql.org/docs/current/libpq-status.html
        return log.one_line(error) if "authentication failed" in str(error) else None
    return None
