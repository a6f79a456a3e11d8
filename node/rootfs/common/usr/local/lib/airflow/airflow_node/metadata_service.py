"""Client of EC2's instance metadata service, version 2."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

# The same variable that AWS's own SDKs read.
SERVICE = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
TIMEOUT_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The instance role's keys. They expire after a few hours, so do not store them."""

    key: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


def instance_id() -> str:
    """This instance's id."""
    return _read("instance-id", _token())


def target_state() -> str:
    """The target lifecycle state of this instance; empty if it belongs to no group."""
    try:
        return _read("autoscaling/target-lifecycle-state", _token())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return ""
        raise


def credentials(timeout: float = TIMEOUT_SECONDS) -> Credentials:
    """The instance role's credentials, in three requests. OSError if there are none (yet), or no response."""
    token = _token(timeout)
    role = _read("iam/security-credentials/", token, timeout)
    try:
        keys = json.loads(_read(f"iam/security-credentials/{role}", token, timeout))
        if keys.get("Code") != "Success":
            raise OSError(f"the instance role {role} gives no credentials: {keys.get('Code')}")
        return Credentials(key=keys["AccessKeyId"], secret=keys["SecretAccessKey"], token=keys["Token"])
    except (ValueError, KeyError):
        # Not with the parser's message, which quotes the keys.
        raise OSError(f"the credentials of the instance role {role} are incomplete") from None


def ask(path: str, *, method: str = "GET", headers: Mapping[str, str], timeout: float = TIMEOUT_SECONDS) -> str:
    """A single request. HTTPError if the service refuses it; another OSError if there is no valid response in time."""
    # The metadata service has no TLS, and must not be reached through a proxy.
    request = urllib.request.Request(f"{SERVICE}/latest/{path}", method=method, headers=dict(headers))  # noqa: S310
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=timeout) as answer:
            return answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"no valid response: {error!r}") from error


def _token(timeout: float = TIMEOUT_SECONDS) -> str:
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    return ask("api/token", method="PUT", headers=headers, timeout=timeout)


def _read(path: str, token: str, timeout: float = TIMEOUT_SECONDS) -> str:
    return ask(f"meta-data/{path}", headers={"X-aws-ec2-metadata-token": token}, timeout=timeout)
