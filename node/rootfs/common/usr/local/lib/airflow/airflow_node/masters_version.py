"""The Airflow version of the masters, which they publish to the workers in the artifacts bucket.

A worker's Task SDK must not be newer than the api-server that it calls. The server translates older versions of the
execution API. Of a newer version it serves the calls that it knows, and refuses the others:
https://docs.cadwyn.dev/concepts/version_changes/
"""

from __future__ import annotations

import importlib.metadata

from packaging.version import InvalidVersion, Version

from airflow_node import aws_request
from airflow_node.aws_request import AwsError

# Only masters may write below this prefix.
KEY = "environments/masters-airflow-version"


def installed() -> Version:
    """The Airflow of this node."""
    return Version(importlib.metadata.version("apache-airflow-core"))


def read(bucket: str) -> Version | None:
    """The oldest Airflow among the masters that serve; None before one has been published. Raises AwsError, OSError.

    Masters publish a newer version when all of them run it, and an older one at once. So while they are replaced by
    newer ones, this is still the previous version.
    """
    try:
        return Version(aws_request.get_object(bucket, KEY).decode(errors="replace").strip())
    except AwsError as error:
        if error.code == "NoSuchKey":
            return None
        raise
    except InvalidVersion:
        return None


def write(bucket: str, version: Version) -> None:
    """Publish the version for the workers. Raises AwsError, OSError."""
    aws_request.put_object(bucket, KEY, f"{version}\n".encode(), {})
