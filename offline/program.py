"""Running a program's `__main__.py` in this process without leaving a trace of it behind."""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

_OURS = Path(__file__).resolve().parent


def run_main(root: Path) -> None:
    """Run `root/__main__.py` the way the Pulumi CLI does: from its own folder, which comes first on the path."""
    root = root.resolve()
    with contextlib.chdir(root), _only_modules_of(root):
        runpy.run_path(str(root / "__main__.py"), run_name="__main__")


@contextlib.contextmanager
def _only_modules_of(root: Path) -> Generator[None]:
    """Let the program import its own modules, though this process has others of the same names.

    Modules of `root` that were loaded before stay the same objects, so that a caller's `except SettingsError` means
    the program's. What the program loads on top is forgotten afterwards: the next run starts from the files again.
    """
    path = list(sys.path)
    before = _loaded(root)
    strangers = {name: module for name, module in before.items() if not _is_below(module, root)}
    for name in strangers:
        del sys.modules[name]
    # The program must not fall back to this checkout's modules for what its own tree lacks.
    sys.path[:] = [str(root), *(entry for entry in path if Path(entry or ".").resolve() != _OURS.parent)]
    try:
        yield
    finally:
        for name in _loaded(root).keys() - (before.keys() - strangers.keys()):
            del sys.modules[name]
        sys.modules.update(strangers)
        sys.path[:] = path


def _loaded(root: Path) -> dict[str, ModuleType]:
    """The loaded modules whose names the program would look for in its own folder first."""
    own = {entry.stem for entry in root.iterdir() if entry.suffix == ".py" or _is_package(entry)}
    own -= {"__main__", _OURS.name}
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in own}


def _is_package(folder: Path) -> bool:
    return folder.name.isidentifier() and any(folder.glob("*.py"))


def _is_below(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    locations = [file] if file else list(getattr(module, "__path__", []))
    return any(Path(location).resolve().is_relative_to(root) for location in locations)
