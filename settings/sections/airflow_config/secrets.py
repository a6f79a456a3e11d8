"""Options whose values are secrets, or arguments that may include one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from node.airflow_options import lookup
from node.environment import LOCKED_OPTIONS, config_text
from settings import schema
from settings.errors import Fault
from settings.sections.airflow_config.existence import is_passed_on
from settings.sections.airflow_config.refusals import ARGUMENTS, UNWORKABLE, secret_advice
from settings.sections.airflow_config.types import Config, options

# Names of arguments that Airflow itself masks: DEFAULT_SENSITIVE_FIELDS in airflow/_shared/secrets_masker.
_SECRET_ARGUMENT = re.compile(
    r"access_key|api_?key|auth_header|authorization|bearer|connection_string|credential|dsn|keyfile|passphrase|passw|private_key|secret"
    r"|service_account|service_key|token|webhook_url",
    re.IGNORECASE,
)
# Arguments with such names hold where a secret is, or its name.
_NO_SECRET_ARGUMENT = re.compile(r".*_(prefix|path|file|pattern)", re.IGNORECASE)
# An argument of Amazon's SecretsManagerBackend: further names for the fields of a connection.
_WORDS_FOR_FIELDS = "extra_conn_words"
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def options_hold_no_secrets(config: Config) -> Iterator[Fault]:
    """Options that Airflow treats as sensitive are not set: secrets do not belong in a stack file or in user data.

    Some of them hold arguments, few of which are secrets: these options may be set without arguments that look like
    secrets.
    """
    for section, option, value in options(config):
        key = schema.key_of(("config", section, option))
        if (section, option) in LOCKED_OPTIONS or (section, option) in UNWORKABLE:
            continue
        if not lookup.exists(section, option):
            secret = is_passed_on(section, option) and any(_secret_arguments({option: _content(value)}))
        elif ARGUMENTS.fullmatch(option) and lookup.sensitive(section, option):
            yield from _faults_of_arguments(key, config_text(value))
            continue
        else:
            secret = lookup.sensitive(section, option)
        if secret:
            yield Fault(
                key=key,
                given="a value, not shown: the option is for a secret",
                allowed="options that Airflow does not treat as sensitive: options are readable on every node",
                remedy=secret_advice(section, option),
            )


def _content(value: str | int | float | bool) -> Any:
    """The content of a value in JSON; otherwise the value itself."""
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
            remedy='write it in single quotes, as JSON: \'{"connections_lookup_pattern": "smtp_"}\'',
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
    """The paths of strings in `arguments` that look like secrets; `secret` is true if an outer name does."""
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
