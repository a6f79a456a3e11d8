"""Airflow's logging with a substitute for Airflow. tests/cluster/test_dag_run.py reads logs in the real one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import jinja2
import pytest

from node.airflow_options.rendering import COMMON_OPTIONS, MASTER_OPTIONS
from tests.node.programs import load

OPTIONS = {"remote_base_log_folder": "s3://task-logs/airflow", "base_log_folder": "/var/lib/airflow/logs"}
AIRFLOWS_CONFIG = {
    "version": 1,
    "handlers": {"console": {"class": "airflow's"}, "task": {"class": "airflow's", "filters": ["airflow's"]}},
}
AIRFLOWS_PATHS = (
    "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/"
    "{% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}"
    "attempt={{ try_number|default(ti.try_number) }}.log"
)
NAME_MAX = 255


@pytest.fixture
def node_logging(monkeypatch: pytest.MonkeyPatch) -> Any:
    names = ("airflow", "airflow.config_templates", "airflow.config_templates.airflow_local_settings")
    names += ("airflow.configuration",)
    modules = {name: ModuleType(name) for name in names}
    vars(modules["airflow.config_templates.airflow_local_settings"])["DEFAULT_LOGGING_CONFIG"] = AIRFLOWS_CONFIG
    conf = SimpleNamespace(get=lambda _section, option: OPTIONS[option])
    vars(modules["airflow.configuration"])["conf"] = conf
    for name, found in modules.items():
        monkeypatch.setitem(sys.modules, name, found)
    return load("python/node_logging.py")


def test_everything_but_the_reading_of_task_logs_is_as_airflow_has_it(node_logging: Any):
    config = node_logging.LOGGING_CONFIG
    assert config["handlers"].pop("task") == {"class": "task_log_handler.TaskLogHandler", "filters": ["airflow's"]}
    assert config == {"version": 1, "handlers": {"console": {"class": "airflow's"}}}


def test_airflow_finds_the_logs_in_the_stacks_bucket(node_logging: Any):
    assert node_logging.REMOTE_TASK_LOG.__class__.__name__ == "TaskLogs"
    assert {each.option: each.value for each in COMMON_OPTIONS}["logging_config_class"] == "node_logging.LOGGING_CONFIG"


def _path(template: str, **names: Any) -> str:
    names = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1} | names
    return jinja2.Template(template).render(ti=SimpleNamespace(**names))


OUR_PATHS = str({each.option: each.value for each in MASTER_OPTIONS}["log_filename_template"])


@pytest.mark.parametrize("length", [1, 200, 247])
@pytest.mark.parametrize("map_index", [-1, 3])
def test_a_log_with_names_that_fit_is_where_airflow_would_have_it(length: int, map_index: int):
    names = dict.fromkeys(("dag_id", "run_id", "task_id"), "x" * length) | {"map_index": map_index}
    assert _path(OUR_PATHS, **names) == _path(AIRFLOWS_PATHS, **names)


@pytest.mark.parametrize("letter", ["x", "ä", "文", "😀"])
def test_names_of_the_greatest_length_fit_into_file_systems(letter: str):
    path = _path(OUR_PATHS, dag_id=letter * 250, run_id="x" * 250, task_id=letter * 250, map_index=1)
    assert max(len(part.encode()) for part in path.split("/")) <= NAME_MAX


def test_the_logs_of_ascii_names_of_the_greatest_length_fit_into_s3():
    names = dict.fromkeys(("dag_id", "run_id", "task_id"), "x" * 250) | {"map_index": 10**9}
    assert len(f"airflow/{_path(OUR_PATHS, **names)}.trigger.{10**9}.log") <= 1024


def test_long_names_that_differ_only_at_their_end_have_logs_of_their_own():
    paths = {_path(OUR_PATHS, dag_id=f"{'x' * 249}{end}") for end in "ab"}
    assert len(paths) == 2
