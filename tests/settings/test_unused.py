"""The settings, the AWS catalog and Airflow's options contain nothing unused, including the entries of tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_catalog import endpoint_services, regions
from node.airflow_options import lookup
from node.airflow_options.rendering import COMMON_OPTIONS, MASTER_OPTIONS, WORKER_OPTIONS
from node.environment import LOCKED_OPTIONS
from node.roles import DEFINITIONS
from settings import Settings, schema, synonyms
from settings.sections.airflow_config import existence, refusals
from tests.aws_catalog import iam_actions
from tests.stack_file import ROOT

_FOLDERS = ("settings", "aws_catalog", "node/airflow_options")
_PROGRAMS = ("*.py", "components", "engine", "plan", "lab", "docs", "node", "settings", "aws_catalog")
# Pydantic calls or reads these by their names; rules of settings are gathered in tuples that are read by name.
_READ_BY_NAME = {"RULES", "WARNINGS"}


def _python_files(pattern: str) -> list[Path]:
    return list(ROOT.glob(pattern)) if "*" in pattern else list((ROOT / pattern).rglob("*.py"))


def _defined(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines, except for those in functions and classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _read(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


@pytest.fixture(scope="module")
def names_read() -> set[str]:
    files = {file for pattern in _PROGRAMS for file in _python_files(pattern)}
    found = {name for file in files for name in _read(ast.parse(file.read_text()))}
    return found | _READ_BY_NAME


@pytest.mark.parametrize("folder", _FOLDERS)
def test_every_name_is_read_by_the_program(folder: str, names_read: set[str]):
    defined = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in _python_files(folder)
        for name in _defined(ast.parse(file.read_text()))
        if not name.startswith("__") and name not in names_read
    }
    assert defined == set()


def test_every_action_of_the_catalog_is_in_a_policy():
    allowed = {
        action
        for definition in DEFINITIONS.values()
        for permission in definition.permissions
        for action in permission.actions
    }
    sources = "".join(file.read_text() for file in _python_files("components"))
    assert {action for action in iam_actions.RESOURCE_TYPES if action not in allowed and action not in sources} == set()


def test_every_table_of_regions_and_endpoints_has_its_counterpart():
    assert set(endpoint_services.REGIONS) <= set(endpoint_services.SERVICES)
    others = {regions.partition(f"{start}x-1") for start in ("cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-")}
    assert others <= set(regions.COMMERCIAL_REGIONS_NEARBY)


def test_advice_on_options_is_about_options_that_are_refused_or_that_nothing_reads():
    assert set(refusals.INSTEAD) <= LOCKED_OPTIONS
    assert all(lookup.exists(*name) for name in (*refusals.UNWORKABLE, *refusals._UNREAD))
    assert all(lookup.names(section) for section in refusals._UNREAD_SECTIONS)
    assert set(refusals._NODES_VALUE) <= set(refusals.UNWORKABLE)
    assert not set(refusals.UNWORKABLE) & LOCKED_OPTIONS


def test_sections_of_absent_providers_are_absent():
    assert [section for section in existence._PROVIDERS if lookup.names(section)] == []


def test_an_option_is_set_once_on_a_node():
    for of_role in (MASTER_OPTIONS, WORKER_OPTIONS):
        names = [each.name for each in (*COMMON_OPTIONS, *of_role)]
        assert len(names) == len(set(names))


def test_no_synonym_hides_a_key():
    for section, words in synonyms._SYNONYMS.items():
        model = Settings if not section else schema.section_at(Settings, _inside(section))
        keys = {key.lower() for key in schema.fields_by_key(model)}
        assert not keys & words.keys(), section


def _inside(section: str) -> schema.Path:
    return (section, "<name>", "key") if section == "workerPools" else (section, "key")
