"""A master's read-only connection to the metadata database, and the lock under which one master at a time scales."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from airflow_node import postgresql
from airflow_node.postgresql import KeptConnection
from database import advisory_locks
from database.advisory_locks import PRESENCE
from database.advisory_locks import SCALE as LOCK

# Milliseconds. The second one releases the lock of a master that has failed; it is longer than any pass.
STATEMENT_TIMEOUT = 8_000
IDLE_TIMEOUT = 90_000


class MetadataDatabase:
    """Reads Airflow's tables; cannot write.

    Every error is a `psycopg.Error`. The next turn reconnects.
    """

    def __init__(self, conninfo: str) -> None:
        self._kept = KeptConnection(lambda: self._connect(conninfo))
        self._is_present = False

    @contextmanager
    def turn(self) -> Generator[psycopg.Connection | None]:
        """A transaction under the lock; None if another master holds it."""
        connection = self._kept.get()
        with connection.transaction():
            yield connection if advisory_locks.try_lock_for_transaction(connection, LOCK) else None

    def show_presence(self, present: bool) -> None:
        """Show the other masters whether this one scales the pools. A lost connection ends the presence as well.

        Works inside a turn and outside. PostgreSQL counts how often a session takes such a lock, so it is taken once.
        """
        connection = self._kept.get()
        if present != self._is_present:
            change = advisory_locks.share if present else advisory_locks.unshare
            change(connection, PRESENCE)
            self._is_present = present

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()

    def _connect(self, conninfo: str) -> psycopg.Connection:
        self._is_present = False
        return connect(conninfo, name="airflow-scaling")


def connect(conninfo: str, *, name: str) -> psycopg.Connection:
    """A connection that cannot write, and that notices within seconds if the server is gone.

    `name` is its application name in PostgreSQL.
    """
    connection = postgresql.connect(
        conninfo,
        application=name,
        timeouts=postgresql.SHORT_TIMEOUTS,
        # JIT compilation takes longer than these queries.
        options=f"-c statement_timeout={STATEMENT_TIMEOUT} -c jit=off"
        f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT}",
    )
    connection.read_only = True
    return connection


def is_scaled(connection: psycopg.Connection) -> bool:
    """Whether a scaling service of any master shows its presence."""
    return advisory_locks.is_held_here(connection, PRESENCE)
