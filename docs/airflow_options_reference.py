"""Writes docs/airflow-options.md from the program's own tables: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator

from node.airflow_options.node_option import Computed, NodeOption
from node.airflow_options.rendering import COMMON_OPTIONS, SERVICE_OPTIONS
from node.roles import DEFINITIONS, Role
from settings.sections.airflow_config import refusals

_INTRODUCTION = """# Airflow options that the program sets

`make docs` generates this page from the tables that the program itself uses, and a test keeps it current. Every other
option has Airflow's default, or the value that `airflow:config` in the stack file gives it. A locked option is one that
`airflow:config` may not set, because other parts of the cluster rely on its value.

Nodes get the options as environment variables in `/etc/airflow/airflow.env`. Those that only services have are in the
drop-ins `20-metrics.conf` of the services' units; a value from `airflow:config` comes before them.
"""
_DEFAULTS = """## Defaults that a stack file may change

| option | value | on | why |
| --- | --- | --- | --- |"""
_LOCKED = """
## Locked options

| option | value | on | why | instead |
| --- | --- | --- | --- | --- |"""
_SECRETS = """
## Options that hold secrets

The program creates these secrets in Secrets Manager, where nodes fetch them. They are locked: secrets do not
belong in a stack file or in user data. To change one, see [changing-a-secret.md](changing-a-secret.md).

| option | secret | on |
| --- | --- | --- |"""
_UNWORKABLE = """
## Options that cannot work on the nodes

These exist, but a value other than the one that the nodes need would stop a service or its tasks, so they are refused.

| option | why, and what to do instead |
| --- | --- |"""
_ROLES = {Role.MASTER: "masters", Role.WORKER: "workers"}
_OF_AIRFLOW = frozenset(role for role, definition in DEFINITIONS.items() if definition.runs_airflow)
_PREFIX = "AIRFLOW__"


def page() -> str:
    """The whole page, in Markdown."""
    options = sorted(_options(), key=lambda found: found[0].name)
    return "\n".join(
        [
            _INTRODUCTION,
            _DEFAULTS,
            *(_row(*_cells(each), on, each.reason) for each, on in options if not each.locked),
            _LOCKED,
            *(_row(*_cells(each), on, each.reason, _instead(each)) for each, on in options if each.locked),
            _SECRETS,
            *_secrets(),
            _UNWORKABLE,
            *(_row(f"`{'.'.join(name)}`", advice) for name, advice in sorted(refusals.UNWORKABLE.items())),
            "",
        ]
    )


def _options() -> Iterator[tuple[NodeOption, str]]:
    """Each option with the roles that set it."""
    for each in COMMON_OPTIONS:
        yield each, _on(_OF_AIRFLOW)
    for role, definition in DEFINITIONS.items():
        for each in definition.airflow_options:
            yield each, _on([role])
    for each in SERVICE_OPTIONS:
        yield each, "services of masters, with `airflow:monitoring`"


def _on(roles: Collection[Role]) -> str:
    return "all nodes" if set(roles) == _OF_AIRFLOW else ", ".join(_ROLES[role] for role in roles)


def _cells(each: NodeOption) -> tuple[str, str]:
    if isinstance(each.value, Computed):
        return f"`{'.'.join(each.name)}`", each.value.source
    return f"`{'.'.join(each.name)}`", f"`{each.value}`" if each.value else "empty"


def _instead(each: NodeOption) -> str:
    return refusals.INSTEAD.get(each.name, "")


def _secrets() -> Iterator[str]:
    keys = {
        variable.removeprefix(_PREFIX).replace("__", ".").lower(): key
        for definition in DEFINITIONS.values()
        for key, variable in definition.secrets.items()
        if variable.startswith(_PREFIX)
    }
    for option, key in sorted(keys.items()):
        roles = [role for role, definition in DEFINITIONS.items() if key in definition.secrets]
        yield _row(f"`{option}`", f"`<cluster>/{key}`", _on(roles))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
