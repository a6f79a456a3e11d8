"""The package index of a stack, for `make lock`: where it is, and its credentials from Secrets Manager."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from node.node_file import PROGRAMS, ROOTFS

# The nodes' own module, so that the lock asks the same indexes in the same order.
sys.path.append(str(ROOTFS / "common" / PROGRAMS.lstrip("/")))
import package_index


class LockError(Exception):
    """The lock could not be made. The message says why."""


def index_variables(stack_file: Path) -> dict[str, str]:
    """The variables by which uv and pip find the stack's package index; none where it has none."""
    try:
        config = yaml.safe_load(stack_file.read_text())["config"]
        index = config.get("airflow:packageIndex")
        if index is None:
            return {}
        secret = index.get("credentialsSecret")
        credentials = _credentials(secret, config["aws:region"]) if secret else None
        return package_index.variables(index["url"], pypi=index.get("pypi", True), credentials=credentials)
    except OSError as error:
        raise LockError(f"{stack_file.name} cannot be read ({error.strerror}): name a stack with STACK=.") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        stack = stack_file.name.split(".")[1]
        raise LockError(f"{stack_file.name} is at fault; `make plan STACK={stack}` says where.") from error


def _credentials(secret: str, region: str) -> Any:
    # Only stacks with such an index need the SDK and credentials for AWS.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=secret)
        return package_index.Credentials.from_secret(answer.get("SecretString", ""))
    except (BotoCoreError, ClientError) as error:
        raise LockError(
            f"The secret {secret} of the package index cannot be read in {region}: {error} "
            "Use AWS credentials of the stack's account that may call secretsmanager:GetSecretValue on it."
        ) from error
    except ValueError as error:
        raise LockError(f"The secret {secret} cannot be used: {error}.") from None
