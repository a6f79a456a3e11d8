"""The options of the pinned Airflow and its providers, from the registry that `make lock` extracts."""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

REGISTRY = Path(__file__).parent / "registry.json"


@cache
def _registry() -> dict[str, Any]:
    return json.loads(REGISTRY.read_text())


def _options() -> dict[str, dict[str, dict[str, Any]]]:
    return _registry()["options"]


def exists(section: str, option: str) -> bool:
    """Whether the pinned Airflow, or a provider in the lock, reads the option. Names are in lower case."""
    return option in _options().get(section, {})


def names(section: str) -> frozenset[str]:
    """The options of a section; none if it does not exist."""
    return frozenset(_options().get(section, ()))


def sensitive(section: str, option: str) -> bool:
    """Whether Airflow treats the option's value as a secret."""
    return _description(section, option).get("sensitive", False)


def kind(section: str, option: str) -> str:
    """The type that Airflow reads the option as: boolean, integer, number, seconds, json, import or string."""
    return _description(section, option).get("type", "string")


def choices(section: str, option: str) -> tuple[str, ...]:
    """The values to which Airflow restricts the option; empty if it does not."""
    return tuple(_description(section, option).get("choices", ()))


def words(section: str, option: str) -> tuple[str, ...]:
    """The words, in lower case, that Airflow accepts for the option in any case, besides its choices or its type."""
    return tuple(_description(section, option).get("words", ()))


def time_zones() -> frozenset[str]:
    """The names of the time zones that the nodes know."""
    return frozenset(_registry()["time_zones"])


def renamed(section: str, option: str) -> tuple[str, str] | None:
    """The current name of an option of an older Airflow; None if it was removed or never existed."""
    section, _, option = _former(section, option).get("now", "").rpartition(".")
    return (section, option) if option else None


def advice_on_removed(section: str, option: str) -> str | None:
    """Airflow's own advice on an option that an older version had; None if there is none."""
    return _former(section, option).get("advice")


def nearest(section: str, option: str) -> tuple[str, str] | None:
    """The existing (section, option) whose name is most similar, for an error message; None if none is similar."""
    options = _options()
    near = section in {name.rpartition(".")[0] for name in _registry()["former"]} or difflib.get_close_matches(
        section, options, n=1, cutoff=0.6
    )
    same_name = [known for known, names in sorted(options.items()) if option in names] if near else []
    if same_name:
        return difflib.get_close_matches(section, same_name, n=1, cutoff=0.0)[0], option
    names = [f"{known}.{name}" for known in sorted(options) for name in sorted(options[known])]
    found = difflib.get_close_matches(f"{section}.{option}", names, n=1, cutoff=0.6)
    if not found:
        return None
    known, _, name = found[0].rpartition(".")
    return known, name


def _description(section: str, option: str) -> dict[str, Any]:
    return _options().get(section, {}).get(option, {})


def _former(section: str, option: str) -> dict[str, str]:
    return _registry()["former"].get(f"{section}.{option}", {})
