"""Values that are accepted with a warning, because only the operator knows whether they are intended."""

from __future__ import annotations

from typing import Any

import pytest

from aws_catalog.regions import ZONE_LETTERS
from engine.program import deploy
from settings import load_settings
from settings.rules import warnings
from tests.stack_file import STACKS, changed, content, load


def warnings_of(changes: dict[str, Any]) -> list[str]:
    return list(warnings(load(changed(changes))))


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_files_of_the_repository_cause_no_warning(stack: str):
    assert list(warnings(load(content(stack)))) == []


def test_long_tasks_on_spot_instances_cause_a_warning():
    pool = "airflow:workerPools.heavy"
    (warning,) = warnings_of({f"{pool}.spotPercent": 100, f"{pool}.drainLimitHours": 30})
    assert warning.startswith(f"{pool}.spotPercent: 100 with drainLimitHours: 30.")
    assert "two minutes" in warning
    assert warnings_of({f"{pool}.spotPercent": 100, f"{pool}.drainLimitHours": 12}) == []
    assert warnings_of({f"{pool}.spotPercent": 0, f"{pool}.drainLimitHours": 30}) == []


def test_gpus_cause_a_warning_about_the_driver():
    changes = {"airflow:workerPools.heavy.instanceTypes": ["g4dn.xlarge", "g5.xlarge"]}
    (warning,) = warnings_of(changes)
    assert warning.startswith(
        "airflow:workerPools.heavy.instanceTypes: the GPUs or accelerators of g4dn.xlarge, g5.xlarge need a driver"
    )
    assert "airflow:nodeImage.amd64" in warning
    pinned = {"airflow:nodeImage": {"amd64": "ami-0123456789abcdef0"}}
    assert warnings_of({**changes, **pinned}) == [warning], "an id does not show who owns the image"


def test_task_slots_that_the_schedulers_can_never_fill_cause_a_warning():
    key = "airflow:config.core.parallelism"
    (warning,) = warnings_of({key: 64})
    assert warning.startswith(f"{key}: 64. The schedulers then run at most 128 tasks at a time, but the pools have 144")
    (warning,) = warnings_of({key: 4})
    assert warning.startswith(f"{key}: 4. The schedulers then run at most 8 tasks at a time")
    assert warnings_of({key: 72}) == []


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("core", "dags_folder", "/opt/dags"),
        ("celery", "flower_port", 5555),
        ("kerberos", "ccache", "/run/krb5cc"),
        ("aws_ecs_executor", "cluster", "airflow"),
        ("core", "simple_auth_manager_users", "admin:admin"),
    ],
)
def test_an_option_that_nothing_reads_causes_a_warning(section: str, option: str, value: object):
    (warning,) = warnings_of({f"airflow:config.{section}": {option: value}})
    assert warning.startswith(f"airflow:config.{section}.{option}. Nothing in this cluster reads it. ")


def test_an_option_for_celerys_transport_that_is_nearly_one_of_airflows_causes_a_warning():
    section = "airflow:config.celery_broker_transport_options"
    (warning,) = warnings_of({section: {"visibility_timout": 90000}})
    assert warning.startswith(f"{section}.visibility_timout. Airflow does not describe this option")
    assert "visibility_timeout" in warning
    assert warnings_of({section: {"socket_timeout": 30}}) == []


def test_masters_with_gpus_cause_a_warning():
    (warning,) = warnings_of({"airflow:masters.instanceType": "inf2.xlarge"})
    assert warning.startswith("airflow:masters.instanceType: the GPUs or accelerators of inf2.xlarge need a driver")


def test_the_plan_and_the_preview_show_the_warnings():
    _, recording = deploy(load_settings, config=changed({"airflow:masters.instanceType": "g5.xlarge"}))
    assert [message.partition(".instanceType")[0] for message in recording.messages] == ["warning: airflow:masters"]


def in_region(region: str, changes: dict[str, Any]) -> list[str]:
    zones = [f"{region}{letter}" for letter in ZONE_LETTERS[region][:2]]
    return warnings_of({"aws:region": region, "airflow:network.zones": zones, **changes})


def test_instance_types_that_the_region_does_not_offer_cause_a_warning():
    changes = {"airflow:workerPools.heavy.instanceTypes": ["r7i.xlarge", "r7a.xlarge"]}
    (warning,) = in_region("eu-west-2", {"airflow:workerPools.default.instanceTypes": ["m7i.xlarge"], **changes})
    assert warning.startswith("airflow:workerPools.heavy.instanceTypes: eu-west-2 may not offer r7a.xlarge.")
    assert "aws ec2 describe-instance-type-offerings --region eu-west-2" in warning
    assert [w for w in in_region("eu-west-1", changes) if "offerings" in w] == []


def test_an_endpoint_of_a_service_that_the_region_lacks_causes_a_warning():
    changes = {"airflow:network.interfaceEndpoints": ["codeartifact.api", "secretsmanager"]}
    (warning,) = [w for w in in_region("ca-central-1", changes) if "interfaceEndpoints" in w]
    assert warning.startswith("airflow:network.interfaceEndpoints: codeartifact.api. AWS does not list this service in")
    assert in_region("eu-west-1", changes) == []


def test_the_zone_of_us_east_1_that_lacks_the_most_causes_a_warning():
    changes = {"aws:region": "us-east-1", "airflow:network.zones": ["us-east-1a", "us-east-1e"]}
    (warning,) = warnings_of(changes)
    assert warning.startswith("airflow:network.zones: us-east-1e. In most accounts this is use1-az3")
    assert warnings_of({**changes, "airflow:network.zones": ["us-east-1a", "us-east-1b"]}) == []
