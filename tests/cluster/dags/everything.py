"""One run that uses what a cluster is for: both pools, mapping, XCom, Connections, Variables and a deferred task."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import Connection, Variable, dag, task


@dag(schedule=None, catchup=False)
def everything():
    @task
    def settings() -> dict[str, str]:
        connection = Connection.get("lab_connection")
        found = {"password": connection.password, "word": Variable.get("lab_word")}
        found["secret word"] = Variable.get("secret/word")
        print("the Connection and the Variables are there")
        return found

    @task
    def square(number: int) -> int:
        if Connection.get("secret_connection").password != "c%onn@:/#?":
            raise ValueError("the Connection in Secrets Manager came out changed")
        print(f"the square of {number} is {number * number}")
        return number * number

    @task(queue="heavy")
    def total(squares: list[int], found: dict[str, str]) -> int:
        if found != {"password": "c%onn@:/#?", "word": "lab", "secret word": "hidden"}:
            raise ValueError("the Connection or a Variable came out changed")
        print(Path("/etc/start-script-ran").read_text())
        print(f"the total is {sum(squares)}")
        return sum(squares)

    later = TimeDeltaSensor(task_id="later", delta=timedelta(seconds=1), deferrable=True)
    found = settings()
    later >> found
    total(square.expand(number=list(range(12))), found)


everything()
