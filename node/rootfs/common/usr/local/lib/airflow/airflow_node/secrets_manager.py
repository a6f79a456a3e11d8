"""Reads secrets from Secrets Manager. Values are never logged."""

from __future__ import annotations

import json

from airflow_node import aws_request, log
from airflow_node.aws_request import AwsError
from airflow_node.boot_step import StepFailedError


def read(secret: str, *, remedy: str = "`pulumi up` creates it") -> str:
    """A secret's value, without line breaks at its ends, which a pasted value may have.

    Raises StepFailedError; `remedy` says what to do if the secret does not exist or is empty.
    """
    try:
        value = aws_request.with_retries(lambda: _ask(secret), what=f"The secret {secret}")
    except (OSError, AwsError) as error:
        if _is_missing(error):
            raise StepFailedError(f"the secret {secret} does not exist or has no value: {remedy}.") from error
        raise StepFailedError(
            f"the secret {secret} cannot be read: {log.one_line(error)}. "
            "Check the instance role's policy and the network path to Secrets Manager."
        ) from error
    value = value.strip("\r\n")
    if not value.strip():
        raise StepFailedError(f"the secret {secret} is empty: {remedy}.")
    if "\0" in value:
        raise StepFailedError(f"the secret {secret} contains a NUL character; an environment variable cannot.")
    return value


def _ask(secret: str) -> str:
    """The text of a secret; empty if it has none."""
    request = aws_request.Request(
        service="secretsmanager",
        url=f"{aws_request.endpoint('secretsmanager')}/",
        method="POST",
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"},
        body=json.dumps({"SecretId": secret}).encode(),
    )
    answer = aws_request.send(request)
    try:
        return json.loads(answer).get("SecretString", "")
    except ValueError:
        # Not with the parser's message, which quotes the value.
        raise OSError("the response is incomplete: it is not JSON") from None


def _is_missing(error: Exception) -> bool:
    return isinstance(error, AwsError) and error.code == "ResourceNotFoundException"


def by_variable(listed: str) -> dict[str, str]:
    """The secret for each variable, from `VARIABLE=secret ...` as airflow.env lists them."""
    return dict(item.split("=", 1) for item in listed.split())
