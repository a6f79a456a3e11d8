"""Reads secrets from Secrets Manager. Values are never logged."""

from __future__ import annotations

import aws_request
import boot_step
from aws_request import AwsError
from boot_step import StepFailedError


def read(secret: str, *, remedy: str = "`pulumi up` creates it") -> str:
    """A secret's value, without the line breaks that a pasted value may have around it.

    Raises StepFailedError; `remedy` says what to do if the secret does not exist or is empty.
    """
    try:
        value = boot_step.patiently(
            lambda: aws_request.secret_value(secret),
            what=f"The secret {secret}",
            may_pass=lambda error: isinstance(error, OSError | AwsError) and not _is_missing(error),
        )
    except (OSError, AwsError) as error:
        if _is_missing(error):
            raise StepFailedError(f"the secret {secret} does not exist or has no value: {remedy}.") from error
        raise StepFailedError(
            f"the secret {secret} cannot be read: {boot_step.one_line(error)}. "
            "Check the instance role's policy and the network path to Secrets Manager."
        ) from error
    value = value.strip("\r\n")
    if not value.strip():
        raise StepFailedError(f"the secret {secret} is empty: {remedy}.")
    if "\0" in value:
        raise StepFailedError(f"the secret {secret} contains a NUL character; an environment variable cannot.")
    return value


def _is_missing(error: Exception) -> bool:
    return isinstance(error, AwsError) and error.code == "ResourceNotFoundException"
