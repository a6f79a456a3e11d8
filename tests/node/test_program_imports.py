"""Programs import only what the node has when they run. The other tests import all roles' modules from one process."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence

import pytest

from node.roles import Role
from node.rootfs import PROGRAMS, NodeFile, files_for

DEBIANS_PYTHON = b"#!/usr/bin/python3\n"
every_role = pytest.mark.parametrize("role", Role)


def _name(file: NodeFile) -> str:
    """The name by which programs import it. The modules that Airflow and Celery load, in python/, have no prefix."""
    path = file.path.removeprefix(f"{PROGRAMS}/").removeprefix("python/")
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _modules(role: Role) -> dict[str, NodeFile]:
    return {_name(file): file for file in files_for(role) if file.path.endswith(".py")}


OURS = {name for role in Role for name in _modules(role)}


def _programs(role: Role) -> list[NodeFile]:
    """Programs and modules: everything in Python."""
    return [
        file
        for file in files_for(role)
        if file.path.endswith(".py") or (file.content.startswith(b"#!") and b"python" in file.content.splitlines()[0])
    ]


def _imports(content: bytes) -> Iterator[str]:
    """The modules that a program imports, inside functions as well."""
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (name if (name := f"{module}.{alias.name}") in OURS else module for alias in node.names)


def _missing(content: bytes, there: Mapping[str, NodeFile]) -> set[str]:
    """Our modules that the program imports and that do not exist."""
    return {name for name in _imports(content) if name in OURS and name not in there}


def _from_outside(programs: Sequence[NodeFile], modules: Mapping[str, NodeFile]) -> set[str]:
    """What the programs, and all our modules that they import, need besides the standard library."""
    open_files, seen, outside = list(programs), set[str](), set[str]()
    while open_files:
        for name in set(_imports(open_files.pop().content)) - seen:
            seen.add(name)
            if name in modules:
                open_files.append(modules[name])
            elif name.split(".")[0] not in sys.stdlib_module_names:
                outside.add(name)
    return outside


@every_role
def test_a_program_imports_no_module_that_only_another_role_has(role: Role):
    modules, programs = _modules(role), _programs(role)
    assert len(programs) > 30
    assert {file.path: missing for file in programs if (missing := _missing(file.content, modules))} == {}


@every_role
def test_a_program_of_the_user_data_imports_nothing_that_has_to_be_fetched(role: Role):
    modules = {name: file for name, file in _modules(role).items() if file.in_user_data}
    programs = [file for file in _programs(role) if file.in_user_data]
    assert len(programs) > 5
    assert {file.path: missing for file in programs if (missing := _missing(file.content, modules))} == {}


@every_role
def test_a_program_for_debians_python_needs_no_package(role: Role):
    """Some of them run before Airflow's environment is there."""
    programs = [file for file in files_for(role) if file.content.startswith(DEBIANS_PYTHON)]
    assert len(programs) > 3
    assert _from_outside(programs, _modules(role)) == set()


def test_imports_are_found_in_all_their_forms():
    source = b"import scaling.pool\nfrom health import state_file\ndef f():\n    from airflow_node.log import say"
    assert _missing(source, _modules(Role.WORKER)) == {"scaling.pool", "health.state_file"}
    assert _missing(source, _modules(Role.MASTER)) == set()
