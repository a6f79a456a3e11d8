"""What `airflow:config` may set: options the pinned Airflow has, that are no secrets and not the program's own."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from node.airflow_options import lookup
from node.environment import MANAGED_OPTIONS, config_text
from node.roles import DEFINITIONS
from settings import schema
from settings.errors import Fault

if TYPE_CHECKING:
    from settings.stack import Settings

# What to do instead of setting a managed option.
_NO_SINGLE_SIGN_ON = (
    "leave it out: users log in with user names and passwords stored in Airflow; there is no single sign-on"
)
_INSTEAD = {
    ("core", "executor"): "leave it out: tasks run on the Celery workers of airflow:workerPools, and nowhere else",
    ("core", "auth_manager"): _NO_SINGLE_SIGN_ON,
    ("fab", "config_file"): _NO_SINGLE_SIGN_ON,
    ("celery", "worker_concurrency"): "set concurrency of the pool in airflow:workerPools",
    ("celery", "worker_autoscale"): "set concurrency of the pool in airflow:workerPools",
    ("api", "base_url"): "set airflow:web.domain",
    (
        "fab",
        "cookie_secure",
    ): "set airflow:web.domain: the UI then uses HTTPS, and its cookies are sent over HTTPS only",
    ("logging", "remote_base_log_folder"): "leave it out: logs go to the stack's own bucket",
    ("dag_processor", "dag_bundle_config_list"): "leave it out: DAGs come from the stack's own bucket",
    ("dag_processor", "refresh_interval"): "set dag_processor.bundle_refresh_check_interval instead: each master "
    "fetches the DAGs that often, every 5 seconds by default",
}

_NO_CELERY_WORKER = "remove it: tasks run on the Celery workers of airflow:workerPools, and nowhere else"
_NO_TLS = (
    "leave it out: the load balancer has the certificate of airflow:web.domain, and connects to the nodes over HTTP"
)
_NO_KERBEROS = "remove it: the nodes have no Kerberos; keep credentials for other systems in connections"
_NO_FLOWER = "remove it: no node runs Flower"

# Options that exist but would stop a service on these nodes or its tasks, with the remedy.
_UNWORKABLE = {
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
    ("core", "dags_folder"): "remove it: DAGs come from the stack's own bucket",
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
        ("aws_batch_executor", "aws_ecs_executor", "aws_eks_executor", "aws_lambda_executor"), _NO_CELERY_WORKER
    ),
    "celery_kubernetes_executor": _NO_CELERY_WORKER,
}

# Sections whose options Airflow passes on whole, whatever their names: to Celery's transports (default_celery.py of
# the provider) and to Sentry (airflow/sdk/execution_time/sentry/configured.py).
_OPEN_SECTIONS = ("celery_broker_transport_options", "celery_result_backend_transport_options", "sentry")
# A variable names it, and Airflow does not take it for a command or the name of a secret that yields the value.
_OPEN_OPTION = re.compile(r"[a-z0-9_]+(?<!_cmd)(?<!_secret)")

# Sections that people know from other deployments, and the provider that must be in the lock for Airflow to read them.
# Each provider documents them under "Configuration Reference": https://airflow.apache.org/docs/
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

# The options for secrets that the program creates.
_OWN_SECRETS = frozenset(
    tuple(variable.lower().split("__")[1:])
    for definition in DEFINITIONS.values()
    for variable in definition.secrets.values()
    if variable.startswith("AIRFLOW__")
)
# Options that Airflow treats as sensitive because their arguments may include a secret.
_ARGUMENTS = re.compile(r".*_(kwargs|engine_args)")
# Names of arguments that Airflow itself masks: DEFAULT_SENSITIVE_FIELDS in airflow/_shared/secrets_masker.
_SECRET_ARGUMENT = re.compile(
    r"access_key|api_?key|auth_header|authorization|bearer|connection_string|credential|dsn|keyfile|passphrase|passw|private_key|secret"
    r"|service_account|service_key|token|webhook_url",
    re.IGNORECASE,
)
# These say where a secret is or what it is called.
_NO_SECRET_ARGUMENT = re.compile(r".*_(prefix|path|file|pattern)", re.IGNORECASE)
# An argument of Amazon's SecretsManagerBackend: further names for the fields of a connection.
_WORDS_FOR_FIELDS = "extra_conn_words"
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")
# For an unknown option with such a name, the nearest spelling is no help.
_SECRET_WORDS = ("password", "token")


def options_exist(settings: Settings) -> Iterator[Fault]:
    """Options in `airflow:config` exist in the pinned Airflow or its providers; Airflow would ignore others.

    Sections that Airflow passes on whole to Celery or Sentry may have any option.
    """
    for section, option, _ in _options(settings):
        if lookup.exists(section, option) or _is_passed_on(section, option):
            continue
        yield Fault(
            key=schema.key_of(("config", section, option)),
            given="an option that does not exist",
            allowed="options of the Airflow that the nodes install, and of its providers "
            "(node/airflow_options/registry.json)",
            remedy=_remedy_for_unknown(section.lower(), option.lower()),
        )


def _is_passed_on(section: str, option: str) -> bool:
    return section in _OPEN_SECTIONS and bool(_OPEN_OPTION.fullmatch(option))


def _remedy_for_unknown(section: str, option: str) -> str:
    renamed = lookup.renamed(section, option)
    if renamed is not None:
        return _remedy_for_renamed(*renamed)
    advice = lookup.advice_on_removed(section, option)
    if advice is not None:
        return f"remove it; Airflow's own upgrade check says: {advice}"
    if any(word in option for word in _SECRET_WORDS):
        return "remove it: store the secret in an Airflow connection, which is encrypted in the database"
    if section in _PROVIDERS:
        return _remedy_for_provider(section)
    found = lookup.nearest(section, option)
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
        return f"it is now called {section}.{option}: {advice}"
    return f"write it as {section}.{option}, its current name, and check the value: its unit may have changed"


def _remedy_for_provider(section: str) -> str:
    provider = _PROVIDERS[section]
    if provider is None:
        return _NO_CELERY_WORKER
    return f"remove it; or add apache-airflow-providers-{provider} to airflow-requirements.txt and run `make lock`"


def refusal(section: str, option: str) -> str | None:
    """What to do instead of setting an option that exists but is refused with any value; None for all others."""
    if (section, option) in MANAGED_OPTIONS:
        return _managed_advice(section, option)
    unworkable = _UNWORKABLE.get((section, option))
    if unworkable is None and lookup.sensitive(section, option) and not _ARGUMENTS.fullmatch(option):
        return _secret_advice(section, option)
    return unworkable


def _unread(section: str, option: str) -> str | None:
    return _UNREAD_SECTIONS.get(section) or _UNREAD.get((section, option))


def _managed_advice(section: str, option: str) -> str:
    return _INSTEAD.get((section, option), "leave it out: other parts of the cluster rely on the program's value")


def _secret_advice(section: str, option: str) -> str:
    if unread := _unread(section, option):
        return unread
    if (section, option) in _OWN_SECRETS or section in ("celery", "database"):
        return "leave it out: the program creates this secret, and nodes fetch it from Secrets Manager"
    return "leave it out: the nodes have no way to fetch a secret for this option; tasks get theirs from connections"


def options_are_not_managed(settings: Settings) -> Iterator[Fault]:
    """Options with which the parts of the cluster find each other are not set: they must be the same on both sides."""
    for section, option, _ in _options(settings):
        if (section, option) in MANAGED_OPTIONS:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that the program sets itself",
                allowed="options on which no other part of the cluster relies",
                remedy=_managed_advice(section, option),
            )


def options_can_work_here(settings: Settings) -> Iterator[Fault]:
    """Options that would stop a service on the nodes, or its tasks, are not set."""
    for section, option, value in _options(settings):
        advice = _UNWORKABLE.get((section, option))
        harmless = ("", "false", _NODES_VALUE.get((section, option)))
        if advice and config_text(value).lower() not in harmless:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that would stop services or tasks on these nodes",
                allowed="options that work with the services on the nodes, as this cluster runs them",
                remedy=advice,
            )


def unread_options(settings: Settings) -> Iterator[tuple[str, str]]:
    """The keys of options that exist but that nothing in this cluster reads, each with what to do instead."""
    for section, option, _ in _options(settings):
        advice = _unread(section, option)
        if advice and lookup.exists(section, option):
            yield schema.key_of(("config", section, option)), advice


def options_hold_no_secrets(settings: Settings) -> Iterator[Fault]:
    """Options that Airflow treats as sensitive are not set: secrets do not belong in a stack file or in user data.

    Some of them hold arguments, few of which are secrets: these options may be set without arguments that look like
    secrets.
    """
    for section, option, value in _options(settings):
        key = schema.key_of(("config", section, option))
        if (section, option) in MANAGED_OPTIONS or (section, option) in _UNWORKABLE:
            continue
        if not lookup.exists(section, option):
            secret = _is_passed_on(section, option) and any(_secret_arguments({option: _content(value)}))
        elif _ARGUMENTS.fullmatch(option) and lookup.sensitive(section, option):
            yield from _faults_of_arguments(key, config_text(value))
            continue
        else:
            secret = lookup.sensitive(section, option)
        if secret:
            yield Fault(
                key=key,
                given="a value, not shown: the option is for a secret",
                allowed="options that Airflow does not treat as sensitive: options are readable on every node",
                remedy=_secret_advice(section, option),
            )


def near_misses(settings: Settings) -> Iterator[tuple[str, str]]:
    """The keys of options that are passed on whatever their names, but nearly have the name of one that Airflow knows;
    each with that name."""
    for section, option, _ in _options(settings):
        if _is_passed_on(section, option) and not lookup.exists(section, option):
            for known in difflib.get_close_matches(option, lookup.names(section), n=1, cutoff=0.85):
                yield schema.key_of(("config", section, option)), known


def _content(value: str | int | float | bool) -> Any:
    """What JSON in a value says, or the value itself."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


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
            allowed="arguments that are not secrets: options are readable on every node",
            remedy=f"remove {name}: AWS services accept the nodes' IAM roles; a service that needs a secret of its own "
            "cannot be used here",
        )


def _secret_arguments(arguments: Any, at: str = "", secret: bool = False) -> Iterator[str]:
    """The paths of strings in `arguments` that look like secrets; `secret` says that an outer name does."""
    if isinstance(arguments, dict):
        for name, value in arguments.items():
            if name != _WORDS_FOR_FIELDS:
                yield from _secret_arguments(value, f"{at}.{name}" if at else name, secret or _is_secret(name))
    elif isinstance(arguments, list):
        for value in arguments:
            yield from _secret_arguments(value, at, secret)
    elif isinstance(arguments, str) and arguments and (secret or _PASSWORD_IN_URL.search(arguments)):
        yield at


def _is_secret(name: str) -> bool:
    return bool(_SECRET_ARGUMENT.search(name)) and not _NO_SECRET_ARGUMENT.fullmatch(name)


def _options(settings: Settings) -> Iterator[tuple[str, str, str | int | float | bool]]:
    for section, options in settings.config.items():
        for option, value in options.items():
            yield section, option, value
