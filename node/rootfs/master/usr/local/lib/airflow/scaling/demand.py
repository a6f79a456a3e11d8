"""What the cluster has to do now: its running and queued tasks by queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

# Queues without a pool that are told of.
MOST_UNSERVED = 20
# One query for all pools. The index on `state` (ti_state) leads to the few rows that are neither done nor waiting,
# however many millions are done. "queued" is the state of tasks that Airflow has given to Celery: the limits of its
# own pools, of the DAG and of the run let them pass. What such a limit holds back is "scheduled", and no worker would
# help it.
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
        """Tasks that run and came through one of the queues."""
        return sum(self.running.get(queue, 0) for queue in queues)

    def queued_in(self, queues: Iterable[str]) -> int:
        """Tasks that wait in one of the queues for a worker."""
        return sum(self.queued.get(queue, 0) for queue in queues)

    def unserved(self, served: Iterable[str]) -> dict[str, int]:
        """Waiting tasks by queue, of the queues that no pool consumes: they would wait for ever.

        Those with the most tasks: a DAG can name any number of queues, and each is a line of the log and a metric.
        """
        known = set(served)
        found = [(queue, count) for queue, count in sorted(self.queued.items()) if queue not in known]
        return dict(sorted(found, key=lambda one: -one[1])[:MOST_UNSERVED])


def read_demand(connection: psycopg.Connection) -> Demand:
    """Ask the metadata database."""
    tasks: dict[str, dict[str, int]] = {"running": {}, "queued": {}}
    for queue, state, count in connection.execute(QUERY):
        tasks[state][queue] = count
    return Demand(running=tasks["running"], queued=tasks["queued"])
