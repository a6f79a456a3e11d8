"""A chain that keeps the scheduler busy for about a minute, for faults to be injected into; no task may be retried."""

from __future__ import annotations

import time

from airflow.sdk import dag, task


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def steady():
    @task
    def step(number: int) -> int:
        print(f"step {number} is at work", flush=True)
        time.sleep(4)
        return number + 1

    number = step(0)
    for _ in range(8):
        number = step(number)


steady()
