"""Which options the pinned Airflow and its providers know: the registry that `make lock` extracts."""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path

REGISTRY = Path(__file__).parent / "airflow_options.json"


@cache
def _registry() -> dict[str, dict[str, dict[str, bool]]]:
    return json.loads(REGISTRY.read_text())["options"]


def exists(section: str, option: str) -> bool:
    """Whether the pinned Airflow, or a provider in the lock, reads the option. Names are in lower case."""
    return option in _registry().get(section, {})


def sensitive(section: str, option: str) -> bool:
    """Whether Airflow treats the option's value as a secret, which therefore has no place in a stack file."""
    return _registry().get(section, {}).get(option, {}).get("sensitive", False)


def nearest(section: str, option: str) -> tuple[str, str] | None:
    """The existing (section, option) whose name comes closest, for an error message; None if nothing is near."""
    same_name = [known for known, options in sorted(_registry().items()) if option in options]
    if same_name:
        return difflib.get_close_matches(section, same_name, n=1, cutoff=0.0)[0], option
    names = [f"{known}.{name}" for known, options in sorted(_registry().items()) for name in sorted(options)]
    found = difflib.get_close_matches(f"{section}.{option}", names, n=1, cutoff=0.6)
    if not found:
        return None
    known, _, name = found[0].partition(".")
    return known, name
