"""The options that `airflow:config` may set, and those that it may not."""

from __future__ import annotations

import pytest

from node.environment import LOCKED_OPTIONS
from node.roles import Role
from settings.errors import SettingsError
from tests.stack_file import changed, faults_of, load, the_fault


def test_options_that_airflow_has_are_accepted():
    options = {"core": {"parallelism": 64, "load_examples": True}, "operators": {"default_queue": "default"}}
    assert load(changed({"airflow:config": options})).config == options


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("celery_broker_transport_options", "socket_timeout", 30),
        ("celery_broker_transport_options", "health_check_interval", 25),
        ("celery_broker_transport_options", "global_keyprefix", "airflow:"),
        ("celery_result_backend_transport_options", "retry_policy", "x"),
        ("sentry", "traces_sample_rate", 0.1),
    ],
)
def test_sections_that_airflow_passes_on_whole_may_have_any_option(section: str, option: str, value: object):
    assert faults_of({"airflow:config": {section: {option: value}}}) == ()


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("sentry", "dsn", "hunter2"),
        ("sentry", "http_proxy", "http://me:hunter2@proxy.corp"),
        ("celery_broker_transport_options", "password", "hunter2"),
        ("celery_broker_transport_options", "sentinel_kwargs", '{"password": "hunter2"}'),
        ("celery_broker_transport_options", "client_args", '{"password": "hunter2"}'),
    ],
)
def test_a_secret_in_a_section_that_is_passed_on_whole_is_refused_without_being_shown(
    section: str, option: str, value: str
):
    fault = the_fault({"airflow:config": {section: {option: value}}})
    assert fault.key == f"airflow:config.{section}.{option}"
    assert "hunter2" not in str(fault)


@pytest.mark.parametrize("option", ["Socket_Timeout", "socket-timeout", "socket_timeout_cmd"])
def test_an_option_that_no_variable_passes_on_is_refused_in_every_section(option: str):
    assert the_fault({"airflow:config": {"celery_broker_transport_options": {option: 1}}}).given == (
        "an option that does not exist"
    )


def test_the_remedy_for_an_option_that_does_not_exist_is_the_nearest_one():
    fault = the_fault({"airflow:config": {"core": {"paralelism": 64}}})
    assert fault.key == "airflow:config.core.paralelism"
    assert fault.remedy == "did you mean core.parallelism?"


def test_the_remedy_for_an_option_of_an_older_airflow_is_its_current_name():
    assert the_fault({"airflow:config": {"webserver": {"base_url": "x"}}}).remedy == (
        "it is now called api.base_url: set airflow:web.domain"
    )
    fault = the_fault({"airflow:config": {"scheduler": {"min_file_process_interval": 60}}})
    assert fault.remedy.startswith("write it as dag_processor.min_file_process_interval, its current name, and check")


@pytest.mark.parametrize(
    ("section", "option"), [("dag_processor", "refresh_interval"), ("scheduler", "dag_dir_list_interval")]
)
def test_the_fault_for_the_refresh_interval_names_the_option_that_works_with_several_masters(section: str, option: str):
    fault = the_fault({"airflow:config": {section: {option: 60}}})
    assert "set dag_processor.bundle_refresh_check_interval" in fault.remedy
    assert faults_of({"airflow:config": {"dag_processor": {"bundle_refresh_check_interval": 60}}}) == ()


def test_the_remedy_for_an_option_that_became_a_connection_is_the_connection():
    for option in ("smtp_user", "smtp_password"):
        fault = the_fault({"airflow:config": {"smtp": {option: "hunter2"}}})
        assert "SMTP connection (`smtp_default`)" in fault.remedy
        assert "hunter2" not in str(fault)


@pytest.mark.parametrize(
    ("section", "package"), [("elasticsearch", "elasticsearch"), ("openlineage", "openlineage"), ("edge", "edge3")]
)
def test_the_remedy_for_a_section_of_a_missing_provider_is_the_provider(section: str, package: str):
    fault = the_fault({"airflow:config": {section: {"host": "x"}}})
    assert f"add apache-airflow-providers-{package} to airflow-requirements.txt and run `make lock`" in fault.remedy


def test_the_fault_for_another_executor_says_what_runs_the_tasks():
    assert "Celery workers" in the_fault({"airflow:config": {"kubernetes_executor": {"namespace": "x"}}}).remedy
    assert "Celery workers" in the_fault({"airflow:config": {"core": {"executor": "LocalExecutor"}}}).remedy


@pytest.mark.parametrize(("section", "option"), [("core", "auth_manager"), ("fab", "config_file")])
def test_the_fault_for_a_single_sign_on_option_says_that_there_is_none(section: str, option: str):
    assert "there is no single sign-on" in the_fault({"airflow:config": {section: {option: "x"}}}).remedy


@pytest.mark.parametrize(
    ("section", "option", "value", "remedy"),
    [
        ("core", "default_impersonation", "etl", "NoNewPrivileges"),
        ("core", "security", "kerberos", "no Kerberos"),
        ("logging", "base_log_folder", "/var/log/airflow", "/var/lib/airflow/logs"),
        ("api", "ssl_cert", "/etc/ssl/a.pem", "airflow:web.domain"),
        ("api", "host", "127.0.0.1", "at its own address"),
    ],
)
def test_an_option_that_cannot_work_on_the_nodes_is_refused(section: str, option: str, value: object, remedy: str):
    fault = the_fault({"airflow:config": {section: {option: value}}})
    assert remedy in fault.remedy
    assert faults_of({"airflow:config": {section: {option: ""}}}) == ()


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("api", "host", "0.0.0.0"),  # noqa: S104 - nothing listens here
        ("logging", "base_log_folder", "/var/lib/airflow/logs"),
        ("core", "dags_folder", "/opt/dags"),
        ("celery", "flower_port", 5555),
        ("kerberos", "ccache", "/run/krb5cc"),
        ("aws_ecs_executor", "cluster", "airflow"),
        ("core", "simple_auth_manager_users", "admin:admin"),
    ],
)
def test_an_option_that_stops_no_service_is_accepted(section: str, option: str, value: object):
    assert faults_of({"airflow:config": {section: {option: value}}}) == ()


def test_an_option_for_a_secret_is_refused_even_if_nothing_reads_it():
    fault = the_fault({"airflow:config": {"celery": {"flower_basic_auth": "me:hunter2"}}})
    assert fault.remedy == "remove it: no node runs Flower"
    assert "hunter2" not in str(fault)


@pytest.mark.parametrize(
    ("section", "option", "remedy"),
    [
        ("core", "execter", "if core.executor was meant: leave it out: tasks run on the Celery workers"),
        ("celery", "worker_concurency", "if celery.worker_concurrency was meant: set concurrency of the pool in "),
        ("core", "fernet_keyy", "if core.fernet_key was meant: leave it out: the program creates this secret"),
        ("database", "sql_alchemy_con", "if database.sql_alchemy_conn was meant: leave it out: the program creates"),
    ],
)
def test_no_remedy_proposes_an_option_that_is_refused_as_well(section: str, option: str, remedy: str):
    assert the_fault({f"airflow:config.{section}": {option: "x"}}).remedy.startswith(remedy)


def test_options_are_written_in_lower_case():
    assert the_fault({"airflow:config": {"Core": {"Parallelism": 64}}}).remedy == "did you mean core.parallelism?"


@pytest.mark.parametrize("value", [{"a": 1}, [64], None, "6\n4"])
def test_an_option_of_the_wrong_kind_does_not_hide_another_fault(value: object):
    options = {
        "core": {"parallelism": value, "paralelism": 1, "fernet_key": "x"},
        "celery": {"worker_concurrency": 8},
        "api": {"workers": 100},
    }
    assert {fault.key for fault in faults_of({"airflow:config": options})} == {
        "airflow:config.core.parallelism",
        "airflow:config.core.paralelism",
        "airflow:config.core.fernet_key",
        "airflow:config.celery.worker_concurrency",
        "airflow:database.instanceClass",
    }, "a hundred api-server processes on each master need more connections than the database has"


def test_a_section_of_the_wrong_kind_does_not_hide_another_fault():
    faults = faults_of({"airflow:config": {"core": "fast", "api": {"workers": 0}}})
    assert [fault.key for fault in faults] == ["airflow:config.core", "airflow:config.api.workers"]


@pytest.mark.parametrize(
    "options", [{"database": {"sql_alchemy_pool_size": []}}, {"operators": {"default_queue": []}}, {"operators": 1}]
)
def test_a_rule_reports_nothing_about_an_option_that_is_faulty_itself(options: dict[str, object]):
    changes = {"airflow:config": options, "airflow:workerPools.default.queues": ["light"]}
    if "database" in options:
        changes = {"airflow:config": options, "airflow:workerPools.default.maxSize": 40}
    (section,) = options
    assert the_fault(changes).key.startswith(f"airflow:config.{section}")


def test_the_remedy_for_a_password_of_an_unknown_option_is_a_connection():
    fault = the_fault({"airflow:config": {"github": {"password": "hunter2"}}})
    assert "an Airflow connection" in fault.remedy
    assert "hunter2" not in str(fault)


def test_the_remedy_for_an_option_that_resembles_no_other_is_to_remove_it():
    fault = the_fault({"airflow:config": {"zzzzzz": {"qqqqqqq": 1}}})
    assert fault.remedy.startswith("remove it; if it is an option of a provider, add the provider")


@pytest.mark.parametrize(("section", "option"), sorted(LOCKED_OPTIONS))
def test_an_option_that_the_program_sets_is_refused(section: str, option: str):
    fault = the_fault({f"airflow:config.{section}": {option: "x"}})
    assert fault.given == "an option that the program sets itself"


def test_the_remedy_for_worker_concurrency_is_the_pools_setting():
    fault = the_fault({"airflow:config": {"celery": {"worker_concurrency": 8}}})
    assert fault.remedy == "set concurrency of the pool in airflow:workerPools"


_OPTIONS_FOR_SECRETS = {
    name for role in Role for name in role.definition.secrets.values() if name.startswith("AIRFLOW__")
}


@pytest.mark.parametrize("variable", sorted(_OPTIONS_FOR_SECRETS))
def test_a_secret_of_a_service_is_refused_without_being_shown(variable: str):
    _, section, option = variable.lower().split("__")
    with pytest.raises(SettingsError) as refusal:
        load(changed({"airflow:config": {section: {option: "hunter2"}}}))
    assert [fault.key for fault in refusal.value.faults] == [f"airflow:config.{section}.{option}"]
    assert "hunter2" not in str(refusal.value), "the report ends in the log of a pull request"


# A backend whose arguments the program does not know.
_OTHER = "airflow.providers.hashicorp.secrets.vault.VaultBackend"


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("secrets", "backend_kwargs", '{"connections_prefix": "airflow/connections", "variables_prefix": null}'),
        ("workers", "secrets_backend_kwargs", '{"connections_prefix": "/airflow/connections", "region_name": "x"}'),
        ("logging", "remote_task_handler_kwargs", '{"delete_local_copy": true}'),
        ("database", "sql_alchemy_engine_args", '{"pool_timeout": 60}'),
        ("core", "asset_manager_kwargs", ""),
    ],
)
def test_arguments_that_are_not_secrets_may_be_set(section: str, option: str, value: str):
    backend = {"secrets": {"backend": _OTHER}, "workers": {"secrets_backend": _OTHER}}.get(section, {})
    assert faults_of({"airflow:config": {section: {option: value, **backend}}}) == ()


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ('{"url": "https://vault", "auth_type": "approle", "secret_id": "hunter2"}', "secret_id"),
        ('{"extra": [{"token": "hunter2"}]}', "extra.token"),
        ('{"url": "https://airflow:hunter2@vault.corp"}', "url"),
        ('{"token_path": "https://airflow:hunter2@vault.corp"}', "token_path"),
        ('{"credentials": {"value": ["hunter2"]}}', "credentials.value"),
    ],
)
def test_an_argument_that_is_a_secret_is_refused_without_being_shown(value: str, argument: str):
    fault = the_fault({"airflow:config": {"secrets": {"backend": _OTHER, "backend_kwargs": value}}})
    assert fault.given.startswith(f"the argument {argument}, which looks like a secret")
    assert fault.remedy.startswith(f"remove {argument}: ")
    assert "hunter2" not in str(fault)


@pytest.mark.parametrize(
    "argument",
    [
        '"are_secret_values_urlencoded": false',
        '"secrets_prefix": "airflow"',
        '"secret_name_prefix": "airflow/"',
        '"token_path": "/run/token"',
        '"service_account_key_file": "/etc/key.json"',
        '"connections_lookup_pattern": "^prod", "secrets_lookup_pattern": "^prod"',
        '"max_tokens": 5',
        '"tokenizer": 1',
        '"token": null',
        '"extra_conn_words": {"password": ["pwd"], "conn_type": ["engine"]}',
    ],
)
def test_an_argument_that_only_resembles_a_secret_is_accepted(argument: str):
    config = {"secrets": {"backend": _OTHER, "backend_kwargs": f"{{{argument}}}"}}
    assert faults_of({"airflow:config": config}) == ()


@pytest.mark.parametrize("value", ["connections_prefix=airflow", "[1]", "{'a': 1}"])
def test_arguments_must_be_a_json_object(value: str):
    fault = the_fault({"airflow:config": {"secrets": {"backend_kwargs": value}}})
    assert fault.allowed == "arguments as a JSON object"
    assert value not in str(fault), "it may be a secret"


def test_the_remedy_for_a_secret_that_no_connection_can_replace_suggests_none():
    fault = the_fault({"airflow:config": {"sentry": {"sentry_dsn": "https://hunter2@sentry.io/1"}}})
    assert fault.remedy.startswith("leave it out: the nodes have no way to fetch a secret for this option")
