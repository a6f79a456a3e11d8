"""The plan accepts the values that Airflow's own parser accepts, as recorded by record_airflow_readings.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.airflow_options import lookup
from tests.stack_file import faults_of

_RECORD = json.loads(Path(__file__).with_name("airflow_readings.json").read_text())
_OF_TYPE = {
    "boolean": ("core", "load_examples"),
    "integer": ("scheduler", "max_tis_per_query"),
    "seconds": ("core", "default_task_execution_timeout"),
    "number": ("scheduler", "task_queued_timeout"),
    "json": ("celery", "extra_celery_config"),
    "import": ("core", "xcom_backend"),
}
# If an option has several readers, or its own reader, some of them accept less than the parser's method.
_STRICTER = {
    "integer": {"64.0", "1e3", "1."},
    "number": {"inf", "nan"},
}


def _accepts(section: str, option: str, text: str) -> bool:
    return faults_of({"airflow:config": {section: {option: text}}}) == ()


def test_the_record_comes_from_the_airflow_that_the_nodes_install():
    assert _RECORD["airflow"] == json.loads(lookup.REGISTRY.read_text())["airflow"]


@pytest.mark.parametrize("kind", _OF_TYPE)
def test_the_plan_accepts_what_airflow_reads_and_refuses_what_it_does_not(kind: str):
    section, option = _OF_TYPE[kind]
    assert lookup.kind(section, option) == kind
    readings = _RECORD["types"][kind]
    different = {text for text, readable in readings.items() if _accepts(section, option, text) != readable}
    assert different == _STRICTER.get(kind, set())
    assert all(readings[text] for text in different), "the plan accepts nothing that Airflow refuses"


def test_airflow_refuses_invalid_values_for_every_option_that_has_a_type():
    assert all(_RECORD["refused by every option of the type"].values())


@pytest.mark.parametrize("name", _RECORD["choices"])
def test_the_plan_accepts_only_choices_with_which_airflow_starts(name: str):
    section, _, option = name.rpartition(".")
    assert {text: _accepts(section, option, text) for text in _RECORD["choices"][name]} == _RECORD["choices"][name]
