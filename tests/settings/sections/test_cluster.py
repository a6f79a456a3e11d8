"""Lengths of names that AWS limits."""

from __future__ import annotations

import pytest

from tests.stack_file import faults_of, the_fault

_POOL = {"queues": ["gpu"], "instanceTypes": ["g5.xlarge"], "concurrency": 1, "minSize": 0, "maxSize": 1}


def test_the_public_load_balancer_limits_the_length_of_a_cluster_name():
    assert faults_of({"airflow:cluster.name": "a" * 25}) == ()
    fault = the_fault({"airflow:cluster.name": "a" * 26})
    assert fault.key == "airflow:cluster.name"
    assert (
        "at most 25 characters: a load balancer is named <cluster>-public, and AWS allows 32 characters"
        in fault.allowed
    )
    assert fault.remedy == "shorten it by 1"


def test_in_a_region_with_a_long_name_a_bucket_limits_the_length_of_a_cluster_name():
    region = {
        "aws:region": "ap-southeast-1",
        "airflow:network.zones": ["ap-southeast-1a", "ap-southeast-1b"],
    }
    assert faults_of({**region, "airflow:cluster.name": "a" * 23}) == ()
    fault = the_fault({**region, "airflow:cluster.name": "a" * 24})
    assert "-<account id>-ap-southeast-1-access-logs, and AWS allows 63 characters" in fault.allowed


def test_a_faulty_account_id_does_not_hide_a_name_that_is_too_long():
    keys = [fault.key for fault in faults_of({"airflow:cluster.name": "a" * 26, "airflow:cluster.accountId": "1"})]
    assert "airflow:cluster.name" in keys


@pytest.mark.parametrize("start", ["internal-", "sthree-", "amzn-s3-demo-"])
def test_a_cluster_name_with_a_prefix_that_aws_reserves_is_refused(start: str):
    assert start in the_fault({"airflow:cluster.name": f"{start}x"}).allowed


def test_a_pool_name_fits_the_launch_template():
    assert faults_of({f"airflow:workerPools.{'p' * 106}": _POOL}) == ()
    fault = the_fault({f"airflow:workerPools.{'p' * 107}": _POOL})
    assert "at most 106 characters" in fault.allowed
    assert "launch template" in fault.allowed
