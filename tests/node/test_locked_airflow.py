"""What the modules for releases rely on in Airflow, looked up in the Airflow that nodes install."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.node.programs import python_path
from tests.node.published_releases import BUCKET, publish

OVERRIDDEN = {
    "ReleaseDagBundle": {"__init__", "initialize", "refresh", "get_current_version", "path", "supports_versioning"},
    "CommitDagBundle": {"__init__", "initialize", "refresh", "_fetch_bare_repo"},
    "ReleaseProcessor": {
        "__init__",
        "handle_removed_files",
        "update_bundle_state",
        "persist_parsing_result",
        "deactivate_deleted_dags",
    },
    "ReleaseTriggerRunner": {"get_trigger_by_classpath"},
    "ReleaseTriggerSupervisor": {"run_in_process", "_create_workload"},
}
ASK = """
import json
import attrs
from git_bundle import CommitDagBundle
from node_dag_processor import ReleaseProcessor, dag_processor_command
from node_triggerer import ReleaseTriggerRunner, ReleaseTriggerSupervisor, triggerer_job_runner
from release_bundle import ReleaseDagBundle

classes = (ReleaseDagBundle, CommitDagBundle, ReleaseProcessor, ReleaseTriggerRunner, ReleaseTriggerSupervisor)
print(json.dumps({
    "overridden": {each.__name__: [name for name in vars(each) if hasattr(each.__mro__[1], name)] for each in classes},
    "fields": [field.name for field in attrs.fields(ReleaseProcessor.__mro__[1])],
    "replaced": [
        dag_processor_command.DagFileProcessorManager is ReleaseProcessor.__mro__[1],
        triggerer_job_runner.TriggerRunnerSupervisor is ReleaseTriggerSupervisor.__mro__[1],
    ],
}))
"""
USE = """
import json, sys
from airflow.dag_processing.bundles.manager import DagBundlesManager

bundle = DagBundlesManager().get_bundle("dags")
bundle.initialize()
version = bundle.get_current_version().version
of_run = DagBundlesManager().get_bundle("dags", version=sys.argv[1])
of_run.initialize()
print(json.dumps([version, (bundle.path / "a.py").read_text(), (of_run.path / "a.py").read_text()]))
"""


def _run(python: Path, home: Path, code: str, *arguments: str, **variables: str) -> Any:
    environment = {"PYTHONPATH": python_path(), "AIRFLOW_HOME": str(home), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [python, "-c", code, *arguments], env=environment | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_the_modules_override_and_read_is_in_this_airflow(nodes_python: Path, tmp_path: Path):
    found = _run(nodes_python, tmp_path, ASK)
    for name, methods in OVERRIDDEN.items():
        assert methods <= set(found["overridden"][name]), name
    assert {"_file_stats", "_processors", "_file_queue", "_bundle_versions", "_dag_bundles"} <= set(found["fields"])
    assert found["replaced"] == [True, True]


@pytest.mark.usefixtures("aws")
def test_this_airflow_finds_a_runs_release_beside_the_current_one(nodes_python: Path, tmp_path: Path, aws_server: str):
    s3 = boto3.client("s3", endpoint_url=aws_server)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    first, second = publish(s3, a="1"), publish(s3, a="2")
    bundle = {"name": "dags", "classpath": "release_bundle.ReleaseDagBundle", "kwargs": {"bucket_name": BUCKET}}
    found = _run(
        nodes_python,
        tmp_path,
        USE,
        first,
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps([bundle]),
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH=str(tmp_path / "bundles"),
        AWS_ENDPOINT_URL_S3=aws_server,
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION="eu-west-1",
    )
    assert found == [second, "2", "1"]
