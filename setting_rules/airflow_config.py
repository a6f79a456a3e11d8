"""What `airflow:config` may set: options the pinned Airflow has, that are no secrets and not the program's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from node import airflow_options
from node.environment import MANAGED_OPTIONS
from setting_rules import schema
from setting_rules.faults import Fault, shown

if TYPE_CHECKING:
    from settings import Settings

# Where the operator has another key for what a managed option says.
_INSTEAD = {
    ("celery", "worker_concurrency"): "set concurrency of the pool in airflow:workerPools",
    ("celery", "worker_autoscale"): "set concurrency of the pool in airflow:workerPools",
    ("api", "base_url"): "set airflow:web.domain",
    (
        "logging",
        "remote_base_log_folder",
    ): "leave it out: logs go to the stack's own bucket",
    ("dag_processor", "dag_bundle_config_list"): "leave it out: DAGs come from the stack's own bucket",
}
_SECRET_ADVICE = {
    "database": "leave it out: the program makes the database, its users and their passwords",
    "celery": "leave it out: the program makes the broker, the result database and their passwords",
}
# Of an option that does not exist and is named like this, the nearest one by spelling is no help.
_SECRET_WORDS = ("password", "token")
# Options whose value the connection budget is reckoned with, and the least that makes sense.
POOL_OPTIONS = {
    ("database", "sql_alchemy_pool_size"): 1,
    ("database", "sql_alchemy_max_overflow"): 0,
    ("api", "workers"): 1,
}


def options_exist(settings: Settings) -> Iterator[Fault]:
    """Options of `airflow:config` exist in the pinned Airflow or its providers; Airflow would ignore others."""
    for section, option in _options(settings):
        if airflow_options.exists(section, option):
            continue
        yield Fault(
            key=schema.key_of(("config", section, option)),
            given="an option that does not exist",
            allowed="options of the Airflow that the nodes install, and of its providers (node/airflow_options.json)",
            remedy=_remedy_for_unknown(section, option),
        )


def _remedy_for_unknown(section: str, option: str) -> str:
    if any(word in option.lower() for word in _SECRET_WORDS):
        return "remove it: a secret's place is an Airflow connection, which the database keeps encrypted"
    nearest = airflow_options.nearest(section.lower(), option.lower())
    if nearest is None:
        return "remove it"
    meant = ".".join(nearest)
    if nearest in MANAGED_OPTIONS:
        return f"if {meant} was meant: {_managed_advice(*nearest)}"
    if airflow_options.sensitive(*nearest):
        return f"if {meant} was meant: {_secret_advice(nearest[0])}"
    return f"did you mean {meant}?"


def _managed_advice(section: str, option: str) -> str:
    return _INSTEAD.get((section, option), "leave it out; the program gives it the value that fits")


def _secret_advice(section: str) -> str:
    return _SECRET_ADVICE.get(section, "leave it out; keep the secret in an Airflow connection")


def options_are_not_managed(settings: Settings) -> Iterator[Fault]:
    """Options by which the parts of the cluster find each other are not set: one side alone cannot change."""
    for section, option in _options(settings):
        if (section, option) in MANAGED_OPTIONS:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="an option that the program sets itself",
                allowed="options on which no other part of the cluster relies",
                remedy=_managed_advice(section, option),
            )


def options_hold_no_secrets(settings: Settings) -> Iterator[Fault]:
    """Options that Airflow counts as sensitive are not set: a stack file and user data are no place for secrets."""
    for section, option in _options(settings):
        if airflow_options.sensitive(section, option) and (section, option) not in MANAGED_OPTIONS:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="a value, not shown: the option is for a secret",
                allowed="options that Airflow does not count as sensitive: what stands here is readable on every node",
                remedy=_secret_advice(section),
            )


def pool_options_are_limits(settings: Settings) -> Iterator[Fault]:
    """Options that size pools of connections are limits: 0 or -1 would mean none, and the database has one."""
    for (section, option), least in POOL_OPTIONS.items():
        value = settings.config.get(section, {}).get(option, least)
        if not is_number(value) or int(value) < least:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given=shown(value),
                allowed=f"a whole number from {least} up: the database's connections are reckoned with it",
                remedy=f"set it to {least} or more; less would mean without limit, or none at all"
                if is_number(value)
                else "write it in digits",
            )


def is_number(value: str | int | float | bool) -> bool:
    """Whether Airflow would read a whole number here."""
    return not isinstance(value, bool | float) and str(value).removeprefix("-").isdecimal()


def _options(settings: Settings) -> Iterator[tuple[str, str]]:
    for section, options in settings.config.items():
        for option in options:
            yield section, option
