from __future__ import annotations

from urllib.parse import quote

import pytest
from psycopg import sql

from tests.node.metadata import PASSWORD, Metadata
from tests.node.programs import load

renew_secrets = load("renew-secrets")
RESULTS = "postgresql+psycopg2://role:word@127.0.0.1:1/results"


def environment(dsn: str) -> dict[str, str]:
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": dsn,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{RESULTS}",
        "NODE_SECRETS": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=c/database-dsn AIRFLOW__CELERY__RESULT_BACKEND=c/results",
    }


def restarts(dsn: str, current: str) -> int:
    """How often the services restart when the secret holds this by now."""
    done: list[str] = []
    renew_secrets.renew(environment(dsn), lambda _: current, lambda: done.append("restart"))
    return len(done)


def change_password(metadata: Metadata, password: str) -> str:
    """Set another password, as the next master that boots does; returns the URL with it."""
    with metadata.server.superuser() as root:
        root.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(metadata.name), sql.Literal(password)))
    return metadata.url.replace(quote(PASSWORD, safe=""), quote(password, safe=""))


def test_a_master_whose_password_was_changed_takes_up_the_new_one(
    metadata: Metadata, capsys: pytest.CaptureFixture[str]
):
    new = change_password(metadata, "an%other")
    assert restarts(metadata.url, new) == 1
    said = capsys.readouterr().out
    assert "c/database-dsn" in said
    assert "other" not in said


def test_a_changed_secret_alone_restarts_nothing(metadata: Metadata):
    """Its password is not valid before the first new master has set it."""
    assert restarts(metadata.url, metadata.url.replace("@", "x@")) == 0


def test_a_master_that_has_the_current_password_already_is_not_restarted(metadata: Metadata):
    """It has booted just now, and is about to set it."""
    change_password(metadata, "by hand")
    assert restarts(metadata.url, metadata.url) == 0


def test_a_database_that_is_away_restarts_nothing():
    assert restarts("postgresql+psycopg2://role:word@127.0.0.1:1/airflow", "another") == 0
