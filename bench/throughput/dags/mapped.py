"""As many empty tasks as the run's conf says (`tasks`), mapped over the XCom of one more."""

from __future__ import annotations

from airflow.sdk import dag, task


# More than a worker has slots, so that Airflow's default of 16 for a run does not decide the throughput.
@dag(schedule=None, is_paused_upon_creation=False, max_active_tasks=64)
def mapped():
    @task
    def numbers(dag_run=None) -> list[int]:
        return list(range(dag_run.conf["tasks"]))

    @task
    def work(number: int) -> None: ...

    work.expand(number=numbers())


mapped()
