"""This program's advisory locks in PostgreSQL. A session holds a lock until it releases it or ends.

A number is valid within one database. The numbers are defined together because two programs with the same number would
silently block each other.
"""

from __future__ import annotations

import psycopg

PREPARE = 3_301_017_551
"""Prepares Airflow's databases. In the server's own database; a migration under it may take hours."""
SCALE = 3_301_017_552
"""Scales the worker pools, for one pass."""
PRESENCE = 3_301_017_553
"""Shared by the scaling services of the masters that scale the worker pools, so that other masters can see that one of
them runs. Tasks have no access to this database, and so cannot take the lock."""
CLEAN_UP = 3_301_017_554
"""Deletes old rows."""

_HOLDER = """
SELECT host(client_addr)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %(number)s AND objsubid = 1
"""
_IN_THIS_DATABASE = "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"


def try_lock(connection: psycopg.Connection, number: int) -> bool:
    """Take the lock for this session, unless another one holds it."""
    return _is_true(connection, "SELECT pg_try_advisory_lock(%(number)s)", number)


def try_lock_for_transaction(connection: psycopg.Connection, number: int) -> bool:
    """Take the lock until this transaction ends, unless another session holds it."""
    return _is_true(connection, "SELECT pg_try_advisory_xact_lock(%(number)s)", number)


def share(connection: psycopg.Connection, number: int) -> None:
    """Hold the lock together with other sessions."""
    connection.execute("SELECT pg_advisory_lock_shared(%s)", [number])


def unshare(connection: psycopg.Connection, number: int) -> None:
    """Release a lock that was shared."""
    connection.execute("SELECT pg_advisory_unlock_shared(%s)", [number])


def is_held_here(connection: psycopg.Connection, number: int) -> bool:
    """Whether a session holds the lock in this connection's database."""
    return _is_true(connection, f"SELECT EXISTS ({_HOLDER} {_IN_THIS_DATABASE})", number)


def is_held(connection: psycopg.Connection, number: int) -> bool:
    """Whether a session holds the lock in any database of the server."""
    return _is_true(connection, f"SELECT EXISTS ({_HOLDER})", number)


def holder(connection: psycopg.Connection, number: int) -> str | None:
    """The address of the node that holds the lock in any database; None if it is free or hides that."""
    row = connection.execute(_HOLDER.encode(), {"number": number}).fetchone()
    return row[0] if row else None


def _is_true(connection: psycopg.Connection, query: str, number: int) -> bool:
    row = connection.execute(query.encode(), {"number": number}).fetchone()
    return row is not None and row[0]
