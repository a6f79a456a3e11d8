"""Whether PostgreSQL accepts the password in a connection URL."""

from __future__ import annotations

import boot_step
import psycopg

CONNECT_SECONDS = 5


def refusal(url: str) -> str | None:
    """The server's words if it refuses the password of an SQLAlchemy URL; None if it accepts it or is away.

    They are the same where the role does not exist.
    """
    try:
        psycopg.connect(f"postgresql://{url.partition('://')[2]}", connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        # libpq gives no code for it: https://www.postgresql.org/docs/current/libpq-status.html
        return boot_step.one_line(error) if "authentication failed" in str(error) else None
    return None
