"""Imports point one way: `__main__` -> components -> settings, node; plan, lab -> engine, node."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The parts that each part may import besides itself. A new part has to be added.
MAY_IMPORT: dict[str, set[str]] = {
    "__main__": {"cluster_alarms", "components", "exports", "node", "node_groups", "settings", "virtual_environment"},
    "exports": {"components", "node"},
    "cluster_alarms": {"components", "settings"},
    "node_groups": {"components", "settings", "node", "aws_catalog"},
    "virtual_environment": set(),
    "components": {"settings", "node", "aws_catalog"},
    "settings": {"aws_catalog", "node"},
    "aws_catalog": set(),
    "node": set(),
    "dags": {"engine", "node", "package_lock", "settings"},
    "package_lock": {"engine", "settings", "node", "aws_catalog"},
    "ca_bundle": {"node", "aws_catalog"},
    "node_image": {"engine", "settings", "aws_catalog"},
    # settings: to read unquoted numbers as the settings do.
    "engine": {"aws_catalog", "settings"},
    # node: to unpack user data for a diff.
    "plan": {"aws_catalog", "engine", "node"},
    "preflight": {"aws_catalog", "engine", "settings"},
    "lab": {"dags", "engine", "node"},
    "bench": {"engine", "lab", "node"},
    # node: to read the alert rules.
    "dashboards": {"node"},
    "docs": {"settings", "node", "aws_catalog", "engine", "plan"},
}

# Only `__main__` connects components. These modules are not components but functions that several of them share.
SHARED_BY_COMPONENTS = {
    "alarm",
    "alarm_tables",
    "autoscaling_group",
    "component",
    "context",
    "data_store",
    "iam_documents",
    "launch_template",
    "lifecycle_hooks",
    "subnet_layout",
}

# Nodes run Debian's Python and Airflow's virtual environment; neither has Pulumi.
OUTSIDE_OF_NODE = {"pulumi", "pulumi_aws", "pulumi_random", "pydantic"}


def _part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    """Our Python files, except for tests. Programs without a suffix are recognized by Python in their first line."""
    found = []
    for part in MAY_IMPORT:
        single = ROOT / f"{part}.py"
        files = [single] if single.is_file() else sorted((ROOT / part).rglob("*"))
        found += [file for file in files if file.is_file() and (file.suffix == ".py" or _is_python_program(file))]
    return found


def _is_python_program(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and b"python" in first


def _imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, including imports inside functions; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = ".".join(path.relative_to(ROOT).parts[: -node.level])
                module = f"{package}.{node.module}" if node.module else package
            else:
                module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _breaches(path: Path) -> list[str]:
    part, ours = _part(path), set(MAY_IMPORT) | {"tests"}
    allowed = MAY_IMPORT[part] | {part}
    found = [name for name in _imports(path) if name.split(".")[0] in ours and name.split(".")[0] not in allowed]
    if part == "node":
        found += [name for name in _imports(path) if name.split(".")[0] in OUTSIDE_OF_NODE]
    if part == "components":
        found += [
            name
            for name in _imports(path)
            if name.startswith("components.") and name.split(".")[1] not in SHARED_BY_COMPONENTS
        ]
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path):
    breaches = _breaches(path)
    assert not breaches, f"{path.relative_to(ROOT)} may not import {', '.join(breaches)}"


def test_every_part_is_in_the_table_of_imports():
    parts = {_part(path) for path in ROOT.glob("*/*.py")} | {_part(path) for path in ROOT.glob("*.py")}
    unknown = parts - set(MAY_IMPORT) - {"tests"} - {part for part in parts if part.startswith(".")}
    assert not unknown, "say in MAY_IMPORT what the new part may import"


def test_nothing_is_installed_that_the_program_does_not_import():
    lines = (ROOT / "requirements.in").read_text().splitlines()
    wanted = {line.split(">=")[0] for line in lines if not line.startswith("#")}
    modules = {"pyyaml": "yaml"}
    imported = {name.split(".")[0] for path in sources() for name in _imports(path)}
    assert {name for name in wanted if modules.get(name, name.replace("-", "_")) not in imported} == set()


def test_what_components_share_registers_nothing():
    for name in SHARED_BY_COMPONENTS:
        paths = [*(ROOT / "components").glob(f"{name}.py"), *(ROOT / "components" / name).glob("*.py")]
        assert paths, f"{name} does not exist: remove it from the list"
        nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        bases = {ast.unparse(base) for node in classes for base in node.bases}
        assert "Component" not in bases, f"{name} is a component: `__main__` has to pass its outputs to others"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import engine.program", ["engine.program"]),
        ("def f():\n    from tests import support", ["tests.support"]),
        ("from components.network import Network", ["components.network.Network"]),
        ("from . import network", ["components.network"]),
        ("import json\nfrom node.roles import Role\nfrom components.launch_template import launch_template", []),
    ],
)
def test_a_forbidden_import_is_found_anywhere_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, found: list
):
    monkeypatch.setattr("tests.test_imports.ROOT", tmp_path)
    path = tmp_path / "components" / "masters.py"
    path.parent.mkdir()
    path.write_text(source)
    assert _breaches(path) == found
