"""Reads types, choices and former names of options from the source code of an unpacked Airflow, without running it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Option = tuple[str, str]

# Airflow's description calls many options a string that its code reads as another type, so the type of the method that
# reads an option comes first. If several methods read one option, the one listed first here is the strictest.
_TYPES_BY_READER = {
    "getboolean": "boolean",
    "getint": "integer",
    "gettimedelta": "seconds",
    "getfloat": "number",
    "getjson": "json",
    "getimport": "import",
}
_TYPES_BY_DESCRIPTION = {"boolean": "boolean", "integer": "integer", "float": "number"}

# Choices that are not in Airflow's own table, with the file that contains them: Airflow checks them where it reads the
# option, or silently uses the default.
_CHOICES_WHERE_READ = {
    ("api", "server_type"): (("uvicorn", "gunicorn"), "airflow/cli/commands/api_server_command.py"),
    ("core", "test_connection"): (("Disabled", "Enabled", "Hidden"), "airflow/config_templates/config.yml"),
    ("dag_processor", "dag_version_inflation_check_level"): (
        ("off", "warning", "error"),
        "airflow/utils/dag_version_inflation_checker.py",
    ),
    ("fab", "session_backend"): (("database", "securecookie"), "airflow/providers/fab/www/extensions/init_session.py"),
}

# Words that Airflow compares an option with in any case, before it reads the option as its type if it has one; with the
# file that does so. ("core", "test_connection") is not among them: the UI compares it with "Enabled" as it is written.
_WORDS_IN_ANY_CASE = {
    ("api", "server_type"): (("uvicorn", "gunicorn"), "airflow/cli/commands/api_server_command.py"),
    ("api", "expose_config"): (("non-sensitive-only",), "airflow/api_fastapi/core_api/services/public/config.py"),
    ("celery", "json_logs"): (("", "none"), "airflow/providers/celery/cli/celery_command.py"),
    ("celery", "task_logs_to_stdout"): (("", "none"), "airflow/providers/celery/executors/celery_executor_utils.py"),
}

_CONFIGURATION = "airflow/configuration.py"
_PARSER = "airflow/_shared/configuration/parser.py"
_LINTER = "airflow/cli/commands/config_command.py"


def described_type(description: Mapping[str, Any]) -> str:
    """The type that an option's description states."""
    return _TYPES_BY_DESCRIPTION.get(description.get("type", "string"), "string")


def read_types(site: Path) -> dict[Option, str]:
    """The type that Airflow and its providers read an option as, if their code names the option."""
    readers: dict[Option, set[str]] = defaultdict(set)
    for source in sorted((site / "airflow").rglob("*.py")):
        text = source.read_text(errors="replace")
        if any(f".{reader}(" in text for reader in _TYPES_BY_READER):
            for option, reader in _reads(ast.parse(text)):
                readers[option].add(reader)
    return {
        option: next(kind for reader, kind in _TYPES_BY_READER.items() if reader in found)
        for option, found in readers.items()
    }


def _reads(tree: ast.Module) -> Iterator[tuple[Option, str]]:
    """Calls such as `conf.getint("core", "parallelism")` or `conf.getint(section="core", key="parallelism")`."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _TYPES_BY_READER:
            named = {keyword.arg: keyword.value for keyword in call.keywords}
            arguments = [*call.args[:2], *(named[name] for name in ("section", "key") if name in named)]
            names = [name for argument in arguments if (name := _text(argument)) is not None]
            if len(names) == 2:
                yield (names[0].lower(), names[1].lower()), call.func.attr


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def choices(site: Path) -> dict[Option, list[str]]:
    """The values to which Airflow restricts an option: it fails for any other, or ignores it."""
    scope = _assignments(site / _CONFIGURATION, "AirflowConfigParser")
    table = scope.get("enums_options")
    found = dict(_in_source(_CHOICES_WHERE_READ, site))
    if isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            section, option = ast.literal_eval(key) if key else ("", "")
            found[section, option] = _words(value, scope, site)
    return found


def words_in_any_case(site: Path) -> dict[Option, list[str]]:
    """Words, in lower case, that Airflow accepts for an option in any case, besides its choices or its type."""
    return dict(_in_source(_WORDS_IN_ANY_CASE, site))


def _in_source(table: Mapping[Option, tuple[tuple[str, ...], str]], site: Path) -> Iterator[tuple[Option, list[str]]]:
    for option, (words, where) in table.items():
        source = site / where
        text = source.read_text() if source.exists() else ""
        if text and not all(word in text for word in words):
            raise ValueError(f"{where} has other words for {'.'.join(option)} than {', '.join(words)}")
        if text:
            yield option, list(words)


def _words(value: ast.expr, scope: Mapping[str, ast.expr], site: Path) -> list[str]:
    """A list of strings that may contain other lists, or `sorted(WeightRule.all_weight_rules())`."""
    match value:
        case ast.List(elts=parts):
            return [word for part in parts for word in _words(part, scope, site)]
        case ast.Starred(value=inner):
            return _words(inner, scope, site)
        case ast.Name(id=name):
            return _words(scope[name], scope, site)
        case ast.Constant(value=str() as word):
            return [word]
        case ast.Call(func=ast.Name(id="sorted"), args=[ast.Call(func=ast.Attribute(value=ast.Name(id="WeightRule")))]):
            members = _assignments(site / "airflow/task/weight_rule.py", "WeightRule").values()
            return sorted(word for member in members if (word := _text(member)) is not None)
    raise ValueError(f"{_CONFIGURATION} restricts an option in a way that is not understood: {ast.unparse(value)}")


def former_names(site: Path) -> dict[Option, Option]:
    """Options of older versions, with the option that each became."""
    renamed = {change["config"]: change["renamed_to"] for change in _changes(site) if "renamed_to" in change}
    table = _assignments(site / _PARSER, "AirflowConfigParser").get("deprecated_options")
    if table is not None:
        for new, (section, option, _) in ast.literal_eval(table).items():
            renamed[section, option] = new
    return renamed


def advice_on_removed(site: Path) -> dict[Option, str]:
    """Options of older versions that have no successor, with Airflow's own advice, which may be empty."""
    return {
        change["config"]: change.get("suggestion", "")
        for change in _changes(site)
        if not change.keys() & {"renamed_to", "default_change", "is_invalid_if", "remove_if_equals"}
    }


def _changes(site: Path) -> Iterator[dict[str, Any]]:
    """The changes that `airflow config lint` checks, each as its arguments in the linter's table."""
    source = site / _LINTER
    tree = ast.parse(source.read_text()) if source.exists() else ast.Module([], [])
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "ConfigChange":
            yield {keyword.arg: _argument(keyword.value) for keyword in call.keywords if keyword.arg}


def _argument(value: ast.expr) -> Any:
    """A literal, or the (section, option) of a ConfigParameter."""
    if isinstance(value, ast.Call):
        section, option = (*value.args, *(keyword.value for keyword in value.keywords))
        return (_text(section), _text(option))
    return ast.literal_eval(value)


def _assignments(source: Path, class_name: str) -> dict[str, ast.expr]:
    """The assignments in the body of a class, by name."""
    tree = ast.parse(source.read_text()) if source.exists() else ast.Module([], [])
    found: dict[str, ast.expr] = {}
    for definition in tree.body:
        if isinstance(definition, ast.ClassDef) and definition.name == class_name:
            for statement in definition.body:
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    found[statement.targets[0].id] = statement.value
                elif (
                    isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value
                ):
                    found[statement.target.id] = statement.value
    return found
