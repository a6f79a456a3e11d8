"""The commands of docs/restoring-the-database.md that need no AWS, on a server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from tests.node import postgresql

PAGE = Path(__file__).parents[2] / "docs" / "restoring-the-database.md"
OWNER, PASSWORD = "tables_owner", "secret"
TABLES = "CREATE TABLE dag (id int PRIMARY KEY); CREATE TABLE run (dag int REFERENCES dag)"


def commands(heading: str) -> str:
    """The indented lines below a heading, as a script that stops at the first failure."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(["set -euo pipefail", *re.findall(r"^    (.*)$", section, re.MULTILINE)])


@pytest.fixture
def databases(server: postgresql.Server) -> Iterator[dict[str, str]]:
    """URLs of the database as it is now and of the restored one, both empty, for the owner of the tables."""
    names = ("now", "restored")
    with server.superuser() as admin:
        owner = sql.Identifier(OWNER)
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, sql.Literal(PASSWORD)))
        for name in names:
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner))
        yield {name: f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{server.port}/{name}" for name in names}
        for name in names:
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(owner))


def test_the_restored_tables_replace_those_of_now(server: postgresql.Server, databases: dict[str, str]):
    with server.connect(OWNER, PASSWORD, "restored") as restored, server.connect(OWNER, PASSWORD, "now") as now:
        for connection, dag in ((restored, 1), (now, 2)):
            connection.execute(TABLES)
            connection.execute("INSERT INTO dag VALUES (%s)", [dag])
        now.execute("CREATE TABLE later (dag int REFERENCES dag)")
    environment = {**os.environ, **databases, "PATH": f"{postgresql.programs()}:{os.environ['PATH']}"}
    copy = subprocess.run(
        ["bash", "-c", commands("4. Copy the tables back")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert copy.returncode == 0, copy.stderr
    with server.connect(OWNER, PASSWORD, "now") as now:
        assert now.execute("SELECT id FROM dag").fetchall() == [(1,)]
        tables = now.execute("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        assert tables.fetchall() == [("dag", OWNER), ("run", OWNER)], "a table of a later version is left"
