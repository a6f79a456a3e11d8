"""What both masters make of a DAG that changes, and of one that is deleted."""

from __future__ import annotations

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from tests.cluster.releases_on_nodes import file_of

SECONDS_TO_FETCH = 60
"""Each master looks every 5 s. The rest is for its loop, the download, and a loaded machine; Airflow's own interval is
five minutes."""
DAG = """
from airflow.sdk import dag, task

@dag(schedule=None)
def changing():
    @task
    def {task}(): ...
    {task}()

changing()
"""


def test_a_changed_dag_reaches_both_masters_within_seconds_and_a_deleted_one_does_not_come_back(
    cluster: Cluster, api: AirflowApi
) -> None:
    masters = cluster.nodes(role="master")
    assert len(masters) == 2
    cluster.put_dag("changing.py", DAG.format(task="before"))
    cluster.wait(
        lambda: all("before" in dag_file(master) for master in masters), "the new DAG", timeout=SECONDS_TO_FETCH
    )
    api.wait_for_dag("changing")

    cluster.put_dag("changing.py", DAG.format(task="after"))
    cluster.wait(
        lambda: all("after" in dag_file(master) for master in masters),
        "both masters to have the changed DAG",
        timeout=SECONDS_TO_FETCH,
    )
    cluster.wait(lambda: tasks_of(api, "changing") == ["after"], "the changed DAG to be parsed")

    cluster.publish_dags({}, deleted=["changing.py"])
    cluster.wait(
        lambda: not any(dag_file(master) for master in masters),
        "both masters to be without the deleted DAG",
        timeout=SECONDS_TO_FETCH,
    )
    cluster.wait(lambda: is_deleted(cluster, "changing"), "the DAG to be gone", timeout=SECONDS_TO_FETCH)
    seen = {master: refreshes(master) for master in masters}
    cluster.wait(
        lambda: all(refreshes(master) >= seen[master] + 2 for master in masters) or not is_deleted(cluster, "changing"),
        "both masters to fetch the DAGs twice more",
    )
    assert is_deleted(cluster, "changing"), "it came back"


def dag_file(master: Node) -> str:
    """The DAG file in the master's current release; empty if it has none."""
    return file_of(master, "changing.py")


def refreshes(master: Node) -> int:
    """How often a master has fetched the DAGs since it was booted."""
    return master.journal("airflow-dag-processor.service").count("Refreshing bundle dags")


def tasks_of(api: AirflowApi, dag_id: str) -> list[str]:
    return [task["task_id"] for task in api.get(f"/api/v2/dags/{dag_id}/tasks")["tasks"]]


def is_deleted(cluster: Cluster, dag_id: str) -> bool:
    """Whether the masters consider the DAG deleted: Airflow keeps its row and its runs."""
    return cluster.psql(f"SELECT is_stale FROM dag WHERE dag_id = '{dag_id}'") == [(True,)]  # noqa: S608
