from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.airflow_options.extraction import extract, to_json

CORE = """
# Disabled, Enabled, Hidden
core:
  description: ~
  options:
    executor: {description: ~, type: string, default: "LocalExecutor"}
    load_examples: {description: ~, type: string, default: "True"}
    parallelism: {description: ~, type: integer, default: "32"}
    timeout: {description: ~, type: float, default: "1.5"}
    fernet_key: {description: ~, type: string, sensitive: true, default: "{FERNET_KEY}"}
    instance_name: {description: ~, type: string, default: ~}
    client-config: {description: ~, type: string, default: ~}
    client_id: {description: ~, type: string, default: ~}
"""
CONFIGURATION = """
class AirflowConfigParser(_SharedAirflowConfigParser):
    _levels = ["INFO", "DEBUG"]
    enums_options = {
        ("core", "instance_name"): [*_levels, ""],
        ("core", "executor"): sorted(WeightRule.all_weight_rules()),
    }
"""
WEIGHT_RULES = """
class WeightRule(str, Enum):
    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
"""
PARSER = """
class AirflowConfigParser(ConfigParser):
    deprecated_options: dict[tuple[str, str], tuple[str, str, str]] = {
        ("core", "parallelism"): ("celery", "parallelism", "9.0"),
    }
"""
LINTER = """
CONFIGS_CHANGES = [
    ConfigChange(config=ConfigParameter("webserver", "name"), renamed_to=ConfigParameter("api", "name")),
    ConfigChange(config=ConfigParameter("api", "name"), renamed_to=ConfigParameter("core", option="instance_name")),
    ConfigChange(config=ConfigParameter("gone", "further"), renamed_to=ConfigParameter("gone", "for_good")),
    ConfigChange(config=ConfigParameter("smtp", "smtp_user"), suggestion="Use " "a connection."),
    ConfigChange(config=ConfigParameter("core", "silent")),
    ConfigChange(config=ConfigParameter("core", "parallelism"), was_removed=False, is_invalid_if="0"),
]
"""
READERS = """
if conf.getboolean("core", "load_examples"):
    limit = self.conf.getint(section="CORE", key="instance_name", fallback=1)
    either = conf.getfloat("core", "client_id") or conf.getint("core", "client_id") or conf.getint(section, name)
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
    files = {
        "config_templates/config.yml": CORE,
        "configuration.py": CONFIGURATION,
        "task/weight_rule.py": WEIGHT_RULES,
        "_shared/configuration/parser.py": PARSER,
        "cli/commands/config_command.py": LINTER,
        "settings.py": READERS,
    }
    for name, text in files.items():
        (path / "airflow" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "airflow" / name).write_text(text)
    (path / "tzdata").mkdir()
    (path / "tzdata/zones").write_text("Europe/Berlin\nUTC\n")
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
    assert set(registry["options"]["core"]) >= {"executor", "fernet_key", "instance_name"}
    assert registry["options"]["core"]["fernet_key"] == {"type": "string", "sensitive": True}
    assert registry["options"]["example"] == {"token": {"type": "string", "sensitive": True}}


def test_the_type_as_which_airflow_reads_an_option_precedes_the_type_in_its_description(tmp_path: Path):
    options = extract(_site(tmp_path))["options"]["core"]
    kinds = {name: facts["type"] for name, facts in options.items()}
    assert kinds["load_examples"] == "boolean", "it is described as a string"
    assert kinds["instance_name"] == "integer", "section and option may be named arguments"
    assert kinds["client_id"] == "integer", "of two reading methods, the stricter one"
    assert (kinds["parallelism"], kinds["timeout"], kinds["fernet_key"]) == ("integer", "number", "string")


def test_an_option_has_the_values_to_which_airflow_restricts_it(tmp_path: Path):
    options = extract(_site(tmp_path))["options"]["core"]
    assert options["instance_name"]["choices"] == ["INFO", "DEBUG", ""]
    assert options["executor"]["choices"] == ["downstream", "upstream"]
    assert "choices" not in options["parallelism"]


def test_a_restriction_that_is_not_understood_stops_the_lock(tmp_path: Path):
    site = _site(tmp_path)
    (site / "airflow/configuration.py").write_text(CONFIGURATION.replace("[*_levels, ", "levels() + ["))
    with pytest.raises(ValueError, match=r"restricts an option in a way that is not understood: levels\(\)"):
        extract(site)


def test_a_choice_that_a_new_airflow_no_longer_has_stops_the_lock(tmp_path: Path):
    site = _site(tmp_path)
    (site / "airflow/cli/commands/api_server_command.py").write_text('server_type == "uvicorn"')
    with pytest.raises(ValueError, match=r"other words for api\.server_type than uvicorn, gunicorn"):
        extract(site)


def test_words_that_airflow_accepts_besides_the_values_of_a_type_are_found_in_its_source(tmp_path: Path):
    site = _site(tmp_path)
    described = CORE + "api:\n  options:\n    expose_config: {description: ~, type: string}\n"
    (site / "airflow/config_templates/config.yml").write_text(described)
    reader = site / "airflow/api_fastapi/core_api/services/public/config.py"
    reader.parent.mkdir(parents=True)
    compares = 'conf.get("api", "expose_config").lower() == "non-sensitive-only"'
    reader.write_text(f'{compares} or conf.getboolean("api", "expose_config")')
    assert extract(site)["options"]["api"]["expose_config"] == {
        "type": "boolean",
        "sensitive": False,
        "words": ["non-sensitive-only"],
    }
    reader.write_text('conf.getboolean("api", "expose_config")')
    with pytest.raises(ValueError, match=r"other words for api\.expose_config than non-sensitive-only"):
        extract(site)


def test_an_option_of_an_older_airflow_has_its_current_name_or_airflows_advice(tmp_path: Path):
    assert extract(_site(tmp_path))["former"] == {
        "webserver.name": {"now": "core.instance_name"},
        "api.name": {"now": "core.instance_name"},
        "celery.parallelism": {"now": "core.parallelism"},
        "smtp.smtp_user": {"advice": "Use a connection."},
    }


def test_the_time_zones_are_those_that_the_nodes_install(tmp_path: Path):
    assert extract(_site(tmp_path))["time_zones"] == ["Europe/Berlin", "UTC"]


def test_an_option_that_no_environment_variable_can_name_is_left_out(tmp_path: Path):
    assert "client-config" not in extract(_site(tmp_path))["options"]["core"]


def test_a_provider_is_read_but_not_run(tmp_path: Path):
    marker = tmp_path / "ran"
    site = _site(tmp_path / "site", f"open({str(marker)!r}, 'w')\n{PROVIDER}")
    assert "example" in extract(site)["options"]
    assert not marker.exists(), "code of a package must not run on the machine that makes the lock"


def test_the_file_has_one_option_per_line_so_that_a_diff_is_readable(tmp_path: Path):
    registry = extract(_site(tmp_path))
    text = to_json(registry)
    assert json.loads(text) == registry
    assert '   "fernet_key": {"type": "string", "sensitive": true},\n' in text


def test_an_option_that_airflow_does_not_document_is_known_while_airflow_reads_it(tmp_path: Path):
    site = _site(tmp_path)
    assert "scheduler" not in extract(site)["options"]
    (site / "airflow/jobs").mkdir()
    reads = 'conf.getint(section="scheduler", key="num_stuck_in_queued_retries")'
    (site / "airflow/jobs/scheduler_job_runner.py").write_text(reads)
    expected = {"num_stuck_in_queued_retries": {"type": "integer", "sensitive": False}}
    assert extract(site)["options"]["scheduler"] == expected
