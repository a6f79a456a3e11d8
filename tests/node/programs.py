"""Loads the programs of a node, which have no suffix, as modules."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from node.node_file import PROGRAMS, ROOTFS


def program_path(name: str) -> Path:
    """Where the repository keeps the program."""
    (found,) = ROOTFS.glob(f"*{PROGRAMS}/{name}")
    return found


def load(name: str) -> ModuleType:
    """The program as a module. As on the node, it imports what stands beside it."""
    library = str(program_path("boot_step.py").parent)
    if library not in sys.path:
        sys.path.insert(0, library)
    path = program_path(name)
    loader = SourceFileLoader(f"node_program_{name.replace('-', '_')}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    if spec is None:
        raise ImportError(f"{path} cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
