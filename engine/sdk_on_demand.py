"""Loads of the AWS SDK only what a program touches.

`pulumi_aws` has a package per service and imports it whole when the first of its classes is touched: for EC2 that is
180 modules and 1,400 types of nested blocks, of which a program uses a dozen. A plan is a short process, and this would
be most of it. Here a class is loaded when it is asked for, from the SDK's own bytecode, with the nested types that its
declaration names.

The SDK's files are generated and of one form (read in pulumi-aws 7.51). A package of another form, and a name that is
in no file called like it, is imported the usual way.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypedDict

import pulumi
from pulumi import _utils

_LONGEST_HEAD = 4096
"""Characters. A file of nested types starts with its imports and then lists its names."""


class _OtherFormError(Exception):
    """A file that is not written as the generator writes them today."""


def load_on_demand() -> None:
    """Import `pulumi_aws` so that its services load class by class. Without effect once it is imported."""
    if "pulumi_aws" in sys.modules:
        return
    usual = _utils.lazy_import
    _utils.lazy_import = lambda name: _service(name, usual)  # ty: ignore[invalid-assignment] the SDK calls it by name
    try:
        importlib.import_module("pulumi_aws")
    finally:
        _utils.lazy_import = usual


def _service(name: str, usual: Callable[[str], ModuleType]) -> ModuleType:
    spec = find_spec(name)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if spec is None or folder is None or not (folder / "_inputs.py").is_file() or not (folder / "outputs.py").is_file():
        return usual(name)  # small enough to load as it is
    sys.modules[name] = service = _Service(spec, folder)
    return service


class _Service(ModuleType):
    """A service's package, of which nothing is loaded yet."""

    def __init__(self, spec: ModuleSpec, folder: Path) -> None:
        super().__init__(spec.name)
        self.__spec__, self.__path__, self.__package__ = spec, [str(folder)], spec.name
        self.__file__, self.__loader__ = spec.origin, spec.loader
        self._folder = folder
        self._stems: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":  # somebody imports everything
            self._load_whole()
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            self._prepare()
            value = self._find(name)
        except _OtherFormError:
            self._load_whole()
            return getattr(self, name)
        self.__dict__[name] = value
        return value

    def _prepare(self) -> None:
        """Put the modules of nested types where the service's other modules import them from."""
        if self._stems:
            return
        self._stems = {file.stem.replace("_", ""): file.stem for file in self._folder.glob("[a-z]*.py")}
        for stem, decorate, base in (("outputs", pulumi.output_type, dict), ("_inputs", pulumi.input_type, object)):
            blocks = _Blocks(f"{self.__name__}.{stem}", self._folder / f"{stem}.py", decorate, base)
            sys.modules[blocks.__name__] = self.__dict__[stem] = blocks

    def _find(self, name: str) -> Any:
        if name in self._inputs.names:
            return self._inputs.load(name)
        for owner in (name, name.removesuffix("Args"), name.removesuffix("InitArgs")):
            stem = self._stems.get(owner.lower())
            if stem is not None:
                module = self._module(stem)
                if name in getattr(module, "__all__", ()):
                    return getattr(module, name)
        raise _OtherFormError(name)

    def _module(self, stem: str) -> ModuleType:
        """A resource's module. It takes all nested types of its service; it gets those that its own code names."""
        name = f"{self.__name__}.{stem}"
        if name in sys.modules:
            return sys.modules[name]
        spec = spec_from_file_location(name, self._folder / f"{stem}.py")
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            raise _OtherFormError(name)
        code = spec.loader.get_code(name)
        if code is None:
            raise _OtherFormError(name)
        module = module_from_spec(spec)
        sys.modules[name] = module
        for text in _texts(code):
            if text in self._inputs.names:
                module.__dict__[text] = self._inputs.load(text)
        exec(code, module.__dict__)  # noqa: S102 as the import system would
        return module

    def _load_whole(self) -> None:
        """Run the package's own `__init__`. What was loaded before stays what it is."""
        for stem in ("outputs", "_inputs"):
            blocks = self.__dict__.get(stem)
            if isinstance(blocks, _Blocks) and not blocks.load_all():
                del sys.modules[blocks.__name__], self.__dict__[stem]
        spec = self.__spec__
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.__name__} has no loader")
        self.__class__ = ModuleType  # ty: ignore[invalid-assignment] from here on it is a module like any other
        spec.loader.exec_module(self)


class _Blocks(ModuleType):
    """A module of nested types, each made when it is asked for."""

    def __init__(self, name: str, path: Path, decorate: Callable[[type], type], base: type) -> None:
        super().__init__(name)
        self.__package__, self.__file__ = name.rpartition(".")[0], str(path)
        # For `from ._inputs import *`, which must not make them all: a module gets what it needs beforehand.
        self.__all__: list[str] = []
        self._path, self._decorate, self._base = path, decorate, base
        self._bodies: dict[str, CodeType] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.names:
            raise AttributeError(name)
        return self.load(name)

    @property
    def names(self) -> dict[str, CodeType]:
        """The bodies of the types by their names."""
        if self._bodies is None:
            code = SourceFileLoader(self.__name__, str(self._path)).get_code(self.__name__)
            with self._path.open(encoding="utf-8") as file:
                head, found, _ = file.read(_LONGEST_HEAD).partition("\n__all__ = [")
            if code is None or not found:
                raise _OtherFormError(self.__name__)
            self._bodies = {body.co_name: body for body in code.co_consts if isinstance(body, CodeType)}
            exec(compile(head, str(self._path), "exec"), self.__dict__)  # noqa: S102 the file's imports
        return self._bodies

    def load(self, name: str) -> Any:
        """Make a type and those that it names."""
        if name in self.__dict__:
            return self.__dict__[name]
        body = self.names[name]
        # A TypedDict is only for type checkers, and no type at run time refers to one.
        plain = name.endswith("ArgsDict") and self._base is object
        bases = (TypedDict,) if plain else () if self._base is object else (self._base,)
        made = builtins.__build_class__(FunctionType(body, self.__dict__), name, *bases)
        self.__dict__[name] = made = made if plain else self._decorate(made)
        if not plain:
            for text in _texts(body):
                if text.removeprefix("outputs.") in self.names:
                    self.load(text.removeprefix("outputs."))
        return made

    def load_all(self) -> bool:
        """Make every type; False if the file has another form."""
        try:
            for name in self.names:
                self.load(name)
        except _OtherFormError:
            return False
        self.__all__ = list(self.names)
        return True


def _texts(code: CodeType) -> Iterator[str]:
    """Every text constant in a piece of code: the types in annotations are among them."""
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant)
