"""The version to which the tables are migrated, and whether the Airflow of this node knows it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import psycopg
from airflow_node.boot_step import StepFailedError
from psycopg import sql

# Tables in which Airflow and its auth manager store their versions, and the folders of their migrations.
MIGRATIONS = {"alembic_version": "migrations/versions", "alembic_version_fab": "providers/fab/migrations/versions"}


class NewerTablesError(Exception):
    """A newer Airflow has migrated the tables. The message says what this master waits for."""


def current(metadata: psycopg.Connection) -> list[str]:
    """The versions that the tables are at; empty if a part of the tables is not there yet."""
    found = {table: _versions(metadata, table) for table in MIGRATIONS}
    return [version for versions in found.values() for version in versions] if all(found.values()) else []


def check(metadata: psycopg.Connection, package: Path) -> None:
    """NewerTablesError if the tables are at a version for which the Airflow in `package` has no migration."""
    for table, folder in MIGRATIONS.items():
        known = {
            revision
            for file in (package / folder).glob("*.py")
            for revision in re.findall(r'^revision\b[^=]*= *"(\w+)"', file.read_text(), re.MULTILINE)
        }
        unknown = [version for version in _versions(metadata, table) if known and version not in known]
        if unknown:
            raise NewerTablesError(
                f"{table} is at {unknown[0]}, which this node's Airflow does not know: a newer one has migrated the "
                "database. This master waits until it is replaced by one of the new version, or the database is "
                "downgraded or restored: docs/upgrading-airflow.md"
            )


def airflow_package() -> Path:
    """Where Airflow is installed, without importing it, which takes seconds."""
    spec = importlib.util.find_spec("airflow")
    if spec is None or spec.origin is None:
        raise StepFailedError("Airflow is not installed in this program's environment.")
    return Path(spec.origin).parent


def _versions(metadata: psycopg.Connection, table: str) -> list[str]:
    if metadata.execute("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", [table]).fetchone() is None:
        return []
    rows = metadata.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(table))).fetchall()
    return [version for (version,) in rows]
