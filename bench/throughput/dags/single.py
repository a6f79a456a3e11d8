"""One empty task."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(schedule=None, is_paused_upon_creation=False)
def single():
    @task
    def work() -> None: ...

    work()


single()
