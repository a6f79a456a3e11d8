from __future__ import annotations

import re

import pytest

from tests.node.programs import module

boot_step = module("airflow_node.boot_step")


def test_a_step_logs_what_it_did_and_how_long_it_took(capsys: pytest.CaptureFixture[str]):
    assert boot_step.run("Installing Airflow", lambda: "Airflow is installed") == 0
    assert re.fullmatch(r"Airflow is installed \(\d+\.\d s\)\n", capsys.readouterr().out)


def test_a_failed_step_ends_with_one_sentence_and_no_traceback(capsys: pytest.CaptureFixture[str]):
    def step() -> str:
        raise boot_step.StepFailedError("the lock is gone.")

    assert boot_step.run("Installing Airflow", step) == 1
    assert re.fullmatch(r"Installing Airflow failed after \d+\.\d s: the lock is gone\.\n", capsys.readouterr().out)


def test_a_missing_variable_is_named():
    with pytest.raises(boot_step.StepFailedError, match=r"NODE_ARTIFACTS is missing in /etc/airflow/airflow\.env"):
        boot_step.required({"NODE_ARTIFACTS": ""}, "NODE_ARTIFACTS")
