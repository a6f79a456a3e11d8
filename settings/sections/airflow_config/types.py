"""The value of an Airflow option."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _option_value(value: Any) -> Any:
    """Airflow's options are single values, and each becomes one line of the nodes' environment file."""
    line = _one_line(value) if isinstance(value, str) else value
    if not isinstance(line, str | int | float):
        allowed, remedy = (
            "a string, a number, true or false",
            "write lists and maps as Airflow does: as a string, in quotes",
        )
    elif isinstance(line, str) and not line.isprintable():
        allowed, remedy = (
            "text on one line, without control characters",
            "write it on one line, or begin it with >-, which joins lines, instead of |",
        )
    else:
        return line
    raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed, "remedy": remedy})


def _one_line(text: str) -> str:
    """The text without the line end that a YAML block adds, and JSON without line ends and tabs between its parts."""
    line = text.rstrip("\r\n")
    try:
        structured = isinstance(json.loads(line), dict | list)
    except ValueError:
        return line
    return re.sub(r" *[\t\r\n]\s*", " ", line) if structured else line


OptionValue = Annotated[str | int | float | bool, BeforeValidator(_option_value)]
Config = Mapping[str, Mapping[str, OptionValue]]
"""Values by section and option."""


def options(config: Config) -> Iterator[tuple[str, str, OptionValue]]:
    """Each section, option and value."""
    for section, values in config.items():
        for option, value in values.items():
            yield section, option, value
