"""The kinds of node, and which secrets each of them may read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a node does in the cluster."""

    MASTER = "master"
    WORKER = "worker"


# Secret key -> the variable under which the long-running services of the role get the secret's value. Workers run other
# people's code: they have no DSN, no Fernet key, no JWT secret, and not the key that signs the UI's sessions.
SECRETS: Mapping[Role, Mapping[str, str]] = MappingProxyType(
    {
        Role.MASTER: MappingProxyType(
            {
                "database-dsn": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
                "result-backend": "AIRFLOW__CELERY__RESULT_BACKEND",
                "broker-url": "AIRFLOW__CELERY__BROKER_URL",
                "fernet-key": "AIRFLOW__CORE__FERNET_KEY",
                "jwt-secret-key": "AIRFLOW__API_AUTH__JWT_SECRET",
                "api-secret-key": "AIRFLOW__API__SECRET_KEY",
                "flask-secret-key": "FLASK_SECRET_KEY",
            }
        ),
        Role.WORKER: MappingProxyType(
            {
                "broker-url": "AIRFLOW__CELERY__BROKER_URL",
                "result-backend": "AIRFLOW__CELERY__RESULT_BACKEND",
                "api-secret-key": "AIRFLOW__API__SECRET_KEY",
            }
        ),
    }
)

# What only the step that prepares the database gets, in a file of its own that is gone before the services start.
BOOTSTRAP_SECRETS: Mapping[Role, Mapping[str, str]] = MappingProxyType(
    {
        Role.MASTER: MappingProxyType(
            {
                "admin-password": "NODE_ADMIN_PASSWORD",
                "database-admin": "NODE_DATABASE_ADMIN",
            }
        ),
        Role.WORKER: MappingProxyType({}),
    }
)

# Every secret key that a role reads: what its instance role has to allow.
SECRET_KEYS_BY_ROLE: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {role: (*SECRETS[role], *BOOTSTRAP_SECRETS[role]) for role in Role}
)
