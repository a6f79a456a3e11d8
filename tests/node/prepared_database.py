"""One Airflow cluster on the tests' server, with an admin as RDS has it, and the step that prepares its database."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.node import postgresql
from tests.node.programs import load

prepare_database = load("prepare-database")

HOSTILE = "p%41@:/#?w& d'\"`$HOME\\é"
ADMIN_PASSWORD = "adm%'\"\\ $x"
numbers = itertools.count(1)


@dataclass
class Cluster:
    """One Airflow cluster on the server, with its own names and an admin without superuser rights, as on RDS."""

    server: postgresql.Server
    name: str
    password: str = HOSTILE
    overlaps: list[str] = field(default_factory=list)
    commands: list[Sequence[str]] = field(default_factory=list)
    stdin: list[str | None] = field(default_factory=list)
    exit_codes: dict[str, int] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    """The commands during which the lock is lost, once each."""
    changed_secrets: dict[str, str] = field(default_factory=dict)
    """The current values of secrets that have changed since this master read them."""
    package: Path = Path("/nonexistent")
    busy: threading.Lock = field(default_factory=threading.Lock)

    def environment(self, **changes: str) -> dict[str, str]:
        """The variables of the unit."""
        place = f"127.0.0.1:{self.server.port}"
        secret = quote(self.password, safe="")
        admin = {"host": "127.0.0.1", "port": self.server.port, "username": self.admin, "password": ADMIN_PASSWORD}
        return {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{self.name}:{secret}@{place}/{self.name}",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{self.results}:{secret}2@{place}/{self.results}",
            "NODE_DATABASE_ADMIN": json.dumps(admin),
            "NODE_ADMIN_PASSWORD": "first admin's",
            "NODE_CLUSTER": "airflow-prod",
            "NODE_ARTIFACTS": "0000/airflow.txt",
            "NODE_SECRETS": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow-prod/database-dsn"
            " AIRFLOW__CELERY__RESULT_BACKEND=airflow-prod/result-backend",
        } | changes

    @property
    def admin(self) -> str:
        return f"{self.name}_admin"

    @property
    def results(self) -> str:
        return f"{self.name}_results"

    def airflow(self, arguments: Sequence[str], stdin: str | None = None, *, commands: object = None) -> int:
        """Airflow's command line. Its migration, like the real one, fails if two run at a time."""
        assert commands is not None, "the real one is run by them"
        if not self.busy.acquire(blocking=False):
            self.overlaps.append(" ".join(arguments))
            return 1
        with self.server.superuser(self.name) as database:
            try:
                self.commands.append(arguments)
                self.stdin.append(stdin)
                if arguments[0] in self.losses:
                    self.losses.remove(arguments[0])
                    assert self.lose_lock()
                return self.exit_codes.get(arguments[0]) or self._run(database, arguments)
            finally:
                self.busy.release()

    def _run(self, database: psycopg.Connection, arguments: Sequence[str]) -> int:
        if arguments[0] == "db":
            for table in ("alembic_version", "alembic_version_fab"):
                database.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (version_num text)").format(identifier(table)))
                database.execute(sql.SQL("GRANT ALL ON {} TO {}").format(identifier(table), identifier(self.name)))
                if not database.execute(sql.SQL("SELECT 1 FROM {}").format(identifier(table))).fetchone():
                    database.execute(sql.SQL("INSERT INTO {} VALUES ('abc')").format(identifier(table)))
            database.execute("CREATE TABLE IF NOT EXISTS ab_role (id int, name text)")
            database.execute("CREATE TABLE IF NOT EXISTS ab_user_role (user_id int, role_id int)")
            database.execute(sql.SQL("GRANT ALL ON ab_role, ab_user_role TO {}").format(identifier(self.name)))
        elif arguments[0] == "sync-perm":
            database.execute("INSERT INTO ab_role VALUES (1, 'Admin')")
        elif arguments[0] == "users":
            database.execute("INSERT INTO ab_user_role VALUES (1, 1)")
        return 0

    def lose_lock(self) -> int:
        """End the connection that holds the lock, as a failover does; returns how many were ended."""
        with self.server.superuser() as root:
            ended = root.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid IN"
                " (SELECT pid FROM pg_stat_activity WHERE usename = %s)",
                [self.admin],
            ).fetchall()
        return len(ended)

    def prepare(self, **changes: str) -> str:
        """Run the step."""
        environment = self.environment(**changes)
        variables = {
            secret: name for name, _, secret in (i.partition("=") for i in environment["NODE_SECRETS"].split())
        }

        def read(secret: str) -> str:
            return self.changed_secrets.get(secret, environment[variables[secret]])

        return prepare_database.prepare(environment, self.airflow, read, lambda: self.package)

    @contextmanager
    def lock(self) -> Generator[Any]:
        """The lock, as a master holds it."""
        admin = prepare_database.Account(self.admin, ADMIN_PASSWORD, "127.0.0.1", self.server.port, "postgres")
        connection = prepare_database.connect(admin, application=prepare_database.LOCK_APPLICATION)
        with prepare_database.locked(connection) as lock:
            yield lock

    def opens(self, user: str, password: str, database: str) -> bool:
        """Whether the password opens the database."""
        try:
            self.server.connect(user, password, database).close()
        except psycopg.OperationalError:
            return False
        return True


def identifier(text: str) -> sql.Identifier:
    return sql.Identifier(text)


def add_migration(package: Path, revision: str, folder: str = "migrations/versions") -> None:
    """A migration of the installed Airflow."""
    (package / folder).mkdir(parents=True, exist_ok=True)
    (package / folder / f"0001_{revision}.py").write_text(f'# It\'s a revision.\nrevision = "{revision}"\n')
