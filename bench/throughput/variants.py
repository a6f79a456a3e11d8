"""The two clusters that are compared: the one of the program, and the same nodes with what Airflow would do by itself.

A drop-in in /run gives the services' environment another file. The program's own files stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

from bench.throughput.usage import SERVICES
from lab.airflow_api import AirflowApi
from lab.boot_times import WORKER_READY
from lab.cluster import Cluster
from lab.node import Node
from node.environment import assignment

SHADOW = "/run/throughput"
"""Modules in this folder take the place of the node's."""
ENVIRONMENT_FILE = f"{SHADOW}/airflow.env"
PYTHON_PATH = "/usr/local/lib/airflow/python"
DROP_IN = f"[Service]\nEnvironmentFile={ENVIRONMENT_FILE}\n"
MODULES = {"preload.py": '"""Loads nothing in advance."""\n'}
WORKER = "airflow-worker.service"
SETTLE_SECONDS = 3.0
"""The rest of a service's start, such as its first heartbeat, is no part of a measurement."""

AIRFLOWS_OWN: Mapping[str, str] = {
    # One process of uvicorn.
    "AIRFLOW__API__SERVER_TYPE": "uvicorn",
    "AIRFLOW__API__WORKER_REFRESH_INTERVAL": "0",
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__CORE__XCOM_BACKEND": "airflow.sdk.execution_time.xcom.BaseXCom",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
    # Airflow's own upload of logs to S3.
    "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "",
    "AIRFLOW__SECRETS__BACKEND": "",
    "AIRFLOW__WORKERS__SECRETS_BACKEND": "",
    "PYTHONPATH": f"{SHADOW}:{PYTHON_PATH}",
}
"""Airflow's defaults where the program sets something else that a task's way, or a DAG's, goes through."""


class Variant(StrEnum):
    """Which of the two."""

    PROGRAM = "this program"
    AIRFLOW = "Airflow's defaults"

    @property
    def variables(self) -> Mapping[str, str]:
        """What differs from the node's environment file."""
        return AIRFLOWS_OWN if self is Variant.AIRFLOW else {}


def switch(cluster: Cluster, api: AirflowApi, variant: Variant) -> None:
    """Restart all services as this variant, and wait until they work."""
    [[began]] = cluster.psql("SELECT now()")
    nodes = [(node, services) for role, services in SERVICES.items() for node in cluster.nodes(role=role)]
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(lambda each: _restart(*each, variant), nodes))
    masters = cluster.nodes(role="master")
    # Each of the three writes a row when it starts; the api-server has none.
    jobs = f"SELECT count(*) FROM job WHERE state = 'running' AND start_date >= '{began}'"  # noqa: S608
    cluster.wait(lambda: cluster.psql(jobs) >= [(3 * len(masters),)], "the masters' services", timeout=180)
    cluster.wait(lambda: all(map(_serves, masters)) and api.answers(), "the api-servers", timeout=180)
    _await_worker(cluster)


def restart_worker(cluster: Cluster) -> None:
    """Restart Celery on the worker, and wait until it takes tasks."""
    for node in cluster.nodes(role="worker"):
        node.exec("systemctl", "restart", WORKER, timeout=120)
    _await_worker(cluster)
    time.sleep(SETTLE_SECONDS)


def _restart(node: Node, services: tuple[str, ...], variant: Variant) -> None:
    content = "".join(assignment(name, value) for name, value in variant.variables.items())
    files = {f"{SHADOW}/{name}": text for name, text in MODULES.items()} | {ENVIRONMENT_FILE: content}
    files |= {f"/run/systemd/system/{service}.service.d/90-throughput.conf": DROP_IN for service in services}
    for path, text in files.items():
        file = Path(f"/proc/{node.leader}/root{path}")
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
    units = " ".join(f"{service}.service" for service in services)
    node.exec(f"systemctl daemon-reload && systemctl restart {units}", timeout=120)


def _serves(master: Node) -> bool:
    return master.exec("curl -fs -o /dev/null --max-time 5 http://localhost:8080/api/v2/version").returncode == 0


def _await_worker(cluster: Cluster) -> None:
    journal = f"journalctl --quiet --unit={WORKER} --invocation=0 --grep='{WORKER_READY}'"
    for node in cluster.nodes(role="worker"):
        cluster.wait(
            lambda node=node: node.exec(journal).stdout, f"{node.name} to take tasks", timeout=120, interval=0.5
        )
