"""The stack's program, run with secrets that contain every character that AWS and PostgreSQL allow."""

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
# Characters with a meaning in URLs, shells, environment files and SQL, and in Airflow, which expands $NAME.
HOSTILE = "p%41@:/#?w& d'\"\\$HOME"
# ElastiCache accepts letters, digits and these: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html
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
    """A hostile result for the passwords that are part of URLs; none for those that people type."""
    if registration.name.endswith(("database-password", "results-password")):
        return {"result": HOSTILE + secrets.token_hex(8)}
    if registration.name.endswith("auth-token"):
        return {"result": HOSTILE_TOKEN + secrets.token_hex(8)}
    return {}


def hostile_admin_password() -> str:
    """Like the admin password that RDS makes: any printable characters except `/`, `@`, `"` and blanks."""
    return "p%41:#?w&d'\\$HOME" + secrets.token_hex(8)
