"""Reads the options of an unpacked Airflow and its providers, without running or importing any of them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

Registry = dict[str, dict[str, dict[str, bool]]]

# Options that Airflow reads and keeps out of its own reference, by the file that reads them.
UNDOCUMENTED = {("scheduler", "num_stuck_in_queued_retries"): "airflow/jobs/scheduler_job_runner.py"}

# An option is set by a variable of its name, so others are out of reach for a node.
_SETTABLE = re.compile(r"[a-z0-9_]+")


def extract(site: Path) -> dict[str, Any]:
    """The registry of the Airflow that is unpacked in `site`: its version, and what it knows of each option."""
    options: Registry = {}
    core = yaml.safe_load((site / "airflow/config_templates/config.yml").read_text())
    for description in (core, *_provider_descriptions(site)):
        for section, content in description.items():
            for option, facts in content["options"].items():
                if _SETTABLE.fullmatch(option.lower()):
                    options.setdefault(section.lower(), {})[option.lower()] = _facts(facts)
    for section, option in _undocumented(site):
        options.setdefault(section, {})[option] = _facts({})
    return {"airflow": _version(site), "options": options}


def to_json(registry: Mapping[str, Any]) -> str:
    """The registry's file: one option per line, so that a diff shows what a new version adds and removes."""
    sections = []
    for section, options in sorted(registry["options"].items()):
        lines = [f"   {json.dumps(option)}: {json.dumps(facts)}" for option, facts in sorted(options.items())]
        sections.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    body = ",\n".join(sections)
    return f'{{\n "airflow": {json.dumps(registry["airflow"])},\n "options": {{\n{body}\n }}\n}}\n'


def _facts(option: Mapping[str, Any]) -> dict[str, bool]:
    return {"sensitive": bool(option.get("sensitive"))}


def _undocumented(site: Path) -> Iterator[tuple[str, str]]:
    """Those that this Airflow still reads."""
    for (section, option), reader in UNDOCUMENTED.items():
        source = site / reader
        if source.exists() and f'"{option}"' in source.read_text():
            yield section, option


def _version(site: Path) -> str:
    (info,) = site.glob("apache_airflow_core-*.dist-info")
    return info.name.removeprefix("apache_airflow_core-").removesuffix(".dist-info")


def _provider_descriptions(site: Path) -> Iterator[Mapping[str, Any]]:
    for entry_points in sorted(site.glob("*.dist-info/entry_points.txt")):
        parser = ConfigParser(delimiters=("=",))
        parser.read_string(entry_points.read_text())
        if parser.has_section("apache_airflow_provider"):
            for _, target in parser.items("apache_airflow_provider"):
                yield _provider_config(site, target)


def _provider_config(site: Path, target: str) -> Mapping[str, Any]:
    """The `config` of the dictionary that a provider's entry point returns. By convention it is a literal."""
    module, _, function = target.partition(":")
    source = site / Path(*module.strip().split(".")).with_suffix(".py")
    if not source.exists():
        source = source.with_suffix("") / "__init__.py"
    for statement in ast.parse(source.read_text()).body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function.strip():
            for inner in statement.body:
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Dict):
                    return ast.literal_eval(inner.value).get("config") or {}
    return {}
