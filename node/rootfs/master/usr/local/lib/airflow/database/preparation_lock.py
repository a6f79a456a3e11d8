"""The lock under which one master at a time prepares the database.

It is an advisory lock of PostgreSQL: it belongs to a connection and is lost with it, for example after a failover. Then
the next master gets the lock, and this one must stop.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from airflow_node import log, retry
from airflow_node.boot_step import StepFailedError

from database import advisory_locks
from database.advisory_locks import PREPARE as LOCK

# Application names in pg_stat_activity: of the connection that holds the lock or waits for it, and of all connections
# that are opened under the lock.
LOCK_APPLICATION = "airflow-database-lock"
STEP_APPLICATION = "airflow-database-step"
# How often a master that waits for the lock, or runs a long command, logs that.
PROGRESS_SECONDS = 60
END_SECONDS = 60

_SESSIONS = """
SELECT step.query, extract(epoch FROM now() - step.query_start)::int,
       blocker.pid, blocker.usename, blocker.application_name, host(blocker.client_addr), blocker.state,
       extract(epoch FROM now() - blocker.state_change)::int
FROM pg_stat_activity AS step
LEFT JOIN LATERAL unnest(pg_blocking_pids(step.pid)) AS blocking (pid) ON true
LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
WHERE step.application_name = %s AND step.state = 'active'
"""
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


class LockLostError(Exception):
    """The lock was lost, and another master may hold it by now."""


@dataclass(frozen=True)
class Activity:
    """What the server does for the programs under the lock, as texts for the journal; empty if it does nothing.

    Attributes:
        statements: cut off before their first value, because values may be secret.
        blockers: the sessions whose locks they wait for.
    """

    statements: str
    blockers: str


class DatabaseLock:
    """The lock, held by `connection`: a query over this connection is proof that the lock is still held."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def check(self) -> None:
        """Raise LockLostError if the lock was lost. A session holds it until it ends, so any response is proof."""
        self._ask("SELECT 1")

    def activity(self) -> Activity:
        """What the statements under the lock do, and which sessions they wait for. Raises LockLostError."""
        rows = self._ask(_SESSIONS, STEP_APPLICATION)
        statements = {f"{_without_values(query)} ({seconds} s)" for query, seconds, *_ in rows}
        blockers = {
            f"session {pid} of {user} ({name or 'no application name'}, {address or 'local'}), {state} for {seconds} s"
            for _, _, pid, user, name, address, state, seconds in rows
            if pid is not None
        }
        return Activity("; ".join(sorted(statements)), "; ".join(sorted(blockers)))

    def end_sessions(self) -> None:
        """End sessions that were opened under the lock: by a holder that lost it, or a program that this node killed.

        The server continues a statement whose client is gone, and keeps its tables locked. Raises LockLostError.
        """
        end = retry.clock() + END_SECONDS
        while self._ask(_END_SESSIONS, STEP_APPLICATION):
            if retry.clock() > end:
                raise StepFailedError(f"sessions named {STEP_APPLICATION} do not end on the database's server.")
            retry.wait(0.1)

    def _ask(self, query: str, *values: object) -> list[tuple]:
        try:
            return self.connection.execute(query.encode(), values).fetchall()
        except psycopg.OperationalError as error:
            raise LockLostError(log.one_line(error)) from error


@contextmanager
def locked(connection: psycopg.Connection, progress_seconds: float = PROGRESS_SECONDS) -> Generator[DatabaseLock]:
    """Hold the lock. Waits without a limit while another master holds it, because the holder has a limit."""
    started = retry.clock()
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{progress_seconds * 1000:.0f}ms"])
    while True:
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            break
        except psycopg.errors.LockNotAvailable:
            waited = retry.clock() - started
            log.say(f"another master{_holder(connection)} prepares the database; waiting for {waited:.0f} s now")
    connection.execute("RESET lock_timeout")
    try:
        yield DatabaseLock(connection)
    finally:
        connection.close()


def is_held(connection: psycopg.Connection) -> bool:
    """Whether a master holds the lock; the connection may be to any database of the server."""
    return advisory_locks.is_held(connection, LOCK)


def _holder(connection: psycopg.Connection) -> str:
    address = advisory_locks.holder(connection, LOCK)
    return f" ({address})" if address else ""


def _without_values(query: str) -> str:
    return " ".join(query.partition("'")[0].split())[:80]
