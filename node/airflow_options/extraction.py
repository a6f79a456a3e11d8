"""Reads the options of an unpacked Airflow and its providers, without running or importing any of them."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

from node.airflow_options import airflow_source
from node.airflow_options.airflow_source import Option

Description = dict[str, Any]

# Options that Airflow reads but omits from its own reference, with the file that reads them.
UNDOCUMENTED = {("scheduler", "num_stuck_in_queued_retries"): "airflow/jobs/scheduler_job_runner.py"}

# An option is set by a variable of its name, so others are out of reach for a node.
_SETTABLE = re.compile(r"[a-z0-9_]+")

_LINE = 120


def extract(site: Path) -> dict[str, Any]:
    """The registry of the Airflow that is unpacked in `site`.

    It holds Airflow's version; for each option its type, words accepted in any case, its allowed values if they
    are restricted, and whether it is for a secret; the current names of options of older versions; and the time zones
    that the nodes know.
    """
    read_types, choices = airflow_source.read_types(site), airflow_source.choices(site)
    words = airflow_source.words_in_any_case(site)
    options: dict[str, dict[str, Description]] = {}
    for (section, option), description in _descriptions(site):
        details: Description = {
            "type": read_types.get((section, option)) or airflow_source.described_type(description),
            "sensitive": bool(description.get("sensitive")),
        }
        if (section, option) in choices:
            details["choices"] = choices[section, option]
        if (section, option) in words:
            details["words"] = words[section, option]
        options.setdefault(section, {})[option] = details
    return {
        "airflow": _version(site),
        "options": options,
        "former": _former(site, options),
        "time_zones": (site / "tzdata/zones").read_text().split(),
    }


def to_json(registry: Mapping[str, Any]) -> str:
    """The registry's file: one option per line, so that a diff shows what a new version adds and removes."""
    sections = []
    for section, options in sorted(registry["options"].items()):
        lines = [f"   {json.dumps(option)}: {json.dumps(details)}" for option, details in sorted(options.items())]
        sections.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    former = [f"  {json.dumps(name)}: {json.dumps(details)}" for name, details in sorted(registry["former"].items())]
    zones = textwrap.fill(
        ", ".join(json.dumps(zone) for zone in sorted(registry["time_zones"])),
        _LINE,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    parts = {
        "airflow": json.dumps(registry["airflow"]),
        "options": "{\n" + ",\n".join(sections) + "\n }",
        "former": "{\n" + ",\n".join(former) + "\n }",
        "time_zones": f"[\n{zones}\n ]",
    }
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {text}" for name, text in parts.items()) + "\n}\n"


def _descriptions(site: Path) -> Iterator[tuple[Option, Mapping[str, Any]]]:
    """Every option that a node can set, with the description that Airflow or the provider gives."""
    core = yaml.safe_load((site / "airflow/config_templates/config.yml").read_text())
    for description in (core, *_provider_descriptions(site)):
        for section, content in description.items():
            for option, details in content["options"].items():
                if _SETTABLE.fullmatch(option.lower()):
                    yield (section.lower(), option.lower()), details
    for pair in _undocumented(site):
        yield pair, {}


def _former(site: Path, options: Mapping[str, Mapping[str, Description]]) -> dict[str, Description]:
    """Options of older versions: the name that each has now, or Airflow's advice if it has none."""
    renamed = airflow_source.former_names(site)
    former: dict[str, Description] = {
        f"{section}.{option}": {"advice": advice}
        for (section, option), advice in airflow_source.advice_on_removed(site).items()
        if advice
    }
    for old in renamed:
        new = renamed[old]
        while new in renamed and new[1] not in options.get(new[0], {}):
            new = renamed[new]
        if new[1] in options.get(new[0], {}):
            former[".".join(old)] = {"now": ".".join(new)}
    return {name: details for name, details in former.items() if not _exists(name, options)}


def _exists(name: str, options: Mapping[str, Mapping[str, Description]]) -> bool:
    section, _, option = name.rpartition(".")
    return option in options.get(section, {})


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
