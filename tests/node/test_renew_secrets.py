from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import sql

from tests.node.metadata import PASSWORD, Metadata
from tests.node.programs import load, module

postgresql = module("airflow_node.postgresql")
boot_step = module("airflow_node.boot_step")
renew_secrets = load("renew-secrets")
RESULTS = "postgresql+psycopg2://role:word@127.0.0.1:1/results"


def environment(dsn: str) -> dict[str, str]:
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": dsn,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{RESULTS}",
        "NODE_SECRETS": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=c/database-dsn AIRFLOW__CELERY__RESULT_BACKEND=c/results",
    }


def restarts(dsn: str, current: str) -> int:
    """How often the services are restarted when the secret now holds this."""
    done: list[str] = []
    renew_secrets.renew(environment(dsn), lambda _: current, lambda: done.append("restart"))
    return len(done)


def take_up(tmp_path: Path, systemctl: str) -> Path:
    """Switch to a changed secret, with substitutes for the programs; returns the file of secrets."""
    secrets, fetch, restart = tmp_path / "secrets.env", tmp_path / "fetch", tmp_path / "systemctl"
    secrets.write_text("old")
    fetch.write_text(f"#!/bin/sh\nprintf new >{secrets}\n")
    restart.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n{systemctl}\n')
    for program in (fetch, restart):
        program.chmod(0o700)

    def answers(*_: float) -> bool:
        with (tmp_path / "asked").open("a") as asked:
            asked.write("answered\n")
        return True

    command = (str(restart), *renew_secrets.RESTART[1:])
    renew_secrets.take_up(secrets, fetch=(str(fetch),), restart=command, answers=answers)
    return secrets


def change_password(metadata: Metadata, password: str) -> str:
    """Set another password, as the next master that boots does; returns the URL with it."""
    with metadata.server.superuser() as root:
        root.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(metadata.name), sql.Literal(password)))
    return metadata.url.replace(quote(PASSWORD, safe=""), quote(password, safe=""))


def test_a_master_whose_password_was_changed_restarts_its_services_with_the_new_one(
    metadata: Metadata, capsys: pytest.CaptureFixture[str]
):
    new = change_password(metadata, "an%other")
    assert restarts(metadata.url, new) == 1
    said = capsys.readouterr().out
    assert "c/database-dsn" in said
    assert "other" not in said


def test_a_changed_secret_alone_restarts_nothing(metadata: Metadata):
    """The new password is not valid until the first new master has set it."""
    assert restarts(metadata.url, metadata.url.replace("@", "x@")) == 0


def test_a_master_that_has_the_current_password_already_is_not_restarted(metadata: Metadata):
    """The new master has just booted, and is about to set the password."""
    change_password(metadata, "by hand")
    assert restarts(metadata.url, metadata.url) == 0


def test_an_outage_of_the_database_restarts_nothing():
    assert restarts("postgresql+psycopg2://role:word@127.0.0.1:1/airflow", "another") == 0


def test_a_new_password_restarts_services_and_leaves_the_database_step_alone(tmp_path: Path):
    """Another master may hold that step's lock for the hours of a migration: no service would start meanwhile."""
    assert take_up(tmp_path, "exit 0").read_text() == "new"
    first, answered, others = (tmp_path / "asked").read_text().splitlines()
    for asked in (first, others):
        assert asked.startswith("try-restart "), "what is stopped, or waits to start, reads the password by itself"
    assert (first, answered) == ("try-restart airflow-api-server.service", "answered"), (
        "a master that does not is replaced"
    )
    assert "airflow-scheduler.service" in others
    assert not {"airflow-database.service", "airflow-secrets.service"} & set(others.split()), "all services need these"


def test_services_that_could_not_be_restarted_are_restarted_in_the_next_run(tmp_path: Path):
    with pytest.raises(subprocess.CalledProcessError):
        take_up(tmp_path, "exit 1")
    assert (tmp_path / "secrets.env").read_text() == "old", "the next look has to find the refused password again"
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_an_invalid_url_is_reported_without_any_part_of_it():
    with pytest.raises(boot_step.StepFailedError) as raised:
        postgresql.refusal("postgresql+psycopg2://role:pass%zzword@127.0.0.1/airflow", "THE_VARIABLE")
    assert "THE_VARIABLE" in str(raised.value)
    assert "must be percent-encoded" in str(raised.value)
    assert "zz" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
