"""How other commands find the running lab."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lab import description
from lab.description import Description, NodeDescription
from lab.progress import LabError

MASTER = NodeDescription(
    name="master-1", instance_id="i-1", address="10.80.0.4", zone="eu-west-1a", leader=4711, state="InService"
)
LAB = Description(
    cluster="airflow-prod",
    url="http://airflow-prod.internal:8080",
    aws_address="10.80.255.246",
    ca_file="/run/airflow-lab/ca.pem",
    region="eu-west-1",
    access_key_id="AKIA1",
    secret_access_key="secret",
    dags_bucket="dags",
    admin="admin",
    admin_secret="airflow-prod/admin-password",
    nodes=(MASTER,),
)


def test_what_is_written_is_read_and_only_its_owner_can(tmp_path: Path):
    file = tmp_path / "lab.json"
    description.write(LAB, file)
    assert description.read(file) == LAB
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it holds the operator's key"


def test_without_a_lab_one_is_told_how_to_start_it(tmp_path: Path):
    with pytest.raises(LabError, match="make lab"):
        description.read(tmp_path / "lab.json")


@pytest.mark.parametrize("name", ["master-1", "i-1", "10.80.0.4"])
def test_a_node_is_found_by_name_instance_or_address(name: str):
    assert description.find_node(LAB, name) is MASTER


def test_an_unknown_node_is_answered_with_the_known_ones():
    with pytest.raises(LabError, match=r"NODE=master-9 is not a node of the lab\. Nodes: master-1\."):
        description.find_node(LAB, "master-9")
