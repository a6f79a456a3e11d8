"""Tasks of a chosen kind, length and queue, one to a run, which write down each of their executions.

Run conf: `seconds`, how long the task takes; `again`, how long its later tries take (default: as long as the first).
A file `released-<run>` in the worker's home ends it sooner.
Each execution puts an object `executions/<dag>/<run>/<task>/<map index>/<try>/<unique>`
into the bucket of the task logs, the one place where a worker may write.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task

QUEUES = ("default", "heavy", "nowhere")
"""The last is a queue that no pool serves."""


def _enter(ti) -> None:
    """Write this execution into the execution log."""
    import boto3

    bucket = os.environ["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"].removeprefix("s3://").split("/")[0]
    execution = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{ti.try_number}"
    boto3.client("s3").put_object(Bucket=bucket, Key=f"executions/{execution}/{uuid.uuid4()}", Body=b"")


def _seconds(ti, dag_run) -> int:
    first = dag_run.conf["seconds"]
    return first if ti.try_number == 1 else dag_run.conf.get("again", first)


def _end_file(ti) -> Path:
    return Path("/var/lib/airflow") / f"released-{ti.run_id}"


def _dag(kind: str, queue: str, body) -> None:
    """One DAG: a single task, tried again at once when its node was lost."""
    options = {"retries": 2, "retry_delay": timedelta(seconds=1), "queue": queue}
    limits = {"max_active_runs": 500, "max_active_tasks": 500}

    @dag(dag_id=f"{kind}_{queue}", schedule=None, catchup=False, default_args=options, **limits)
    def load():
        body()

    load()


@task(task_id="work")
def python(ti=None, dag_run=None) -> None:
    _enter(ti)
    seconds = _seconds(ti, dag_run)
    print(f"at work for {seconds} s", flush=True)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not _end_file(ti).exists():
        time.sleep(min(1, left))


@task(task_id="work")
def asking(ti=None, dag_run=None) -> None:
    """Asks Airflow for something every second."""
    _enter(ti)
    end = time.monotonic() + _seconds(ti, dag_run)
    while (left := end - time.monotonic()) > 0 and not _end_file(ti).exists():
        ti.xcom_push(key="left", value=left)
        time.sleep(1)


@task(task_id="work")
def greedy(ti=None) -> None:
    """Takes memory at its first try until the kernel ends it."""
    _enter(ti)
    taken = []
    while ti.try_number == 1:
        taken.append(b"x" * (32 << 20))


@task(task_id="work")
def daemons(ti=None, dag_run=None) -> None:
    """On its first try, starts processes in every way in which they can escape from it."""
    _enter(ti)
    sleep = "sleep 86399"
    if ti.try_number == 1:
        subprocess.Popen(sleep.split())
        subprocess.Popen(sleep.split(), start_new_session=True)
        subprocess.run(["sh", "-c", f"setsid {sleep} >/dev/null 2>&1 &"], check=True)
    end = time.monotonic() + _seconds(ti, dag_run)
    while time.monotonic() < end and not _end_file(ti).exists():
        time.sleep(1)


@task.bash(task_id="work")
def bash(ti=None, dag_run=None) -> str:
    _enter(ti)
    # If something kills the `sleep`, the task must fail.
    return (
        f"for _ in $(seq {_seconds(ti, dag_run)}); do [ -e '{_end_file(ti)}' ] && break; sleep 1 || exit 1; done;"
        " echo done"
    )


for queue in QUEUES:
    _dag("python", queue, python)
    _dag("asking", queue, asking)
    _dag("bash", queue, bash)
    _dag("greedy", queue, greedy)
    _dag("daemons", queue, daemons)
