"""All rules and warnings of the sections are listed, and the parameters of each are the sections that it reads."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from settings import Settings, schema, sections
from settings.errors import Fault
from settings.rules import RULES, SECTIONS, WARNINGS

_CHECKS = (*RULES, *WARNINGS)


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(module.name)


def _functions(module: ModuleType, result: Any) -> set[Callable[..., Any]]:
    """The module's public functions with this result whose parameters are sections."""
    return {
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if typing.get_type_hints(function).get("return") == result
        if set(inspect.signature(function).parameters) <= {*Settings.model_fields, "settings"}
    }


def test_every_module_of_a_section_is_listed():
    assert {module.__name__ for module in SECTIONS} == {
        f"{sections.__name__}.{module.name}" for module in pkgutil.iter_modules(sections.__path__)
    }


def test_no_rule_and_no_warning_is_left_out():
    rules = {rule for module in _modules(sections) for rule in _functions(module, Iterator[Fault])}
    warnings = {check for module in _modules(sections) for check in _functions(module, Iterator[str])}
    assert rules <= set(RULES)
    assert warnings == set(WARNINGS)
    assert len(RULES) == len(set(RULES)) > 30


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__)
def test_a_parameter_has_the_name_and_type_of_a_section(check: Callable[..., Any]):
    hints = typing.get_type_hints(check)
    for name in inspect.signature(check).parameters:
        expected = Settings if name == "settings" else Settings.model_fields[name].annotation
        assert _plain(hints[name]) == _plain(expected), f"{check} reads {name}"


def _plain(annotation: Any) -> Any:
    """A section's class, or the type without pydantic's metadata."""
    if section := schema.section_of(annotation):
        return section
    return typing.get_origin(annotation) or annotation


def test_a_wrong_parameter_is_found():
    def rule(cluster: str) -> None:
        del cluster

    with pytest.raises(AssertionError, match="reads cluster"):
        test_a_parameter_has_the_name_and_type_of_a_section(rule)
