"""A stack file as the Pulumi CLI passes it to a program."""

from __future__ import annotations

import contextvars
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pulumi
import yaml

from engine.errors import InputError
from settings import Settings, load_settings
from settings.stack_yaml import is_unclear, read_by_pulumi

PLACEHOLDER_ACCOUNT = "123456789012"
"""AWS's example account, for a stack file without one."""

SECRET_PLACEHOLDER = "[secret]"  # noqa: S105 a placeholder: the value itself stays encrypted
"""The program gets this in place of a value that only the stack's secrets provider can decrypt."""

_TOO_DEEP = "{} is not valid YAML for Pulumi: it is nested too deeply, or an alias is inside its own anchor."
_UNCLEAR = "!unclear"
_TAG = "tag:yaml.org,2002:"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as the CLI reads it: yes and no are strings, and 12:30 is not a number.

    A number or date in an unusual notation, such as 0123, reaches the program as Pulumi reads it, and is refused there.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """PyYAML's method, which also tags such numbers and dates."""
        return (
            _UNCLEAR
            if kind is yaml.ScalarNode and implicit[0] and is_unclear(value)
            else super().resolve(kind, value, implicit)
        )

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """PyYAML's method, but with a YAMLError for a scalar that does not match its tag, such as `!!int abc`."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
            problem = f"{str(node.value)[:60]} cannot be read as {node.tag.removeprefix(_TAG)}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


for _kind_of_scalar, _pattern, _firsts in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"-?(?:0|[1-9]\d{0,17})", "-0123456789"),
    ("float", r"-?(?:0|[1-9]\d{0,17})\.\d+", "-0123456789"),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind_of_scalar, re.compile(f"(?:{_pattern})$", re.ASCII), list(_firsts))


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | int:
    number = loader.construct_yaml_float(node)
    return int(number) if number == int(number) else number  # the CLI passes numbers as JSON: 1.0 becomes 1


_Loader.add_constructor(_TAG + "float", _float)
_Loader.add_constructor(_UNCLEAR, lambda _, node: read_by_pulumi(node.value))


class StackFileError(InputError):
    """The project file or the stack file is missing or cannot be read."""


@dataclass(frozen=True)
class StackConfig:
    """Keys with their namespace; values as strings, structured ones as JSON."""

    project: str
    values: Mapping[str, str]
    secret_keys: frozenset[str] = frozenset()

    @property
    def region(self) -> str:
        """The AWS provider's region."""
        return self.values.get("aws:region", "us-east-1")

    @property
    def account_id(self) -> str:
        """The first account the stack may be applied to."""
        allowed = self._structure("aws:allowedAccountIds")
        return str(allowed[0]) if isinstance(allowed, list) and allowed else PLACEHOLDER_ACCOUNT

    @property
    def default_tags(self) -> Mapping[str, str]:
        """The tags that the AWS provider adds to every resource that can have tags."""
        tagging = self._structure("aws:defaultTags")
        tags = tagging.get("tags") if isinstance(tagging, dict) else None
        return tags if isinstance(tags, dict) else {}

    def _structure(self, key: str) -> Any:
        """A list or a map; None if the value is missing, or is a string, which the settings report."""
        try:
            return json.loads(self.values.get(key, "null"))
        except ValueError:
            return None


def stack_name(given: str) -> str:
    """The stack's name as in its file's name; `given` may include organization and project: acme/airflow/prod."""
    return given.rpartition("/")[2]


def read_stack_config(root: Path, stack: str, changes: Mapping[str, Any] | None = None) -> StackConfig:
    """Read `Pulumi.<stack>.yaml` beside `Pulumi.yaml`; raises StackFileError, whose message says what to do.

    `changes` replaces keys of the stack file, each with its namespace.
    """
    project = _mapping(root / "Pulumi.yaml")
    path = root / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(p.name.split(".")[1] for p in root.glob("Pulumi.*.yaml"))
        raise StackFileError(
            f"There is no Pulumi.{stack}.yaml in {root}. "
            + (f"Stacks with a file: {', '.join(known)}." if known else "No stack has a file there.")
        )
    config = _mapping(path).get("config") or {}
    if not isinstance(config, dict):
        raise StackFileError(f"{path.name}: `config` is {_kind(config)}; a mapping of keys to values is needed.")
    if odd := [str(key) for key in config if not isinstance(key, str)]:
        raise StackFileError(f"{path.name}: {', '.join(odd)} is not a key; write it like airflow:cluster.")
    name = str(project.get("name") or "")
    if not name:
        raise StackFileError(f"{root / 'Pulumi.yaml'} has no `name` for the project.")
    try:
        return stack_config(name, {**_project_defaults(project), **config, **(changes or {})})
    except RecursionError:
        raise StackFileError(_TOO_DEEP.format(path)) from None
    except TypeError as error:  # a key that JSON cannot represent, such as one tagged !!binary
        raise StackFileError(f"{path} is not valid YAML for Pulumi: {error}") from None


def stack_settings(root: Path, stack: str) -> Settings:
    """The stack's settings, as the program reads them. Raises StackFileError or SettingsError."""
    config = read_stack_config(root, stack)

    def loaded() -> Settings:
        pulumi.runtime.set_all_config(dict(config.values), list(config.secret_keys))
        return load_settings()

    return contextvars.Context().run(loaded)  # Pulumi keeps configuration in context variables


def stack_config(project: str, values: Mapping[str, Any]) -> StackConfig:
    """Turn plain values into what `pulumi.Config` reads; a key without a namespace gets the project's name."""
    namespaced = {key if ":" in key else f"{project}:{key}": value for key, value in values.items()}
    return StackConfig(
        project=project,
        values={key: _as_text(_without_secrets(value)) for key, value in namespaced.items()},
        secret_keys=frozenset(key for key, value in namespaced.items() if _holds_secret(value)),
    )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content, repeated = _load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackFileError(f"There is no {path.name} in {path.parent}; every Pulumi project needs one.") from None
    except UnicodeDecodeError as error:
        raise StackFileError(f"{path} is not UTF-8: {error}") from None
    except yaml.YAMLError as error:
        raise StackFileError(_tab(path, error) or f"{path} is not valid YAML: {error}") from None
    except RecursionError:
        raise StackFileError(_TOO_DEEP.format(path)) from None
    if repeated:
        raise StackFileError(f"{path} has the same key twice: {'; '.join(repeated)}. Keep one of each.")
    if not isinstance(content, dict):
        raise StackFileError(f"{path} contains {_kind(content)}; a mapping of keys to values is needed.")
    return content


def _tab(path: Path, error: yaml.YAMLError) -> str | None:
    """What to do about a tab, a common and invisible mistake; None if the error has another cause."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is None or "\t" not in "".join(path.read_text(encoding="utf-8").splitlines()[mark.line :][:1]):
        return None
    return f"{path}, line {mark.line + 1}: there is a tab, but YAML is indented with spaces. Replace it with spaces."


def _load(text: str) -> tuple[Any, list[str]]:
    """The document, and each key that occurs twice in one mapping: the CLI refuses those, PyYAML uses the last."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, []
        repeated = list(_repeated_keys(root))  # before the loader writes merged keys (<<) into the nodes
        return loader.construct_document(root), repeated
    finally:
        loader.dispose()


def _repeated_keys(root: yaml.Node) -> Iterator[str]:
    waiting, seen = [(root, "")], set()
    while waiting:
        node, place = waiting.pop()
        if id(node) in seen:  # an alias may refer to a node that contains it
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, f"{place}[{index}]") for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                name = str(key.value) if node is root else f"{place}.{key.value}"
                if isinstance(key, yaml.ScalarNode):
                    line, known = key.start_mark.line + 1, (key.tag, key.value)
                    if known in lines:
                        yield f"{name}, in line {line} and in line {lines[known]}"
                    lines.setdefault(known, line)
                waiting.append((value, name))


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return {dict: "a mapping", list: "a list", str: "a string"}.get(type(value), "a single value")


def _project_defaults(project: Mapping[str, Any]) -> dict[str, Any]:
    """Values that Pulumi.yaml sets for every stack; keys that are only declared there are left out."""
    defaults = {}
    for key, declared in (project.get("config") or {}).items():
        if not isinstance(declared, dict):
            defaults[key] = declared
        elif "value" in declared or "default" in declared:
            defaults[key] = declared.get("value", declared.get("default"))
    return defaults


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_holds_secret(item) for item in value.values())
    return isinstance(value, list) and any(_holds_secret(item) for item in value)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return SECRET_PLACEHOLDER
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value
