"""The cluster's secret values, each in a secret of its own in Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.component import Component
from components.context import Context
from components.data_store import DataStore
from node.roles import Role

METADATA_ROLE = "airflow"
"""PostgreSQL role, and database, of Airflow's metadata."""

RESULTS_ROLE = "celery_results"
"""PostgreSQL role, and database, of Celery's results: the only ones to which a worker's credentials give access."""

PROTECTED_RECOVERY_DAYS = 30
"""Days for which a deleted secret can be restored; the longest time that AWS allows."""

DESCRIPTIONS = {
    "database-dsn": "Airflow's metadata database, with role and password",
    "result-backend": "Celery's result database, with role and password",
    "broker-url": "Celery's broker, with token",
    "fernet-key": "Encrypts the connections and variables in the metadata database",
    "jwt-secret-key": "Signs the tokens of the API and of running tasks",
    "api-secret-key": "Signs requests for the logs of running tasks",
    "flask-secret-key": "Signs the UI's sessions and forms",
    "admin-password": "First password of the user admin",
    "database-admin": "Where the database is, and the secret in which RDS keeps its admin's password",
}


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    context: Context
    database: DataStore
    broker: DataStore


class Secrets(Component):
    """The secrets `<cluster>/<key>`, each readable on its own, so that a role gets only the ones it needs.

    Passwords and keys are generated once and stored in Pulumi's state, encrypted. A changed value replaces the nodes
    whose services read it (docs/changing-a-secret.md). The Fernet key is different: without the old key the stored
    connections cannot be read, so Pulumi refuses to replace it if the stack protects its data.
    """

    arns: Mapping[str, pulumi.Output[str]]
    """The ARNs by key; AWS appends six random characters to each."""
    names: Mapping[str, str]
    """The names by key, with which an operator reads a value."""
    versions: Mapping[str, pulumi.Output[str]]
    """The id of the version with the current value, by key. It changes only when the value changes."""

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:data:Secrets", name, None, opts)
        values = self._values(name, args)
        secrets = {key: self._secret(name, args, key) for key in DESCRIPTIONS}
        self.arns = {key: secret.arn for key, secret in secrets.items()}
        self.names = {key: f"{args.context.cluster}/{key}" for key in DESCRIPTIONS}
        self.versions = {key: self._store(name, key, secret, values[key]) for key, secret in secrets.items()}
        self.register_outputs({})

    def versions_for(self, role: Role) -> Mapping[str, pulumi.Output[str]]:
        """The versions of the secrets that the role's services read; a new one replaces the role's nodes. Secrets that
        only the preparation of the database reads are read at each boot and do not affect a running node."""
        return {key: self.versions[key] for key in role.definition.secrets}

    def _values(self, name: str, args: SecretsArgs) -> Mapping[str, pulumi.Output[str]]:
        database = (args.database.address, args.database.port)
        broker = (args.broker.address, args.broker.port)
        return {
            "database-dsn": pulumi.Output.all(self._random(name, "database-password"), *database).apply(
                lambda known: database_dsn(*known)
            ),
            "result-backend": pulumi.Output.all(self._random(name, "results-password"), *database).apply(
                lambda known: result_backend(*known)
            ),
            "broker-url": pulumi.Output.all(args.broker.credential, *broker).apply(lambda known: broker_url(*known)),
            # Losing this key makes stored connections unreadable, so replacing it must not be an accident.
            "fernet-key": self._random(name, "fernet-key-value", length=43, protect=args.context.protect).apply(
                fernet_key
            ),
            "jwt-secret-key": self._random(name, "jwt-secret-value", length=64),
            "api-secret-key": self._random(name, "api-secret-key-value", length=64),
            "flask-secret-key": self._random(name, "flask-secret-key-value", length=64),
            "admin-password": self._random(name, "admin-password-value"),
            "database-admin": pulumi.Output.all(*database, args.database.credential).apply(
                lambda known: database_admin(*known)
            ),
        }

    def _random(self, name: str, noun: str, *, length: int = 32, protect: bool = False) -> pulumi.Output[str]:
        """Letters and digits: 32 of them have 190 bits, and none has a special meaning in a shell, URL or file format.

        Always a RandomPassword: other random resources use the value as their id, and Pulumi does not encrypt ids.
        """
        options = self.child(protect=protect)
        return random.RandomPassword(f"{name}-{noun}", length=length, special=False, opts=options).result

    def _secret(self, name: str, args: SecretsArgs, key: str) -> aws.secretsmanager.Secret:
        return aws.secretsmanager.Secret(
            f"{name}-{key}",
            name=f"{args.context.cluster}/{key}",
            description=DESCRIPTIONS[key],
            # The name of a deleted secret stays reserved for these days. An unprotected stack may need it at once.
            recovery_window_in_days=PROTECTED_RECOVERY_DAYS if args.context.protect else 0,
            # All others can be created again. Only this key can decrypt what it has encrypted.
            opts=self.child(protect=args.context.protect and key == "fernet-key"),
        )

    def _store(
        self, name: str, key: str, secret: aws.secretsmanager.Secret, value: pulumi.Output[str]
    ) -> pulumi.Output[str]:
        """Returns the version's id. The provider never overwrites a version: a new value is a new one."""
        version = aws.secretsmanager.SecretVersion(
            f"{name}-{key}-value", secret_id=secret.id, secret_string=value, opts=self.child()
        )
        return version.version_id


def database_dsn(password: str, host: str, port: int) -> str:
    """The SQLAlchemy URL of Airflow's metadata.

    TLS is set in the environment (`PGSSLMODE`): in the URL it would break Airflow's async engine.
    """
    return _database_url("postgresql+psycopg2", METADATA_ROLE, password, host, port)


def result_backend(password: str, host: str, port: int) -> str:
    """Celery's URL of its result database: the SQLAlchemy URL with the prefix `db+`."""
    return _database_url("db+postgresql+psycopg2", RESULTS_ROLE, password, host, port)


def broker_url(token: str, host: str, port: int) -> str:
    """Celery's URL of the broker, over TLS; the token belongs to the default user, which has no name in the URL."""
    return f"rediss://:{_quoted(token)}@{host}:{port}/0"


def fernet_key(characters: str) -> str:
    """A Fernet key, which is 32 bytes in base64: 43 characters and the padding."""
    return f"{characters}="


def database_admin(host: str, port: int, secret_arn: str) -> str:
    """JSON with which a master finds the admin's password: AWS chooses the ARN of its secret."""
    return json.dumps({"host": host, "port": port, "secretArn": secret_arn})


def _database_url(scheme: str, role: str, password: str, host: str, port: int) -> str:
    return f"{scheme}://{role}:{_quoted(password)}@{host}:{port}/{role}"


def _quoted(value: str) -> str:
    """Percent-encoded, so that no character has a special meaning in URLs, environment files or Airflow's `$NAME`."""
    return quote(value, safe="")
