"""Writes docs/settings.md from the settings' models: `make docs`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from settings import Settings, schema
from settings.rules import RULES, Rule
from settings.schema import Path

_INTRODUCTION = """# Settings

All settings are in `Pulumi.<stack>.yaml`. This page lists every key; `make docs` generates it from the models in
`settings/`, and a test keeps it current. `Pulumi.prod.yaml` and `Pulumi.dev.yaml` show the
keys in use.

A section that is left out has its defaults, or its feature is off. A key that is not on this page is an error. If a
stack file has faults, the program reports all of them at once, before it registers anything:

```
Pulumi.prod.yaml has 2 faults; nothing was created or changed.

1. airflow:database.backupRetentionDays
   given:   40
   allowed: a whole number from 0 to 35 (days)
   to do:   lower it to at most 35

2. airflow:workerPools.default.minSize
   given:   9, above maxSize 8
   allowed: 0 to maxSize (8)
   to do:   lower minSize to at most 8, or raise maxSize
```

Strings that look like numbers or dates need quotes: `"012345670123"`, `"17.10"`, `"2026-11-26"`. Numbers are written in
plain decimal digits; 0123, 1e3 and 1_000 are refused, because YAML reads some of them as other numbers. Values that are
accepted but may be a mistake cause a warning, in the plan and in Pulumi's preview.
"""

_AGREEMENTS = """## Rules between settings

These are checked in addition to the values that each key accepts:
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_INTRODUCTION, *_provider_keys()]
    for key, (_, field) in schema.fields_by_key(Settings).items():
        if key not in schema.PROVIDER_KEYS:
            parts.extend(_section((key,), field))
    return "\n".join([*parts, _AGREEMENTS, *(f"- {_first_sentence(rule)}" for rule in RULES)]) + "\n"


def _provider_keys() -> Iterator[str]:
    yield "## `aws:`\n\nConfiguration of the AWS provider; the program reads it too, so that both agree.\n"
    fields = schema.fields_by_key(Settings)
    yield from _table([(where, fields[key][1], (key,)) for key, where in schema.PROVIDER_KEYS.items()])


def _section(path: Path, field: FieldInfo, *, level: int = 2) -> Iterator[str]:
    """A heading, what the section is, its keys, then the sections in it."""
    model = schema.section_of(field.annotation)
    if model is not None and schema.holds_a_map(field.annotation):
        path = (*path, "<name>")
    yield f"{'#' * level} `{schema.key_of(path)}`\n"
    if model is None:
        yield f"{_sentence(field.description)}\n"
        return
    need = "Required." if field.is_required() else "Optional."
    if path[-1] == "<name>":
        # A map that may be empty is so by default.
        none = not field.is_required() and not field.get_default(call_default_factory=True)
        need = "Any number, also none." if none else "One at least."
    yield f"{_sentence(inspect.getdoc(model))} {need}\n"
    rows, nested = [], []
    for key, (_, inner) in schema.fields_by_key(model).items():
        (nested if schema.section_of(inner.annotation) else rows).append((key, inner, (*path, key)))
    yield from _table(rows)
    for _, inner, inner_path in nested:
        yield from _section(inner_path, inner, level=level + 1)


def _table(rows: list[tuple[str, FieldInfo, Path]]) -> Iterator[str]:
    if rows:
        yield "| key | accepts | default | meaning |\n| --- | --- | --- | --- |"
    for key, field, path in rows:
        cells = (f"`{key}`", _takes(path, field), _default(field), _sentence(field.description))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _takes(path: Path, field: FieldInfo) -> str:
    """What the key accepts, in the words of the faults."""
    real = tuple(part for part in path if part != "<name>")
    allowed = schema.allowed_at(Settings, path if "<name>" in path else real)
    kind = field.annotation
    if get_origin(kind) is tuple:
        entry = schema.allowed_at(Settings, (*path, 0))
        of_list = allowed.sentence if allowed else "a list"
        return f"{of_list}; each: {entry.sentence}" if entry else of_list
    if schema.holds_a_map(kind):
        return "a map of names to values"
    if allowed:
        return allowed.sentence
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    return "true or false" if kind is bool else "a string"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default: Any = field.get_default(call_default_factory=True)
    if default is None or default in ((), {}):
        return "none"
    return f"`{json.dumps(default)}`"


def _first_sentence(rule: Rule) -> str:
    """The first paragraph of the rule's docstring; the others are for readers of the code."""
    return _sentence((inspect.getdoc(rule) or "").partition("\n\n")[0])


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    sys.stdout.write(page())
