"""Loads the settings: reads Pulumi's configuration and the text of the stack file, and reports what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG

from settings import schema
from settings.rules import broken_rules, warnings
from settings.stack import Settings
from settings.stack_yaml import StackFile
from settings.types import nearest
from settings.validation import Encrypted, accept


def load_settings() -> Settings:
    """The stack's settings.

    Logs a warning about each setting that may be a mistake. Raises SettingsError with all faults of the stack file at
    once, before any resource is registered.
    """
    settings = accept(Settings, given(), rules=broken_rules, stack=pulumi.get_stack())
    for warning in warnings(settings):
        pulumi.log.warn(warning)
    return settings


def given() -> dict[str, Any]:
    """The content of the stack file by section; keys that the program does not read keep their namespace.

    All keys are read, because pulumi.Config returns only known keys and would hide a misspelt section.
    """
    found: dict[str, Any] = {}
    file = StackFile(Path(f"Pulumi.{pulumi.get_stack()}.yaml"), pulumi.get_project())
    for full_key in {**pulumi.runtime.get_config_env(), **CONFIG.get()}:
        namespace, _, key = full_key.rpartition(":")
        value = _value(full_key, file)
        if namespace == "airflow":
            found[full_key if key in schema.PROVIDER_KEYS else key] = value
        elif full_key == "aws:defaultTags":
            if isinstance(value, Encrypted):
                value = Encrypted([place[1:] for place in value.places])  # below `tags`
            tagging = value if isinstance(value, dict) else {"tags": value}
            found |= {"tags" if word == "tags" else f"{full_key}.{word}": part for word, part in tagging.items()}
        elif full_key in schema.PROVIDER_KEYS.values():
            found[key] = value
        elif nearest(namespace, ["airflow"]) or (namespace == "aws" and schema.misspelt_provider_key(key)):
            found[full_key] = value
    return found


def _value(full_key: str, file: StackFile) -> Any:
    # Pulumi's engine lists encrypted keys in the environment; tests and the plan list them with set_all_config.
    if pulumi.runtime.is_config_secret(full_key) or full_key in pulumi.runtime.get_config_secret_keys_env():
        return Encrypted(file.encrypted(full_key))
    text = pulumi.runtime.get_config(full_key)
    try:
        value = json.loads(text)  # Pulumi passes sections and lists as JSON, single values as they are
    except ValueError:
        value = text
    return file.marked(full_key, value)
