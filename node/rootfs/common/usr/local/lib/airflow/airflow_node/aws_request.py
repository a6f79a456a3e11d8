"""Signed requests to AWS without the SDK, which is part of Airflow's environment and not installed yet at boot."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from airflow_node import metadata_service, retry
from airflow_node.metadata_service import Credentials

Result = TypeVar("Result")

# In addition to the statuses 429 and 5xx. RequestTimeout is S3's, for a request that took too long.
BUSY = ("TooManyRequestsException", "RequestLimitExceeded", "RequestTimeout")
# A retry would not help: what these requests name was created before the node.
MISSING = ("NoSuchKey", "NoSuchBucket", "ResourceNotFoundException", "ValidationError")
# Other errors are retried for this long: a new role and its policies take a while to take effect everywhere.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
REFUSAL_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds that a request may wait for AWS to accept the connection, or to send the next part of its response, and
    that each of the three requests for credentials may wait for the metadata service."""

    request: float
    metadata: float


TIMEOUTS = Timeouts(request=30, metadata=metadata_service.TIMEOUT_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. The path must need no quoting: letters, digits and `/-._` only."""

    service: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""


class AwsError(Exception):
    """AWS refused a request. `code` is its error code (`NoSuchKey`), `status` the HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        self.code, self.status = code, status
        super().__init__(f"{code}: {message}" if message else code)

    @property
    def is_busy(self) -> bool:
        """Whether AWS may accept the same request later."""
        return self.status >= 500 or self.status == 429 or "Throttl" in self.code or self.code in BUSY


def with_retries(attempt: Callable[[], Result], *, what: str, seconds: float = retry.LIMIT_SECONDS) -> Result:
    """The result of a request. Retried for `seconds` after an error that may be temporary: no response or only part of
    one, a busy service, or a role that has not taken effect yet."""
    began = retry.clock()

    def may_pass(error: Exception) -> bool:
        if not isinstance(error, AwsError):
            return isinstance(error, OSError)
        is_new = error.code not in MISSING and retry.clock() - began < REFUSAL_SECONDS
        return error.is_busy or is_new

    return retry.call(attempt, what=what, may_pass=may_pass, pauses=retry.backoff(seconds))


def get_object(bucket: str, key: str) -> bytes:
    """An object of S3."""
    return send(Request(service="s3", url=object_url(bucket, key)))


def put_object(bucket: str, key: str, content: bytes | memoryview, headers: Mapping[str, str]) -> None:
    """Write an object of S3; the headers may contain a condition, such as If-None-Match."""
    # Set explicitly: urllib would add another content type after the signing.
    headers = {"Content-Type": "application/octet-stream", **headers}
    send(Request(service="s3", url=object_url(bucket, key), method="PUT", headers=headers, body=content))


def object_url(bucket: str, key: str) -> str:
    """The URL of an object."""
    return f"{endpoint('s3', bucket)}/{key}"


def endpoint(service: str, bucket: str = "") -> str:
    """The endpoint of a service in this region; S3 has one for each bucket."""
    place = f"{bucket}.{service}" if bucket else service
    return f"https://{place}.{_region()}.amazonaws.com"


def send(request: Request, timeouts: Timeouts = TIMEOUTS) -> bytes:
    """The body of the response. Raises AwsError if AWS refuses, and OSError if there is no complete response."""
    headers = signed_headers(request, metadata_service.credentials(timeouts.metadata), datetime.now(UTC))
    outgoing = urllib.request.Request(  # noqa: S310 - the address is one of `endpoint`
        request.url, data=request.body or None, headers=headers, method=request.method
    )
    try:
        try:
            with urllib.request.urlopen(outgoing, timeout=timeouts.request) as response:  # noqa: S310 - as above
                return response.read()
        except urllib.error.HTTPError as refusal:
            raise _error(refusal) from None
    except http.client.HTTPException as error:
        raise OSError(f"the response is incomplete: {error!r}") from None


def signed_headers(request: Request, credentials: Credentials, now: datetime) -> dict[str, str]:
    """The headers of a request, including its signature.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    place = urllib.parse.urlsplit(request.url)
    body_hash = hashlib.sha256(request.body).hexdigest()
    headers = {
        **{name.lower(): value for name, value in request.headers.items()},
        "host": place.netloc,
        "x-amz-content-sha256": body_hash,
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-security-token": credentials.token,
    }
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{request.method}\n{place.path}\n{place.query}\n{listed}\n{names}\n{body_hash}"
    scope = f"{now:%Y%m%d}/{_region()}/{request.service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    signed = f"AWS4-HMAC-SHA256 Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers | {"authorization": signed}


def _region() -> str:
    return os.environ["AWS_REGION"]


def _error(refusal: urllib.error.HTTPError) -> AwsError:
    """The error in a response, which is XML or, for some services, JSON."""
    text = refusal.read().decode(errors="replace")
    try:
        fields = {name.lower(): str(value) for name, value in json.loads(text).items()}
        code, message = fields.get("__type", "").rpartition("#")[2], fields.get("message", "")
    except (ValueError, AttributeError):
        found = {name: re.search(f"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message")}
        code, message = (match[1] if match else "" for match in found.values())
    return AwsError(code or f"HTTP status {refusal.code}", message or refusal.reason, refusal.code)
