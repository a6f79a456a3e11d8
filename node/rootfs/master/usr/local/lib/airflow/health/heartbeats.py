"""The heartbeats that Airflow's services write to the metadata database."""

from __future__ import annotations

from collections.abc import Hashable

from airflow_node.postgresql import KeptConnection
from database import preparation_lock
from scaling.metadata_database import connect

from health.services import JOB_TYPES

NEWEST = """
    SELECT DISTINCT ON (job_type) job_type, extract(epoch FROM now() - latest_heartbeat), id, latest_heartbeat FROM job
    WHERE hostname = %(host)s AND job_type = ANY(%(types)s) AND latest_heartbeat IS NOT NULL
    ORDER BY job_type, latest_heartbeat DESC
"""
# A service in a restart loop has new heartbeats too, but none much later than its start.
OTHERS = """
    SELECT hostname FROM job
    WHERE hostname <> %(host)s AND job_type = ANY(%(types)s)
      AND latest_heartbeat > now() - make_interval(secs => 60)
      AND latest_heartbeat > start_date + make_interval(secs => 600)
    GROUP BY hostname HAVING count(DISTINCT job_type) = %(number)s
"""


class Heartbeats:
    """The heartbeats of one host. Every error is a `psycopg.Error`; the next call connects again."""

    def __init__(self, conninfo: str, host: str) -> None:
        self._kept = KeptConnection(lambda: connect(conninfo, name="airflow-health"))
        self._host = host
        self.ages: dict[str, float] = {}
        """Seconds since each service's newest heartbeat when it was last read, by the database's clock."""

    def read(self) -> dict[str, Hashable]:
        """The newest heartbeat of each service, with the id of its job."""
        values = {"host": self._host, "types": list(JOB_TYPES.values())}
        rows = self._kept.get().execute(NEWEST, values).fetchall()
        ages, newest = {row[0]: float(row[1]) for row in rows}, {row[0]: row[2:] for row in rows}
        self.ages = {service: ages[job] for service, job in JOB_TYPES.items() if job in ages}
        return {service: newest[job] for service, job in JOB_TYPES.items() if job in newest}

    def is_database_being_prepared(self) -> bool:
        """Whether a master is migrating the database, or checking whether it has to."""
        return preparation_lock.is_held(self._kept.get())

    def has_sound_peer(self) -> bool:
        """Whether all of these services have been working on another master for some minutes."""
        values = {"host": self._host, "types": list(JOB_TYPES.values()), "number": len(JOB_TYPES)}
        return self._kept.get().execute(OTHERS, values).fetchone() is not None

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()
