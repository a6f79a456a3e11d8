"""The metadata database as a master's own services see it: a connection, and turns that exclude each other."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from database.advisory_locks import PRESENCE
from database.advisory_locks import SCALE as LOCK
from psycopg.conninfo import conninfo_to_dict

IS_PRESENT = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""
CONNECT_SECONDS = 5
# Milliseconds. The second frees the lock of a master that is gone without a word; it is longer than any pass.
STATEMENT_TIMEOUT = 8_000
IDLE_TIMEOUT = 90_000


class MetadataDatabase:
    """Reads Airflow's tables, and can write nothing.

    Every error is a `psycopg.Error`. A connection that was lost is made anew in the next turn.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.Connection | None = None
        self._is_present = False

    @contextmanager
    def turn(self) -> Generator[psycopg.Connection | None]:
        """A transaction that no other master has at the same time; None if another one has it now."""
        connection = self._connected()
        with connection.transaction():
            yield connection if _has_lock(connection) else None

    def show_presence(self, present: bool) -> None:
        """Show the other masters that this one scales the pools, until it does not any more or its connection is gone.

        In a turn or outside of it. A session holds such a lock as often as it has asked for it.
        """
        connection = self._connected()
        if present != self._is_present:
            verb = "pg_advisory_lock_shared" if present else "pg_advisory_unlock_shared"
            connection.execute(f"SELECT {verb}(%s)", [PRESENCE])
            self._is_present = present

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._conninfo, name="airflow-scaling")
            self._is_present = False
        return self._connection


def connect(conninfo: str, *, name: str) -> psycopg.Connection:
    """A connection that can write nothing, and that notices within seconds if its peer is gone.

    `name` is its application name in PostgreSQL.
    """
    connection = psycopg.connect(
        conninfo,
        autocommit=True,
        application_name=name,
        connect_timeout=CONNECT_SECONDS,
        # A failover may leave a connection whose peer is gone.
        tcp_user_timeout=10_000,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=2,
        # JIT compilation takes longer than these queries.
        options=f"-c statement_timeout={STATEMENT_TIMEOUT} -c jit=off"
        f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT}",
    )
    connection.read_only = True
    return connection


def connection_info(url: str, variable: str = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") -> str:
    """libpq's form of an SQLAlchemy URL, whose parts are percent-encoded in both.

    ValueError if it is not one. The message names the variable and quotes nothing of the URL, which holds a password.
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


def is_scaled(connection: psycopg.Connection) -> bool:
    """Whether a scaling service shows its presence."""
    row = connection.execute(IS_PRESENT, [PRESENCE]).fetchone()
    return row is not None and row[0]


def _has_lock(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK]).fetchone()
    return row is not None and row[0]
