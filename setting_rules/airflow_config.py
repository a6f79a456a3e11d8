"""What `airflow:config` may set: options the pinned Airflow has, that are no secrets and not the program's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from node import airflow_options
from node.environment import MANAGED_OPTIONS, config_text
from node.roles import SECRETS
from setting_rules import schema
from setting_rules.faults import Fault

if TYPE_CHECKING:
    from settings import Settings

# What an operator who sets a managed option may be after, and has instead.
_NO_SINGLE_SIGN_ON = (
    "leave it out: people log in with names and passwords that Airflow keeps; there is no single sign-on"
)
_INSTEAD = {
    ("core", "executor"): "leave it out: tasks run on the Celery workers of airflow:workerPools, and nowhere else",
    ("core", "auth_manager"): _NO_SINGLE_SIGN_ON,
    ("fab", "config_file"): _NO_SINGLE_SIGN_ON,
    ("celery", "worker_concurrency"): "set concurrency of the pool in airflow:workerPools",
    ("celery", "worker_autoscale"): "set concurrency of the pool in airflow:workerPools",
    ("api", "base_url"): "set airflow:web.domain",
    ("fab", "cookie_secure"): "set airflow:web.domain: with it the UI has HTTPS, and its cookies are for HTTPS only",
    ("logging", "remote_base_log_folder"): "leave it out: logs go to the stack's own bucket",
    ("dag_processor", "dag_bundle_config_list"): "leave it out: DAGs come from the stack's own bucket",
}

# Options that exist and cannot work on these nodes, or that nothing here reads.
_NO_CELERY_WORKER = "remove it: tasks run on the Celery workers of airflow:workerPools, and nowhere else"
_NO_TLS = "leave it out: the load balancer has the certificate of airflow:web.domain, and asks the nodes by HTTP"
_UNWORKABLE = {
    ("core", "default_impersonation"): "remove it: tasks run as the user airflow; the units forbid sudo "
    "(NoNewPrivileges), without which Airflow cannot change to another user",
    ("core", "security"): "remove it: the nodes have no Kerberos; keep the credentials of other systems in connections",
    ("core", "dags_folder"): "remove it: DAGs come from the stack's own bucket",
    ("core", "unit_test_mode"): "remove it: with it Airflow would replace its configuration by that of its own tests",
    ("logging", "base_log_folder"): "remove it: logs wait in /var/lib/airflow/logs, where services may write, until "
    "they are in the stack's own bucket",
    ("logging", "dag_processor_child_process_log_directory"): "remove it: these logs are in /var/lib/airflow/logs, "
    "where the service may write and systemd-tmpfiles deletes them after a week",
    ("api", "host"): "remove it: the load balancer asks each node's own address",
    ("api", "ssl_cert"): _NO_TLS,
    ("api", "ssl_key"): _NO_TLS,
    ("celery", "flower_host"): "remove it: no node runs Flower",
    ("celery", "flower_port"): "remove it: no node runs Flower",
    ("celery", "flower_url_prefix"): "remove it: no node runs Flower",
    ("celery", "flower_basic_auth"): "remove it: no node runs Flower",
    **{
        ("core", f"simple_auth_manager_{option}"): _NO_SINGLE_SIGN_ON
        for option in ("users", "all_admins", "passwords_file")
    },
}
_UNWORKABLE_SECTIONS = {
    "kerberos": _UNWORKABLE["core", "security"],
    "aws_auth_manager": _NO_SINGLE_SIGN_ON,
    **dict.fromkeys(
        ("aws_batch_executor", "aws_ecs_executor", "aws_eks_executor", "aws_lambda_executor"), _NO_CELERY_WORKER
    ),
    "celery_kubernetes_executor": _NO_CELERY_WORKER,
}

# Sections that people bring from elsewhere, and the provider that has to be in the lock before Airflow reads them. Each
# provider's documentation has them under "Configuration Reference": https://airflow.apache.org/docs/
_PROVIDERS = {
    "azure_remote_logging": "microsoft-azure",
    "databricks": "databricks",
    "edge": "edge3",
    "elasticsearch": "elasticsearch",
    "elasticsearch_configs": "elasticsearch",
    "hive": "apache-hive",
    "imap": "imap",
    "kubernetes": None,
    "kubernetes_executor": None,
    "openlineage": "openlineage",
    "opensearch": "opensearch",
    "opensearch_configs": "opensearch",
    "snowflake": "snowflake",
    "spark": "apache-spark",
}

# Secrets that the program makes, by their options.
_OWN_SECRETS = frozenset(
    tuple(variable.lower().split("__")[1:])
    for variables in SECRETS.values()
    for variable in variables.values()
    if variable.startswith("AIRFLOW__")
)
# Options that Airflow counts as sensitive because a secret may be among their arguments.
_ARGUMENTS = re.compile(r".*_(kwargs|engine_args)")
# Names of arguments that Airflow itself masks: DEFAULT_SENSITIVE_FIELDS in airflow/_shared/secrets_masker.
_SECRET_ARGUMENT = re.compile(
    r"access_key|api_?key|auth_header|authorization|bearer|connection_string|credential|dsn|keyfile|passphrase|passw|private_key|secret"
    r"|service_account|service_key|token|webhook_url",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")
# Of an option that does not exist and is named like this, the nearest one by spelling is no help.
_SECRET_WORDS = ("password", "token")


def options_exist(settings: Settings) -> Iterator[Fault]:
    """Options of `airflow:config` exist in the pinned Airflow or its providers; Airflow would ignore others."""
    for section, option, _ in _options(settings):
        if airflow_options.exists(section, option):
            continue
        yield Fault(
            key=schema.key_of(("config", section, option)),
            given="an option that does not exist",
            allowed="options of the Airflow that the nodes install, and of its providers (node/airflow_options.json)",
            remedy=_remedy_for_unknown(section.lower(), option.lower()),
        )


def _remedy_for_unknown(section: str, option: str) -> str:
    renamed = airflow_options.renamed(section, option)
    if renamed is not None:
        return _remedy_for_renamed(*renamed)
    advice = airflow_options.advice_on_removed(section, option)
    if advice is not None:
        return f"remove it; what Airflow's own upgrade check says of it: {advice}"
    if any(word in option for word in _SECRET_WORDS):
        return "remove it: a secret's place is an Airflow connection, which the database keeps encrypted"
    if section in _PROVIDERS:
        return _remedy_for_provider(section)
    found = airflow_options.nearest(section, option)
    if found is None:
        return (
            "remove it; if it is an option of a provider, add the provider to airflow-requirements.txt and run "
            "`make lock`"
        )
    name, advice = ".".join(found), refusal(*found)
    return f"if {name} was meant: {advice}" if advice else f"did you mean {name}?"


def _remedy_for_renamed(section: str, option: str) -> str:
    advice = refusal(section, option)
    if advice:
        return f"it is called {section}.{option} now: {advice}"
    return f"write it as {section}.{option}, its name today, and check that the value still fits: its unit may differ"


def _remedy_for_provider(section: str) -> str:
    provider = _PROVIDERS[section]
    if provider is None:
        return _NO_CELERY_WORKER
    return f"remove it; or add apache-airflow-providers-{provider} to airflow-requirements.txt and run `make lock`"


def refusal(section: str, option: str) -> str | None:
    """What to do instead of setting an existing option that no value makes right; None for all others."""
    if (section, option) in MANAGED_OPTIONS:
        return _managed_advice(section, option)
    unworkable = _unworkable(section, option)
    if unworkable is None and airflow_options.sensitive(section, option) and not _ARGUMENTS.fullmatch(option):
        return _secret_advice(section, option)
    return unworkable


def _unworkable(section: str, option: str) -> str | None:
    return _UNWORKABLE_SECTIONS.get(section) or _UNWORKABLE.get((section, option))


def _managed_advice(section: str, option: str) -> str:
    return _INSTEAD.get((section, option), "leave it out: other parts of the cluster rely on the program's value")


def _secret_advice(section: str, option: str) -> str:
    if (section, option) in _OWN_SECRETS or section in ("celery", "database"):
        return "leave it out: the program makes this secret, and nodes fetch it from Secrets Manager"
    return "leave it out: the nodes have no way to fetch a secret for this option; tasks get theirs from connections"


def options_are_not_managed(settings: Settings) -> Iterator[Fault]:
    """Options by which the parts of the cluster find each other are not set: one side alone cannot change."""
    for section, option, _ in _options(settings):
        if (section, option) in MANAGED_OPTIONS:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that the program sets itself",
                allowed="options on which no other part of the cluster relies",
                remedy=_managed_advice(section, option),
            )


def options_can_work_here(settings: Settings) -> Iterator[Fault]:
    """Options that no node can follow, or that nothing in this cluster reads, are not set."""
    for section, option, value in _options(settings):
        advice = _unworkable(section, option)
        if advice and config_text(value).lower() not in ("", "false") and airflow_options.exists(section, option):
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that has no effect on these nodes, or would stop them",
                allowed="options of what the nodes run, as they run it",
                remedy=advice,
            )


def options_hold_no_secrets(settings: Settings) -> Iterator[Fault]:
    """Options that Airflow counts as sensitive are not set: a stack file and user data are no place for secrets.

    Some of them are arguments, of which few are secrets: these may be set, without the ones that look like secrets.
    """
    for section, option, value in _options(settings):
        told_already = (section, option) in MANAGED_OPTIONS or _unworkable(section, option)
        if told_already or not airflow_options.sensitive(section, option):
            continue
        key = schema.key_of(("config", section, option))
        if _ARGUMENTS.fullmatch(option):
            yield from _faults_of_arguments(key, config_text(value))
        else:
            yield Fault(
                key=key,
                given="a value, not shown: the option is for a secret",
                allowed="options that Airflow does not count as sensitive: what stands here is readable on every node",
                remedy=_secret_advice(section, option),
            )


def _faults_of_arguments(key: str, text: str) -> Iterator[Fault]:
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        yield Fault(
            key=key,
            given="a value, not shown: it is not a JSON object",
            allowed="arguments as a JSON object",
            remedy='write it in single quotes, as JSON: \'{"connections_prefix": "airflow/connections"}\'',
        )
        return
    for name in _secret_arguments(arguments):
        yield Fault(
            key=key,
            given=f"the argument {name}, which looks like a secret; its value is not shown",
            allowed="arguments that are no secrets: what stands here is readable on every node",
            remedy=f"remove {name}: on AWS the nodes' IAM roles are credentials enough; a service that wants a secret "
            "of its own cannot be used here",
        )


def _secret_arguments(arguments: Any, at: str = "") -> Iterator[str]:
    if isinstance(arguments, dict):
        for name, value in arguments.items():
            path = f"{at}.{name}" if at else name
            if _SECRET_ARGUMENT.search(name):
                yield path
            else:
                yield from _secret_arguments(value, path)
    elif isinstance(arguments, list):
        for value in arguments:
            yield from _secret_arguments(value, at)
    elif isinstance(arguments, str) and _PASSWORD_IN_URL.search(arguments):
        yield at


def _options(settings: Settings) -> Iterator[tuple[str, str, str | int | float | bool]]:
    for section, options in settings.config.items():
        for option, value in options.items():
            yield section, option, value
