"""Programs under the lock, against a real PostgreSQL and with real processes."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql

from tests.node import postgresql
from tests.node.programs import module

guarded_commands = module("database.guarded_commands")
database_lock = module("database.preparation_lock")
boot_step = module("airflow_node.boot_step")
retry = module("airflow_node.retry")

PASSWORD = "plain"
SECONDS = 30
CLIENT = "import psycopg, sys; psycopg.connect(dbname='postgres').execute(sys.argv[1])"
_numbers = itertools.count(1)


@dataclass
class Masters:
    """Two masters on one server, both with the admin's credentials, and Airflow's role."""

    server: postgresql.Server
    admin: str
    role: str
    pool: ThreadPoolExecutor
    held: list[psycopg.Connection] = field(default_factory=list)

    def hold(self) -> database_lock.DatabaseLock:
        """What `locked` yields; released at the end of the test."""
        connection = self.server.connect(self.admin, PASSWORD, "postgres")
        connection.execute("SELECT set_config('application_name', %s, false)", [database_lock.LOCK_APPLICATION])
        connection.execute("SELECT pg_advisory_lock(%s)", [database_lock.LOCK])
        self.held.append(connection)
        return database_lock.DatabaseLock(connection)

    def run(self, commands: guarded_commands.GuardedCommands, statement: str, **environment: str) -> Future[int]:
        """A running migration that consists of this statement."""
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGUSER": self.role, "PGPASSWORD": PASSWORD}
        variables = os.environ | place | {"PGAPPNAME": database_lock.STEP_APPLICATION} | environment
        return self.pool.submit(
            commands.run, "`airflow db migrate`", [sys.executable, "-c", CLIENT, statement], variables
        )

    def sessions(self) -> int:
        """How many statements of a migration the server is running."""
        with self.server.superuser() as root:
            rows = root.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state = 'active' AND usename = %s",
                [database_lock.STEP_APPLICATION, self.role],
            ).fetchall()
        return len(rows)

    def wait(self, until: Callable[[], object], what: str) -> None:
        """Wait until the condition holds."""
        end = retry.clock() + SECONDS
        while not until():
            assert retry.clock() < end, f"waited {SECONDS} s for {what}"


@pytest.fixture
def masters(server: postgresql.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Masters]:
    for variable in ("PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(guarded_commands, "LOOK_SECONDS", 0.05)
    number = next(_numbers)
    admin, role = f"guard{number}_admin", f"guard{number}"
    with server.superuser() as root:
        for name in (admin, role):
            statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            root.execute(statement.format(sql.Identifier(name), sql.Literal(PASSWORD)))
            root.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(name)))
        root.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(admin)))
        root.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(role)))
        root.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(role), sql.Identifier(role)))
    with ThreadPoolExecutor() as pool:
        found = Masters(server, admin, role, pool)
        yield found
        with server.superuser() as root:
            root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        for connection in found.held:
            connection.close()


def _end(masters: Masters, connection: psycopg.Connection) -> None:
    with masters.server.superuser() as root:
        root.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])


def test_a_migration_ends_when_the_lock_is_lost(masters: Masters):
    lock = masters.hold()
    migration = masters.run(guarded_commands.GuardedCommands(lock), "SELECT pg_sleep(600)")
    masters.wait(masters.sessions, "the migration")
    _end(masters, lock.connection)
    with pytest.raises(database_lock.LockLostError, match="terminating connection"):
        migration.result(SECONDS)


@pytest.mark.parametrize("look_seconds", [0.05, SECONDS], ids=["seen at once", "not seen before it has ended"])
def test_the_next_holder_ends_the_sessions_that_the_previous_one_has_left(
    masters: Masters, look_seconds: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(guarded_commands, "LOOK_SECONDS", look_seconds)
    lock = masters.hold()
    migration = masters.run(guarded_commands.GuardedCommands(lock), "SELECT pg_sleep(600)")
    masters.wait(masters.sessions, "the migration")
    _end(masters, lock.connection)
    masters.hold().end_sessions()
    assert masters.sessions() == 0, "two masters would work on the tables"
    with pytest.raises(database_lock.LockLostError):
        migration.result(SECONDS)


def test_a_migration_that_hangs_is_stopped_at_its_limit_and_leaves_nothing_on_the_server(masters: Masters):
    commands = guarded_commands.GuardedCommands(masters.hold(), limit_seconds=1.5)
    migration = masters.run(commands, "SELECT pg_sleep(600)")
    with pytest.raises(boot_step.StepFailedError, match="`airflow db migrate` has not finished within"):
        migration.result(SECONDS)
    assert masters.sessions() == 0


def test_a_migration_that_waits_for_a_table_names_the_session_that_keeps_it(
    masters: Masters, capsys: pytest.CaptureFixture[str]
):
    commands = guarded_commands.GuardedCommands(masters.hold())
    with masters.server.connect(masters.role, PASSWORD, "postgres") as notebook:
        notebook.execute("SET application_name = 'a notebook'")
        notebook.execute("BEGIN")
        notebook.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(masters.role)))
        migration = masters.run(
            commands, f"ALTER TABLE {masters.role} ADD note text DEFAULT 'a value'", PGOPTIONS="-c lock_timeout=2s"
        )
        assert migration.result(SECONDS) == 1, "the table is left to the others"
        keeper = f"session {notebook.info.backend_pid} of {masters.role} (a notebook, 127.0.0.1), idle in transaction"
    said = capsys.readouterr().out
    assert "`airflow db migrate` has been running for " in said
    assert keeper in said
    assert f"ALTER TABLE {masters.role} ADD note text DEFAULT (" in said
    assert "a value" not in said, "values may be secret"
    assert said.count("\n") == 1, "once, and then every minute"


def test_a_long_migration_logs_what_it_does(
    masters: Masters, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(guarded_commands, "PROGRESS_SECONDS", 0.5)
    migration = masters.run(guarded_commands.GuardedCommands(masters.hold()), "SELECT pg_sleep(2)")
    assert migration.result(SECONDS) == 0
    said = capsys.readouterr().out
    assert re.search(r"`airflow db migrate` has been running for \d+ s: SELECT pg_sleep\(2\) \(\d+ s\)\n", said), said
