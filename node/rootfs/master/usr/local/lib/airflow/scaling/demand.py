"""The current demand: the running and queued tasks by queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

# How many queues without a pool are reported.
MOST_UNSERVED = 20
# One query for all pools. With the index on `state` (ti_state) it reads only the running and queued rows, however many
# millions are finished. "queued" is the state of tasks that Airflow has sent to Celery. A task that is held back by a
# limit of Airflow's pools, of its DAG or of its run is "scheduled", and another worker would not help it.
QUERY = """
SELECT coalesce(queue, ''), state, count(*)
FROM task_instance
WHERE state IN ('running', 'queued')
GROUP BY queue, state
"""


@dataclass(frozen=True)
class Demand:
    """Tasks by Celery queue."""

    running: Mapping[str, int]
    queued: Mapping[str, int]

    def running_in(self, queues: Iterable[str]) -> int:
        """Running tasks from these queues."""
        return sum(self.running.get(queue, 0) for queue in queues)

    def queued_in(self, queues: Iterable[str]) -> int:
        """Tasks that wait in these queues for a worker."""
        return sum(self.queued.get(queue, 0) for queue in queues)

    def unserved(self, served: Iterable[str]) -> dict[str, int]:
        """Waiting tasks by queue, for the queues that no pool consumes: these tasks would wait for ever.

        Only the queues with the most tasks: a DAG can name any number of queues, and each is a log line and a metric.
        """
        known = set(served)
        found = [(queue, count) for queue, count in sorted(self.queued.items()) if queue not in known]
        return dict(sorted(found, key=lambda one: -one[1])[:MOST_UNSERVED])


def read_demand(connection: psycopg.Connection) -> Demand:
    """Read the demand from the metadata database."""
    tasks: dict[str, dict[str, int]] = {"running": {}, "queued": {}}
    for queue, state, count in connection.execute(QUERY):
        tasks[state][queue] = count
    return Demand(running=tasks["running"], queued=tasks["queued"])
