"""Rules for all components. They are found in components/, so new ones are included automatically."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pulumi
import pytest

from components.component import Component
from engine.recording import Resource
from tests.stack_variants import VARIANTS, recorded

FOLDER = Path(__file__).resolve().parents[2] / "components"
MODULES = [
    importlib.import_module(f"components.{path.stem}")
    for path in sorted(FOLDER.glob("*.py"))
    if path.stem != "__init__"
]


def _defined(module: ModuleType) -> list[type]:
    return [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]


COMPONENTS = [
    each
    for module in MODULES
    for each in _defined(module)
    if issubclass(each, pulumi.ComponentResource) and each is not Component
]
every_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)


def _constructor(component: type) -> ast.FunctionDef:
    source = Path(inspect.getfile(component)).read_text(encoding="utf-8")
    [class_] = [
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == component.__name__
    ]
    [found] = [node for node in class_.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    return found


def _type_token(component: type) -> str:
    """The first argument of `super().__init__`."""
    [call] = [
        node
        for node in ast.walk(_constructor(component))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"
    ]
    return ast.literal_eval(call.args[0])


def _instances(component: type) -> list[Resource]:
    token = _type_token(component)
    return [resource for variant in VARIANTS for resource in recorded(variant).of_type(token)]


def test_the_walk_finds_the_components():
    assert {"Network", "Masters", "WorkerPool", "Secrets"} <= {component.__name__ for component in COMPONENTS}


@every_component
def test_a_component_takes_a_name_frozen_args_and_options(component: type):
    assert issubclass(component, Component)
    name, args, opts = list(inspect.signature(component).parameters.values())
    assert (name.name, args.name, opts.name) == ("name", "args", "opts")
    assert args.annotation == f"{component.__name__}Args"
    assert opts.default is None
    args_class = getattr(inspect.getmodule(component), f"{component.__name__}Args")
    assert args_class.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(args_class))


@every_component
def test_a_component_registers_its_outputs_last(component: type):
    assert ast.unparse(_constructor(component).body[-1]).startswith("self.register_outputs(")


@every_component
def test_a_component_is_part_of_some_stack_and_of_no_other_component(component: type):
    instances = _instances(component)
    assert instances, "no stack variant has it, so no stack-wide rule is checked on it"
    assert {instance.parent for instance in instances} == {""}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_resource_is_a_child_of_a_component(variant: str):
    recording = recorded(variant)
    components = {resource.urn for resource in recording.resources if not resource.options.custom}
    assert components
    assert not [r.name for r in recording.resources if r.options.custom and r.parent not in components]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_children_get_their_options_from_the_components_child_method(module: ModuleType):
    """`self.child(...)` cannot forget the parent. The deletion protection has no children, only options of its own."""
    if module.__name__ in ("components.component", "components.deletion_protection"):
        return
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
    assert not [ast.unparse(call) for call in calls if ast.unparse(call.func).endswith("ResourceOptions")]
