"""`secrets.backend_kwargs`: the arguments of the backend in which masters look for connections and variables first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node.airflow_options.rendering import SECRETS_BACKEND, TASKS_SECRETS_BACKEND
from node.environment import config_text
from settings import schema
from settings.errors import Fault, shown
from settings.sections.airflow_config.types import Config

LONGEST_CACHE_SECONDS = 86_400


def _is_pattern(value: Any) -> bool:
    try:
        return value is None or bool(re.compile(value))
    except (re.error, TypeError):
        return False


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_CACHE_SECONDS


def _is_words(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(words, list) for words in value.values())


# What the arguments of node_secrets.py accept.
_PATTERN = (_is_pattern, "a regular expression, or null for any name")
ARGUMENTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "connections_lookup_pattern": _PATTERN,
    "variables_lookup_pattern": _PATTERN,
    "extra_conn_words": (_is_words, "an object with a list of words for each field of a connection"),
    "cache_seconds": (_is_duration, f"0 to {LONGEST_CACHE_SECONDS} seconds"),
}


def backend_has_these_arguments(config: Config) -> Iterator[Fault]:
    """The arguments of the program's backend exist and have values that it accepts; otherwise no service would start.

    Those of another backend, which `secrets.backend` names, are not checked.
    """
    if _text(config, "secrets", "backend", SECRETS_BACKEND) != SECRETS_BACKEND:
        return
    for name, value in _arguments(_text(config, "secrets", "backend_kwargs", "")).items():
        if name not in ARGUMENTS:
            yield Fault(
                key=schema.key_of(("config", "secrets", "backend_kwargs")),
                given=f"the argument {name}",
                allowed=f"arguments of {SECRETS_BACKEND}: {', '.join(ARGUMENTS)}",
                remedy=_remedy(name),
            )
            continue
        accepts, allowed = ARGUMENTS[name]
        if not accepts(value):
            yield Fault(
                key=schema.key_of(("config", "secrets", "backend_kwargs")),
                given=f"{name}: {shown(value)}",
                allowed=allowed,
                remedy=f"correct {name}, or leave it out",
            )


def _remedy(name: str) -> str:
    if name.endswith("_prefix"):
        return (
            f"remove {name}: the names begin with <cluster>/connections/ and <cluster>/variables/, which the masters' "
            "IAM role may read; for others, set secrets.backend to a backend of Airflow's too, and allow the role to "
            "read them"
        )
    return f"remove {name}, or set secrets.backend to the backend that it belongs to"


def tasks_backend_has_arguments_of_its_own(config: Config) -> Iterator[Fault]:
    """`workers.secrets_backend_kwargs` has a backend to which it belongs: the one that is the default takes none."""
    if _text(config, "workers", "secrets_backend", TASKS_SECRETS_BACKEND) != TASKS_SECRETS_BACKEND:
        return
    if _arguments(_text(config, "workers", "secrets_backend_kwargs", "")):
        yield Fault(
            key=schema.key_of(("config", "workers", "secrets_backend_kwargs")),
            given="arguments without a backend",
            allowed="arguments of the backend in workers.secrets_backend",
            remedy="remove them: tasks get connections and variables from the execution API, as secrets.backend finds "
            "them; or set workers.secrets_backend too",
        )


def _text(config: Config, section: str, option: str, default: str) -> str:
    return config_text(config.get(section, {}).get(option, default))


def _arguments(text: str) -> dict[str, Any]:
    """The arguments; none if they are no JSON object, which another rule reports."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
