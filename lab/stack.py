"""The stack's program, run with values that are as hard on quoting as AWS and PostgreSQL allow."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from engine.program import run_program
from engine.recording import Recording, Registration
from node import artifacts

RANDOM_PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105 - a type token
# Characters that mean something in URLs, shells, environment files, SQL, or to Airflow, which expands $NAME.
HOSTILE = "p%41@:/#?w& d'\"\\$HOME"
# ElastiCache takes letters, digits and these: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html
HOSTILE_TOKEN = "t!&#$^<>-$HOME"  # noqa: S105 - the form of a token


def record(stack: str, changes: Mapping[str, Any] | None = None, *, rds_authority: str = "") -> Recording:
    """Run the program of a stack as `pulumi up` would, with passwords that break code that does not quote them.

    `changes` replaces keys of the stack file.
    `rds_authority` (PEM) signs the database's certificate in the lab: it is added to the bundle that nodes get.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / artifacts.CA_BUNDLE.name
        bundle.write_text(artifacts.CA_BUNDLE.read_text() + rds_authority)
        with mock.patch.object(artifacts, "CA_BUNDLE", bundle):
            return run_program(stack, changes=changes, outputs={RANDOM_PASSWORD: hostile_password})


def hostile_password(registration: Registration) -> Mapping[str, Any]:
    """A hostile result for the passwords that travel in URLs; none for what a person types."""
    if registration.name.endswith(("database-password", "results-password")):
        return {"result": HOSTILE + secrets.token_hex(8)}
    if registration.name.endswith("auth-token"):
        return {"result": HOSTILE_TOKEN + secrets.token_hex(8)}
    return {}


def hostile_admin_password() -> str:
    """For the admin whose password RDS makes: any printable characters but `/`, `@`, `"` and blanks."""
    return "p%41:#?w&d'\\$HOME" + secrets.token_hex(8)
