"""The values in `airflow:config` can be read by Airflow, and fit the cluster."""

from __future__ import annotations

import pytest

from settings.sections.airflow_config import values
from tests.stack_file import changed, faults_of, load, the_fault


def fault_of(section: str, option: str, value: object, **changes: object):
    """The one fault of an option's value."""
    return the_fault({"airflow:config": {section: {option: value}}, **changes})


@pytest.mark.parametrize(
    ("section", "option", "value", "allowed", "remedy"),
    [
        ("core", "load_examples", "no", "true or false", "write false"),
        ("logging", "encrypt_s3_logs", "off", "true or false", "write false"),
        ("metrics", "statsd_on", "Yes", "true or false", "write true"),
        ("scheduler", "catchup_by_default", 2, "true or false", "write true or false"),
        ("core", "max_active_tasks_per_dag", "many", "a whole number", "write the number alone"),
        ("scheduler", "max_tis_per_query", "30s", "a whole number", "write the number alone"),
        ("scheduler", "max_tis_per_query", 1.5, "a whole number", "write the number alone"),
        ("celery", "sync_parallelism", "", "a whole number", "write the number alone"),
        ("scheduler", "task_queued_timeout", "1h", "a number", "write the number alone"),
        ("scheduler", "task_queued_timeout", True, "a number", "write the number alone"),
        ("core", "default_task_execution_timeout", "1h", "a whole number of seconds", "write the number alone"),
        ("celery", "extra_celery_config", "{'a': 1}", "JSON", "write valid JSON"),
        ("core", "xcom_backend", "my backend", "the name of a Python object", "write module and object"),
    ],
)
def test_a_value_that_airflow_cannot_read_is_refused(
    section: str, option: str, value: object, allowed: str, remedy: str
):
    fault = fault_of(section, option, value)
    assert fault.key == f"airflow:config.{section}.{option}"
    assert fault.allowed.startswith(allowed)
    assert fault.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("core", "load_examples", True),
        ("core", "load_examples", "FALSE"),
        ("core", "load_examples", 1),
        ("core", "max_active_tasks_per_dag", "64"),
        ("scheduler", "task_queued_timeout", 1.5),
        ("scheduler", "task_queued_timeout", "3600"),
        ("core", "default_task_execution_timeout", ""),
        ("core", "xcom_backend", "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"),
        ("celery", "extra_celery_config", '{"worker_max_tasks_per_child": 10}'),
        ("logging", "celery_logging_level", ""),
        ("api", "instance_name", "100 % ours"),
        ("api", "expose_config", "non-sensitive-only"),
        ("api", "expose_config", "Non-Sensitive-Only"),
        ("celery", "json_logs", ""),
        ("api", "server_type", "Gunicorn"),
        ("celery", "task_logs_to_stdout", "None"),
    ],
)
def test_a_value_that_airflow_reads_is_accepted(section: str, option: str, value: object):
    assert faults_of({"airflow:config": {section: {option: value}}}) == ()


@pytest.mark.parametrize(
    ("section", "option", "value", "remedy"),
    [
        ("logging", "logging_level", "VERBOSE", "write one of these"),
        ("logging", "logging_level", "debug", "did you mean DEBUG?"),
        ("logging", "fab_logging_level", "WARNINGS", "did you mean WARNING?"),
        ("core", "default_task_weight_rule", "downstreams", "did you mean downstream?"),
        ("dag_processor", "file_parsing_sort_mode", "random", "write one of these"),
        ("fab", "session_backend", "redis", "write one of these"),
        ("api", "server_type", "gunicorn3", "did you mean gunicorn?"),
        ("core", "test_connection", "enabled", "did you mean Enabled?"),
    ],
)
def test_a_value_outside_airflows_choices_is_refused(section: str, option: str, value: str, remedy: str):
    fault = fault_of(section, option, value)
    assert fault.remedy == remedy
    assert ", " in fault.allowed


def test_a_time_zone_that_does_not_exist_is_refused():
    fault = fault_of("core", "default_timezone", "US/Nowhere")
    assert fault.given == '"US/Nowhere"'
    assert fault_of("core", "default_timezone", "Europe/Berln").remedy.endswith("did you mean Europe/Berlin?")


@pytest.mark.parametrize("zone", ["utc", "UTC", "system", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_a_time_zone_that_exists_is_accepted(zone: str):
    assert faults_of({"airflow:config": {"core": {"default_timezone": zone}}}) == ()


def test_percent_signs_are_not_doubled_as_in_airflow_cfg():
    fault = fault_of("logging", "log_format", "[%%(asctime)s] {{%%(filename)s}}")
    assert fault.remedy == "write % instead of each %%"
    assert faults_of({"airflow:config": {"logging": {"log_format": "[%(asctime)s] {{%(filename)s}}"}}}) == ()


@pytest.mark.parametrize("template", ["{%% if ti.map_index %%}", "{{%%(filename)s}}", "%%(message)s", "%%%%(message)s"])
def test_percent_signs_that_are_copied_from_airflow_cfg_are_refused(template: str):
    assert fault_of("logging", "log_filename_template", template).given == "a string with %%"


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("logging", "log_format", "100%% %(message)s"),
        ("logging", "log_format", "%%%(message)s"),
        ("api", "instance_name", "100%% up"),
    ],
)
def test_doubled_percent_signs_that_airflow_cfg_does_not_have_are_accepted(section: str, option: str, value: str):
    assert faults_of({"airflow:config": {section: {option: value}}}) == ()


def test_the_visibility_timeout_is_at_least_the_longest_drain_limit():
    longest = {"airflow:workerPools.default.drainLimitHours": 47}
    fault = fault_of("celery_broker_transport_options", "visibility_timeout", 3600, **longest)
    assert f"write {47 * 3600} or more" in fault.remedy
    options = {"airflow:config": {"celery_broker_transport_options": {"visibility_timeout": 47 * 3600}}}
    assert faults_of({**options, **longest}) == ()


@pytest.mark.parametrize("value", ["7d", True, 0.5, ""])
def test_the_visibility_timeout_is_a_whole_number_of_seconds(value: object):
    fault = fault_of("celery_broker_transport_options", "visibility_timeout", value)
    assert fault.allowed.startswith("a whole number of seconds")


@pytest.mark.parametrize("value", [0, -1])
def test_parallelism_has_to_be_above_zero(value: int):
    fault = fault_of("core", "parallelism", value)
    assert fault.key == "airflow:config.core.parallelism"
    assert fault.allowed.startswith("a whole number, at least 1")


@pytest.mark.parametrize("value", [1, 32])
def test_a_parallelism_that_leaves_workers_idle_is_accepted(value: int):
    pools = {"airflow:workerPools.default.minSize": 2, "airflow:workerPools.default.concurrency": 64}
    pools["airflow:workerPools.default.maxSize"] = 2
    assert faults_of({"airflow:config": {"core": {"parallelism": value}}, **pools}) == ()


def test_each_value_has_one_fault_and_does_not_hide_others():
    options = {
        "core": {"load_examples": "no", "default_timezone": "Nowhere", "parallelism": "many"},
        "logging": {"logging_level": "VERBOSE", "log_format": "%%(message)s"},
        "database": {"sql_alchemy_pool_size": "five"},
    }
    expected = [f"airflow:config.{section}.{option}" for section, names in options.items() for option in names]
    assert sorted(fault.key for fault in faults_of({"airflow:config": options})) == sorted(expected)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ('{"connections_lookup_pattern": "a/b"}\n', '{"connections_lookup_pattern": "a/b"}'),
        (
            '{\n  "connections_lookup_pattern": "a/b",\n\t"cache_seconds": 60\n}\n',
            '{ "connections_lookup_pattern": "a/b", "cache_seconds": 60 }',
        ),
        ("\n", ""),
    ],
)
def test_an_option_in_a_block_of_yaml_is_read_as_one_line(given: str, read: str):
    loaded = load(changed({"airflow:config": {"secrets": {"backend_kwargs": given}}}))
    assert loaded.config["secrets"]["backend_kwargs"] == read


def test_the_remedy_for_an_option_of_several_lines_joins_them():
    fault = the_fault({"airflow:config": {"api": {"instance_name": "the first\nthe second\n"}}})
    assert fault.allowed == "text on one line, without control characters"
    assert ">-" in fault.remedy


@pytest.mark.parametrize(("section", "option"), sorted(values.POOL_OPTIONS))
@pytest.mark.parametrize(
    ("value", "remedy"),
    [(-1, "or more; a lower value means no limit"), *((value, "write the number") for value in ("five", 2.5, True))],
)
def test_a_connection_pool_has_a_limit(section: str, option: str, value: object, remedy: str):
    fault = the_fault({"airflow:config": {section: {option: value}}})
    assert fault.key == f"airflow:config.{section}.{option}"
    assert "a whole number" in fault.allowed
    assert remedy in fault.remedy


def test_the_largest_overflow_may_be_zero():
    assert faults_of({"airflow:config": {"database": {"sql_alchemy_max_overflow": 0}}}) == ()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("xcom_objectstorage_path", "/var/xcom"),
        ("xcom_objectstorage_path", "s3://"),
        ("xcom_objectstorage_path", "s3://bucket/"),
        ("xcom_objectstorage_threshold", 0),
        ("xcom_objectstorage_threshold", -2),
    ],
)
def test_a_limit_of_xcoms_that_fails_every_task_is_refused(option: str, value: object):
    assert fault_of("common.io", option, value).key == f"airflow:config.common.io.{option}"


@pytest.mark.parametrize("threshold", [-1, 0, 1, "1048576"])
def test_large_xcoms_may_be_stored_in_s3(threshold: object):
    place = {"xcom_objectstorage_path": "s3://prod-task-logs/xcom", "xcom_objectstorage_threshold": threshold}
    assert faults_of({"airflow:config": {"common.io": place}}) == ()
