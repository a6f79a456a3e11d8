from __future__ import annotations

import json
from pathlib import Path

from node.options_registry import extract, to_json

CORE = """
core:
  description: ~
  options:
    executor: {description: ~, type: string, default: "LocalExecutor"}
    fernet_key: {description: ~, type: string, sensitive: true, default: "{FERNET_KEY}"}
    instance_name: {description: ~, type: string, default: ~}
    client-config: {description: ~, type: string, default: ~}
"""
PROVIDER = """
def get_provider_info():
    return {
        "package-name": "apache-airflow-providers-example",
        "config": {"example": {"options": {"token": {"sensitive": True, "default": None}}}},
    }
"""


def _site(path: Path, provider: str = PROVIDER) -> Path:
    """An unpacked Airflow with one provider."""
    (path / "airflow/config_templates").mkdir(parents=True)
    (path / "airflow/config_templates/config.yml").write_text(CORE)
    (path / "apache_airflow_core-9.8.7.dist-info").mkdir()
    (path / "example/airflow").mkdir(parents=True)
    (path / "example/airflow/info.py").write_text(provider)
    (path / "example-1.dist-info").mkdir()
    (path / "example-1.dist-info/entry_points.txt").write_text(
        "[apache_airflow_provider]\nprovider_info = example.airflow.info:get_provider_info\n"
    )
    return path


def test_the_registry_holds_core_and_providers(tmp_path: Path):
    registry = extract(_site(tmp_path))
    assert registry["airflow"] == "9.8.7"
    assert registry["options"] == {
        "core": {
            "executor": {"sensitive": False},
            "fernet_key": {"sensitive": True},
            "instance_name": {"sensitive": False},
        },
        "example": {"token": {"sensitive": True}},
    }


def test_an_option_that_no_environment_variable_can_name_is_left_out(tmp_path: Path):
    assert "client-config" not in extract(_site(tmp_path))["options"]["core"]


def test_a_provider_is_read_and_not_run(tmp_path: Path):
    marker = tmp_path / "ran"
    site = _site(tmp_path / "site", f"open({str(marker)!r}, 'w')\n{PROVIDER}")
    assert "example" in extract(site)["options"]
    assert not marker.exists(), "a package from the index must not run on the machine that makes the lock"


def test_the_file_has_one_option_per_line_so_that_a_diff_is_readable(tmp_path: Path):
    registry = extract(_site(tmp_path))
    text = to_json(registry)
    assert json.loads(text) == registry
    assert '   "executor": {"sensitive": false},\n' in text


def test_an_option_that_airflow_keeps_to_itself_is_known_while_airflow_reads_it(tmp_path: Path):
    site = _site(tmp_path)
    assert "scheduler" not in extract(site)["options"]
    (site / "airflow/jobs").mkdir()
    (site / "airflow/jobs/scheduler_job_runner.py").write_text('conf.getint(key="num_stuck_in_queued_retries")')
    assert extract(site)["options"]["scheduler"] == {"num_stuck_in_queued_retries": {"sensitive": False}}
