"""Whether Airflow has the options in `airflow:config`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from node.airflow_options import lookup
from settings import schema
from settings.errors import Fault
from settings.sections.airflow_config.refusals import NO_CELERY_WORKER, refusal
from settings.sections.airflow_config.types import Config, options

# Sections whose options Airflow passes on without checking their names: to Celery's transports (default_celery.py of
# the provider) and to Sentry (airflow/sdk/execution_time/sentry/configured.py).
_OPEN_SECTIONS = ("celery_broker_transport_options", "celery_result_backend_transport_options", "sentry")
# A name that a variable can have, and that Airflow does not read as a command or a secret's name that yields the value.
_OPEN_OPTION = re.compile(r"[a-z0-9_]+(?<!_cmd)(?<!_secret)")
# Sections of providers that are not in the lock, with the provider that would have to be added to it.
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
# For an unknown option with such a name, suggesting the nearest spelling would not help.
_SECRET_WORDS = ("password", "token")


def options_exist(config: Config) -> Iterator[Fault]:
    """Options in `airflow:config` exist in the pinned Airflow or its providers; Airflow would ignore others.

    Sections that Airflow passes on whole to Celery or Sentry may have any option.
    """
    for section, option, _ in options(config):
        if lookup.exists(section, option) or is_passed_on(section, option):
            continue
        yield Fault(
            key=schema.key_of(("config", section, option)),
            given="an option that does not exist",
            allowed="options of the Airflow that the nodes install, and of its providers "
            "(node/airflow_options/registry.json)",
            remedy=_remedy_for_unknown(section.lower(), option.lower()),
        )


def is_passed_on(section: str, option: str) -> bool:
    """Whether Airflow passes the option on without checking its name."""
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
        return NO_CELERY_WORKER
    return f"remove it; or add apache-airflow-providers-{provider} to airflow-requirements.txt and run `make lock`"


def names_are_not_near_misses(config: Config) -> Iterator[str]:
    """A warning about each option that Airflow passes on unchecked, but whose name is almost that of a known option."""
    for section, option, _ in options(config):
        if is_passed_on(section, option) and not lookup.exists(section, option):
            for known in difflib.get_close_matches(option, lookup.names(section), n=1, cutoff=0.85):
                yield (
                    f"{schema.key_of(('config', section, option))}. Airflow does not describe this option but passes "
                    f"it on, and it may have no effect: if {known} was meant, rename it."
                )
