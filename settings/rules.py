"""All rules between settings and all warnings, gathered from the sections."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from settings.errors import Fault, FaultyValue
from settings.sections import (
    airflow_config,
    alerts,
    broker,
    cluster,
    dag_bundles,
    database,
    masters,
    monitoring,
    network,
    node_image,
    package_index,
    provider,
    retention,
    web,
    worker_pools,
)
from settings.stack import Settings
from settings.user_data import user_data_fits

Rule = Callable[..., Iterator[Fault]]
"""Yields the faults between the sections that its parameters name; `settings` stands for all of them."""
Warnings = Callable[..., Iterator[str]]
"""Yields warnings about values that are accepted but may be a mistake; its parameters are those of a rule."""

SECTIONS = (
    provider,
    cluster,
    network,
    database,
    broker,
    masters,
    worker_pools,
    web,
    retention,
    monitoring,
    node_image,
    package_index,
    dag_bundles,
    alerts,
    airflow_config,
)
RULES: tuple[Rule, ...] = (*(rule for section in SECTIONS for rule in getattr(section, "RULES", ())), user_data_fits)
WARNINGS: tuple[Warnings, ...] = tuple(check for section in SECTIONS for check in getattr(section, "WARNINGS", ()))


def broken_rules(settings: Settings) -> list[Fault]:
    """The faults between values. A rule ends without a fault if it reads a value that is itself faulty."""
    faults: list[Fault] = []
    for rule in RULES:
        try:
            faults.extend(rule(**_sections(rule, settings)))
        except FaultyValue:
            continue
    return faults


def warnings(settings: Settings) -> Iterator[str]:
    """One message for each finding: the key, its value, the consequence and what to do."""
    for check in WARNINGS:
        yield from check(**_sections(check, settings))


def _sections(function: Callable[..., Any], settings: Settings) -> dict[str, Any]:
    return {name: settings if name == "settings" else getattr(settings, name) for name in _parameters(function)}


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)
