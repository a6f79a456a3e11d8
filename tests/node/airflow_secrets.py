"""Substitutes for the classes of Airflow that the backend for Secrets Manager uses, where Airflow is not installed."""

from __future__ import annotations

import json
import logging
import re
from types import ModuleType
from typing import Any, ClassVar


class _SecretsManagerBackend:
    """What Airflow's class of this name does for its children."""

    log = logging.getLogger("backend")

    def __init__(
        self,
        *,
        connections_prefix: str,
        variables_prefix: str,
        config_prefix: None,  # noqa: ARG002 - the backend gives it
        connections_lookup_pattern: str | None = None,
        variables_lookup_pattern: str | None = None,
    ) -> None:
        self._connections = (connections_prefix, connections_lookup_pattern)
        self._variables = (variables_prefix, variables_lookup_pattern)

    def _set_connection_class(self, made: Any) -> None:
        self._connection_class = made

    def get_connection(self, conn_id: str, _team_name: str | None) -> Any:
        value = self._find(*self._connections, conn_id)
        if value and value.startswith("{"):
            value = json.dumps(json.loads(value))
        return self._connection_class(conn_id=conn_id, uri=value) if value else None

    def get_variable(self, key: str, _team_name: str | None) -> str | None:
        return self._find(*self._variables, key)

    def _find(self, prefix: str, pattern: str | None, name: str) -> str | None:
        if pattern and not re.match(pattern, name, re.IGNORECASE):
            return None
        return self._get_secret_value(name, f"{prefix}/{name}")

    def _get_secret_value(self, secret_id: str, secrets_path: str) -> str | None:
        raise NotImplementedError


class _HTTPException(Exception):  # noqa: N818 - its name
    def __init__(self, status_code: int, detail: str) -> None:
        self.status_code, self.detail = status_code, detail


class Elsewhere:
    """The environment or the database."""

    found: ClassVar[dict[str, str]] = {}

    def get_connection(self, conn_id: str, _team_name: str | None) -> str | None:
        return self.found.get(conn_id)

    def get_variable(self, key: str, _team_name: str | None) -> str | None:
        return self.found.get(key)


class _Nowhere(Elsewhere):
    found: ClassVar[dict[str, str]] = {}


def modules() -> dict[str, ModuleType]:
    """The modules that the backend imports, by name."""
    found: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow.providers": {},
        "airflow.providers.amazon": {},
        "airflow.providers.amazon.aws": {},
        "airflow.providers.amazon.aws.secrets": {},
        "airflow.providers.amazon.aws.secrets.secrets_manager": {"SecretsManagerBackend": _SecretsManagerBackend},
        "airflow.sdk": {},
        "airflow.sdk.exceptions": {"AirflowSecretsBackendAccessDenied": type("Denied", (PermissionError,), {})},
        "airflow.secrets": {},
        "airflow.secrets.environment_variables": {"EnvironmentVariablesBackend": _Nowhere},
        "airflow.secrets.metastore": {"MetastoreBackend": Elsewhere},
        "starlette": {},
        "starlette.exceptions": {"HTTPException": _HTTPException},
    }
    made = {name: ModuleType(name) for name in found}
    for name, contents in found.items():
        vars(made[name]).update(contents)
    return made
