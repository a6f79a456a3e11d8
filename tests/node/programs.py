"""Loads the programs of a node, which have no suffix, as modules."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from node.roles import Role
from node.rootfs import PROGRAMS, ROOTFS


def program_path(name: str) -> Path:
    """Where the repository keeps the program."""
    (found,) = ROOTFS.glob(f"*{PROGRAMS}/{name}")
    return found


def python_path() -> str:
    """PYTHONPATH for another process: the folders that are one, `python`, on a node, and the one above them."""
    return ":".join(map(str, [*ROOTFS.glob(f"*{PROGRAMS}/python"), program_path("airflow_node").parent]))


def module(name: str) -> ModuleType:
    """A module of the programs, the same object that they import: `airflow_node.worker_registry`, `scaling.pool`.

    A node's PYTHONPATH contains the folder python, so programs import modules from there, too.
    """
    for library in ROOTFS.glob(f"*{PROGRAMS}"):
        _make_importable(library)
        _make_importable(library / "python")
    return importlib.import_module(name)


def load(name: str) -> ModuleType:
    """The program as a module. As on the node, it imports the modules beside it."""
    return _load(program_path(name))


def load_of(role: Role, name: str) -> ModuleType:
    """A module that exists for each role."""
    return _load(ROOTFS / role.value / PROGRAMS.lstrip("/") / name)


def _load(path: Path) -> ModuleType:
    _make_importable(program_path("airflow_node").parent)
    _make_importable(path.parent)
    loader = SourceFileLoader(f"node_program_{path.parts[-6]}_{path.name.replace('-', '_')}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    if spec is None:
        raise ImportError(f"{path} cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def _make_importable(library: Path) -> None:
    if str(library) not in sys.path:
        sys.path.insert(0, str(library))
