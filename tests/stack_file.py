"""Stack files for tests: the prod stack's content, with changes, and read as the program reads it."""

from __future__ import annotations

import contextvars
import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml

from settings import Settings, load_settings
from settings.errors import Fault, SettingsError

ROOT = Path(__file__).parent.parent
STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
REMOVED = object()
"""As a value for `changed`, it removes the key."""


def content(stack: str = "prod") -> dict[str, Any]:
    """The configuration in a stack's file, by full key."""
    return copy.deepcopy(_content(stack))


@cache
def _content(stack: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


def changed(changes: dict[str, Any], *, stack: str = "prod") -> dict[str, Any]:
    """A stack's configuration with values put at paths such as `airflow:workerPools.default.minSize`."""
    config = content(stack)
    for path, value in changes.items():
        namespace, _, rest = path.partition(":")
        first, *words = rest.split(".")
        keys = [f"{namespace}:{first}", *words]
        place = config
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        if value is REMOVED:
            place.pop(keys[-1], None)
        else:
            place[keys[-1]] = value
    return config


def load(config: dict[str, Any], *, secret_keys: list[str] | None = None) -> Settings:
    """The settings for a stack file's content, which is passed as the engine does: objects and lists as JSON."""

    def loaded() -> Settings:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
        pulumi.runtime.set_all_config(texts, secret_keys or [])
        return load_settings()

    return contextvars.Context().run(loaded)  # Pulumi keeps configuration in context variables


def faults_of(changes: dict[str, Any], *, stack: str = "prod") -> tuple[Fault, ...]:
    """The faults of a stack's configuration after some changes; empty if it is accepted."""
    try:
        load(changed(changes, stack=stack))
    except SettingsError as error:
        return error.faults
    return ()


def the_fault(changes: dict[str, Any], *, stack: str = "prod") -> Fault:
    """The one fault that some changes to a stack's configuration cause."""
    faults = faults_of(changes, stack=stack)
    assert len(faults) == 1, f"one fault expected for {changes}, found: {[str(fault) for fault in faults]}"
    return faults[0]
