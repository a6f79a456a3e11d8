"""Options that exist but that a stack file may not set, or that nothing here reads, with what to do instead."""

from __future__ import annotations

import re
from collections.abc import Iterator

from node.airflow_options import lookup
from node.environment import LOCKED_OPTIONS, config_text
from node.roles import DEFINITIONS
from settings import schema
from settings.errors import Fault
from settings.sections.airflow_config.types import Config, options

# What to do instead of setting a locked option.
_NO_SINGLE_SIGN_ON = (
    "leave it out: users log in with user names and passwords stored in Airflow; there is no single sign-on"
)
INSTEAD = {
    ("core", "executor"): "leave it out: tasks run on the Celery workers of airflow:workerPools, and nowhere else",
    ("core", "auth_manager"): _NO_SINGLE_SIGN_ON,
    ("fab", "config_file"): _NO_SINGLE_SIGN_ON,
    ("core", "plugins_folder"): "leave it out: put the plugins into airflow-plugins/ of this repository",
    ("celery", "worker_concurrency"): "set concurrency of the pool in airflow:workerPools",
    ("celery", "worker_autoscale"): "set concurrency of the pool in airflow:workerPools",
    ("api", "base_url"): "set airflow:web.domain",
    (
        "fab",
        "cookie_secure",
    ): "set airflow:web.domain: the UI then uses HTTPS, and its cookies are sent over HTTPS only",
    ("logging", "remote_base_log_folder"): "leave it out: logs go to the stack's own bucket",
    ("dag_processor", "dag_bundle_config_list"): "leave it out: DAGs are releases in the stack's own bucket",
    ("dag_processor", "refresh_interval"): "set dag_processor.bundle_refresh_check_interval instead: each master "
    "looks for a new release of the DAGs that often, every 5 seconds by default",
    ("dag_processor", "stale_bundle_cleanup_interval"): "set dag_processor.stale_bundle_cleanup_min_versions instead: "
    "a node keeps as many releases of the DAGs that nobody uses, 10 by default",
}
NO_CELERY_WORKER = "remove it: tasks run on the Celery workers of airflow:workerPools, and nowhere else"
_NO_TLS = (
    "leave it out: the load balancer has the certificate of airflow:web.domain, and connects to the nodes over HTTP"
)
_NO_KERBEROS = "remove it: the nodes have no Kerberos; keep credentials for other systems in connections"
_NO_FLOWER = "remove it: no node runs Flower"
# Options that exist but would stop a service on these nodes or its tasks, with the remedy.
UNWORKABLE = {
    ("core", "default_impersonation"): "remove it: tasks run as the user airflow; to run them as another "
    "user, Airflow needs sudo, which the systemd units forbid (NoNewPrivileges)",
    ("core", "security"): _NO_KERBEROS,
    (
        "core",
        "unit_test_mode",
    ): "remove it: with it, Airflow would replace its configuration with that of its own tests",
    ("logging", "base_log_folder"): "remove it: logs stay in /var/lib/airflow/logs, where services may write, until "
    "they are uploaded to the stack's own bucket",
    ("logging", "dag_processor_child_process_log_directory"): "remove it: these logs are in /var/lib/airflow/logs, "
    "where the service may write and from which systemd-tmpfiles deletes them after a week",
    ("api", "host"): "remove it: the load balancer connects to each node at its own address",
    ("api", "ssl_cert"): _NO_TLS,
    ("api", "ssl_key"): _NO_TLS,
}
# What these options are on the nodes if they are left out: to write it changes nothing.
_NODES_VALUE = {
    ("api", "host"): "0.0.0.0",  # noqa: S104 - Airflow's default; security groups limit who connects
    ("logging", "base_log_folder"): "/var/lib/airflow/logs",
    ("logging", "dag_processor_child_process_log_directory"): "/var/lib/airflow/logs/dag_processor",
}
# Options and sections that exist but that nothing in this cluster reads, with what to do instead.
_UNREAD = {
    ("core", "dags_folder"): "remove it: DAGs are releases in the stack's own bucket",
    **{("celery", f"flower_{option}"): _NO_FLOWER for option in ("host", "port", "url_prefix", "basic_auth")},
    **{
        ("core", f"simple_auth_manager_{option}"): _NO_SINGLE_SIGN_ON
        for option in ("users", "all_admins", "passwords_file")
    },
}
_UNREAD_SECTIONS = {
    "kerberos": _NO_KERBEROS,
    "aws_auth_manager": _NO_SINGLE_SIGN_ON,
    **dict.fromkeys(
        ("aws_batch_executor", "aws_ecs_executor", "aws_eks_executor", "aws_lambda_executor"), NO_CELERY_WORKER
    ),
    "celery_kubernetes_executor": NO_CELERY_WORKER,
}
# The options for secrets that the program creates.
_OWN_SECRETS = frozenset(
    tuple(variable.lower().split("__")[1:])
    for definition in DEFINITIONS.values()
    for variable in definition.secrets.values()
    if variable.startswith("AIRFLOW__")
)
# Options that Airflow treats as sensitive because their arguments may include a secret.
ARGUMENTS = re.compile(r".*_(kwargs|engine_args)")


def refusal(section: str, option: str) -> str | None:
    """What to do instead of setting an option that exists but is refused with any value; None for all others."""
    if (section, option) in LOCKED_OPTIONS:
        return _locked_advice(section, option)
    unworkable = UNWORKABLE.get((section, option))
    if unworkable is None and lookup.sensitive(section, option) and not ARGUMENTS.fullmatch(option):
        return secret_advice(section, option)
    return unworkable


def _unread(section: str, option: str) -> str | None:
    return _UNREAD_SECTIONS.get(section) or _UNREAD.get((section, option))


def _locked_advice(section: str, option: str) -> str:
    return INSTEAD.get((section, option), "leave it out: other parts of the cluster rely on the program's value")


def secret_advice(section: str, option: str) -> str:
    if unread := _unread(section, option):
        return unread
    if (section, option) in _OWN_SECRETS or section in ("celery", "database"):
        return "leave it out: the program creates this secret, and nodes fetch it from Secrets Manager"
    return "leave it out: the nodes have no way to fetch a secret for this option; tasks get theirs from connections"


def options_are_not_locked(config: Config) -> Iterator[Fault]:
    """Options with which the parts of the cluster find each other are not set: they must be the same on both sides."""
    for section, option, _ in options(config):
        if (section, option) in LOCKED_OPTIONS:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that the program sets itself",
                allowed="options on which no other part of the cluster relies",
                remedy=_locked_advice(section, option),
            )


def options_can_work_here(config: Config) -> Iterator[Fault]:
    """Options that would stop a service on the nodes, or its tasks, are not set."""
    for section, option, value in options(config):
        advice = UNWORKABLE.get((section, option))
        harmless = ("", "false", _NODES_VALUE.get((section, option)))
        if advice and config_text(value).lower() not in harmless:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that would stop services or tasks on these nodes",
                allowed="options that work with the services on the nodes, as this cluster runs them",
                remedy=advice,
            )


def options_are_read(config: Config) -> Iterator[str]:
    """A warning about each option that exists but that nothing in this cluster reads."""
    for section, option, _ in options(config):
        advice = _unread(section, option)
        if advice and lookup.exists(section, option):
            key = schema.key_of(("config", section, option))
            yield f"{key}. Nothing in this cluster reads it. {advice[0].upper()}{advice[1:]}."
