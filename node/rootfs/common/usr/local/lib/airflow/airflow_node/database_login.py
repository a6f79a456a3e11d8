"""Whether PostgreSQL accepts the password in a connection URL."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict

from airflow_node import boot_step, log

CONNECT_SECONDS = 5


def refusal(url: str, variable: str) -> str | None:
    """The server's words if it refuses the password of an SQLAlchemy URL; None if it accepts it or is away.

    They are the same where the role does not exist. StepFailedError, which names the variable, if the URL is none.
    """
    conninfo = f"postgresql://{url.partition('://')[2]}"
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        # Not the error's own words: they quote the URL.
        raise boot_step.StepFailedError(
            f"{variable} is no connection URL; its user and password must be percent-encoded."
        ) from None
    try:
        psycopg.connect(conninfo, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        # libpq has no error code for this: https://www.postgresql.org/docs/current/libpq-status.html
        return log.one_line(error) if "authentication failed" in str(error) else None
    return None
