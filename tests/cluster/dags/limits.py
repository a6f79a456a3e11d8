"""Tasks at the limits of what Airflow stores of them."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(schedule=None, default_args={"retries": 2})
def limits():
    @task
    def talkative() -> None:
        for number in range(20_000):
            print(f"line {number} " + "x" * 300)

    @task
    def too_large() -> str:
        return "x" * (11 << 20)

    talkative()
    too_large()


limits()
