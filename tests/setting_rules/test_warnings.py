"""What is accepted with a warning, because only the operator knows whether it is meant."""

from __future__ import annotations

from typing import Any

import pytest

from offline.engine import deploy
from setting_rules.warnings import warnings
from settings import load_settings
from tests.stack_file import STACKS, changed, content, load


def warnings_of(changes: dict[str, Any]) -> list[str]:
    return list(warnings(load(changed(changes))))


@pytest.mark.parametrize("stack", STACKS)
def test_the_sheets_of_the_repository_bring_no_warning(stack: str):
    assert list(warnings(load(content(stack)))) == []


def test_long_tasks_on_spot_instances_are_warned_of():
    pool = "airflow:workerPools.heavy"
    (warning,) = warnings_of({f"{pool}.spotPercent": 100, f"{pool}.drainLimitHours": 30})
    assert warning.startswith(f"{pool}.spotPercent: 100 with drainLimitHours: 30.")
    assert "two minutes" in warning
    assert warnings_of({f"{pool}.spotPercent": 100, f"{pool}.drainLimitHours": 12}) == []
    assert warnings_of({f"{pool}.spotPercent": 0, f"{pool}.drainLimitHours": 30}) == []


def test_gpus_with_an_image_that_has_no_driver_are_warned_of():
    changes = {"airflow:workerPools.heavy.instanceTypes": ["g6.xlarge", "g5.xlarge"]}
    (warning,) = warnings_of(changes)
    assert warning.startswith("airflow:workerPools.heavy.instanceTypes: g6.xlarge, g5.xlarge.")
    assert "airflow:nodeImage.amd64" in warning
    assert warnings_of({**changes, "airflow:nodeImage": {"amd64": "ami-0123456789abcdef0"}}) == []
    assert len(warnings_of({**changes, "airflow:nodeImage": {"arm64": "ami-0123456789abcdef0"}})) == 1


def test_masters_with_gpus_are_warned_of():
    (warning,) = warnings_of({"airflow:masters.instanceType": "inf2.xlarge"})
    assert warning.startswith("airflow:masters.instanceType: inf2.xlarge.")


def test_the_plan_and_the_preview_show_the_warnings():
    _, recording = deploy(load_settings, config=changed({"airflow:masters.instanceType": "g5.xlarge"}))
    assert [message.partition(".instanceType")[0] for message in recording.messages] == ["warning: airflow:masters"]
