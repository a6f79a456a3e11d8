"""Airflow's backend for AWS Secrets Manager, with a cache: where masters look for connections and variables first."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import boto3

# Airflow is installed only on nodes.
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend  # ty: ignore[import-not-found]
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # ty: ignore[import-not-found]
from airflow.secrets.environment_variables import EnvironmentVariablesBackend  # ty: ignore[import-not-found]
from airflow.secrets.metastore import MetastoreBackend  # ty: ignore[import-not-found]
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from starlette.exceptions import HTTPException  # ty: ignore[import-not-found]

CACHE_SECONDS = 300
# Tasks can ask for any name. Beyond this many, the one that was read first is forgotten.
MOST_CACHED = 10_000
# After AWS has not answered, lookups do without it for this long.
PAUSE_SECONDS = 15.0
# A lookup keeps one of the api-server's 40 threads busy. Without an answer, it ends after about as many seconds as a
# task waits for the execution API, which are five.
CLIENT = Config(connect_timeout=1, read_timeout=1.5, retries={"total_max_attempts": 2, "mode": "standard"})
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html; it answers any other name with
# a ValidationException.
POSSIBLE_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
# No such secret, or none with a current value; or one that is being deleted.
NOT_THERE = frozenset({"ResourceNotFoundException", "InvalidRequestException"})
# What only an operator can correct, for this secret alone.
REFUSED = frozenset({"AccessDeniedException", "AccessDenied", "DecryptionFailure", "ValidationException"})


class UnavailableError(Exception):
    """AWS does not answer, and the cache has nothing under this name."""


class TryAgainError(AirflowSecretsBackendAccessDenied, HTTPException):
    """A lookup that a task repeats. Airflow passes on no other error of a backend, but would report "not found"."""

    def __init__(self, detail: str) -> None:
        HTTPException.__init__(self, 503, detail)


@dataclass(frozen=True)
class Answer:
    """What Secrets Manager has answered, and when; `value` is None if there is no such secret."""

    value: str | None
    at: float


class CachedSecretsBackend(SecretsManagerBackend):
    """The connections `<cluster>/connections/<id>` and the variables `<cluster>/variables/<key>`.

    An answer is kept for `cache_seconds`, also that there is no such secret, by each process of Airflow on its own. An
    older one is used for as long as AWS does not answer.
    """

    # Whether the clients of this process repeat a lookup that failed with a TryAgainError (node_api_server.py).
    retried = False

    def __init__(self, *, cache_seconds: float = CACHE_SECONDS, **arguments: Any) -> None:
        cluster = os.environ["NODE_CLUSTER"]
        super().__init__(
            connections_prefix=f"{cluster}/connections",
            variables_prefix=f"{cluster}/variables",
            config_prefix=None,
            **arguments,
        )
        self._cache_seconds = float(cache_seconds)
        self._answers: dict[str, Answer] = {}
        self._asking = Lock()
        self._paused_until = 0.0

    @cached_property
    def client(self) -> Any:
        """Made at the first lookup, which takes a tenth of a second."""
        return boto3.session.Session().client("secretsmanager", config=CLIENT)

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        """The connection; None if Secrets Manager has none of this id."""
        try:
            return super().get_connection(conn_id, team_name)
        except UnavailableError as error:
            self._leave_to_others(error, "get_connection", conn_id, team_name)
            return None
        except Exception as error:
            # Airflow reports such a connection as not defined. The error's own message may quote the value.
            self.log.warning(
                "The secret of connection %r is no connection (%s). It must be a URI or a JSON object.",
                conn_id,
                type(error).__name__,
            )
            raise

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        """The variable; None if Secrets Manager has none of this key."""
        try:
            return super().get_variable(key, team_name)
        except UnavailableError as error:
            self._leave_to_others(error, "get_variable", key, team_name)
            return None

    def _leave_to_others(self, error: UnavailableError, method: str, name: str, team_name: str | None) -> None:
        """Return if the environment or the database has it. What neither has may be a secret, and not missing."""
        others = (EnvironmentVariablesBackend(), MetastoreBackend())
        if self.retried and all(getattr(other, method)(name, team_name) is None for other in others):
            raise TryAgainError(str(error)) from None

    def _get_secret_value(self, _: str, secrets_path: str) -> str | None:
        """The text of a secret, from the cache if it is recent enough."""
        if not POSSIBLE_NAME.fullmatch(secrets_path) or _is_supervised():
            return None
        known = self._answers.get(secrets_path)
        if known and self._is_recent(known):
            return known.value
        # One thread at a time asks AWS. While it does not answer, the others do not wait for that one.
        if self._asking.acquire(blocking=not self._paused_until):
            try:
                known = self._ask(secrets_path)
            finally:
                self._asking.release()
        if known is None:
            raise UnavailableError(f"Secrets Manager does not answer, so whether {secrets_path} exists is not known.")
        return known.value

    def _is_recent(self, answer: Answer) -> bool:
        return time.monotonic() - answer.at < self._cache_seconds

    def _ask(self, name: str) -> Answer | None:
        """The answer of Secrets Manager; without one, the last that it has given, or None."""
        known = self._answers.pop(name, None)
        if (known is None or not self._is_recent(known)) and time.monotonic() >= self._paused_until:
            try:
                known = Answer(self._value(name), time.monotonic())
                self._paused_until = 0.0
            except (BotoCoreError, ClientError) as error:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                self.log.warning(
                    "Secrets Manager does not answer (%s). For %.0f s, connections and variables come from the cache, "
                    "the environment and the database.",
                    error,
                    PAUSE_SECONDS,
                )
        if known is not None:
            self._answers[name] = known
            if len(self._answers) > MOST_CACHED:
                del self._answers[next(iter(self._answers))]
        return known

    def _value(self, name: str) -> str | None:
        try:
            response = self.client.get_secret_value(SecretId=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in REFUSED:
                self.log.warning("The secret %s cannot be read, so it counts as missing: %s", name, error)
            elif code not in NOT_THERE:
                raise
            return None
        if "SecretString" not in response:
            self.log.warning("The secret %s is binary, so it counts as missing: store it as text.", name)
        return response.get("SecretString")


def _is_supervised() -> bool:
    """Whether this process runs code of DAGs, and its supervisor looks names up for it.

    Each DAG file is parsed in a new process. Airflow would ask this backend there as well, and its cache is empty.
    """
    return getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", None) is not None
