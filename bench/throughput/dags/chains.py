"""Four chains of five empty tasks. The DAG is named after its file, of which the benchmark publishes many copies."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import chain, dag, task


@dag(dag_id=Path(__file__).stem, schedule=None, is_paused_upon_creation=False)
def chains():
    @task
    def work() -> None: ...

    for first in range(4):
        chain(*(work.override(task_id=f"work_{first}_{place}")() for place in range(5)))


chains()
