"""Tries, with all that a task finds on its worker, the doors that must be closed to it, and returns what opened."""

from __future__ import annotations

import os

from airflow.sdk import dag, task


def _refusal(attempt) -> str:
    """The name of the error that ended the attempt, or OPEN."""
    try:
        attempt()
    except Exception as error:  # whatever refused it is the finding
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        return code or f"{type(error).__name__}: {error}".splitlines()[0]
    return "OPEN"


@dag(schedule=None, catchup=False, default_args={"retries": 0})
def burglar():
    @task
    def try_doors(dag_run=None) -> dict[str, str]:
        import boto3
        import psycopg2

        backend = os.environ["AIRFLOW__CELERY__RESULT_BACKEND"].removeprefix("db+").replace("+psycopg2", "")
        own, _, _ = backend.rpartition("/")
        buckets = dag_run.conf["buckets"]
        secrets = boto3.client("secretsmanager")
        s3 = boto3.client("s3")
        autoscaling = boto3.client("autoscaling")
        of_another_pool = {"AutoScalingGroupName": dag_run.conf["other group"], "InstanceId": "i-0123456789abcdef0"}
        doors = {
            "own database": lambda: psycopg2.connect(backend).close(),
            "airflow database": lambda: psycopg2.connect(f"{own}/airflow").close(),
            "postgres database": lambda: psycopg2.connect(f"{own}/postgres").close(),
            "write task logs": lambda: s3.put_object(Bucket=buckets["task-logs"], Key="airflow/burglar", Body=b"x"),
            "write dags": lambda: s3.put_object(Bucket=buckets["dags"], Key="evil.py", Body=b"x"),
            "write artifacts": lambda: s3.put_object(Bucket=buckets["artifacts"], Key="evil", Body=b"x"),
            "delete task logs": lambda: s3.delete_object(Bucket=buckets["task-logs"], Key="airflow/burglar"),
            "keep a worker of another pool": lambda: autoscaling.record_lifecycle_action_heartbeat(
                LifecycleHookName="worker-is-drained", **of_another_pool
            ),
            "end a worker of another pool": lambda: autoscaling.complete_lifecycle_action(
                LifecycleHookName="worker-is-drained", LifecycleActionResult="CONTINUE", **of_another_pool
            ),
        } | {name: lambda name=name: secrets.get_secret_value(SecretId=name) for name in dag_run.conf["secrets"]}
        found = {name: _refusal(attempt) for name, attempt in doors.items()}
        found["in the environment"] = ",".join(sorted(name for name in os.environ if name.startswith("AIRFLOW__")))
        return found

    try_doors()


burglar()
