"""The operator's AWS account: read-only calls with the operator's own credentials, and what their errors mean."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

_NO_CREDENTIALS = (
    *(NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound),
    *(SSOError, TokenRetrievalError),
)
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_REFUSED = {
    *("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "SignatureDoesNotMatch"),
    *("InvalidAccessKeyId", "IncompleteSignature", "OptInRequired"),
}

# The services whose actions begin with another name than their API in the SDK.
_PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_S3_ACTIONS = {"HeadBucket": "ListBucket", "ListBuckets": "ListAllMyBuckets"}


class CredentialsError(Exception):
    """AWS does not accept the credentials, or there are none. The message says what to do."""


class CannotTellError(Exception):
    """A check got no answer. The message says why, and what to do; `code` is AWS's error code, if it gave one."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Account:
    """The account in one region, with one client per service."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._clients: dict[str, Any] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 4})

    def identity(self) -> dict[str, str]:
        """Account and ARN of the caller, which everybody may ask for. Raises CredentialsError."""
        try:
            return self.call("sts", "get_caller_identity")
        except CannotTellError as error:
            raise CredentialsError(str(error)) from None

    def call(self, service: str, method: str, *, absent: Collection[str] = (), **parameters: Any) -> dict[str, Any]:
        """The answer of a call, all pages of it; empty if AWS answers with one of the error codes in `absent`.

        An answer is kept: several checks look at the same lists. Raises CredentialsError or CannotTellError.
        """
        key = json.dumps([service, method, parameters], sort_keys=True)
        if key not in self._answers:
            self._answers[key] = self._asked(service, method, absent, parameters)
        return self._answers[key]

    def _asked(
        self, service: str, method: str, absent: Collection[str], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            client = self._client(service)
            if client.can_paginate(method):
                return client.get_paginator(method).paginate(**parameters).build_full_result()
            return getattr(client, method)(**parameters)
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            if code in absent:
                return {}
            raise self._explained(error, code, service) from None
        except _NO_CREDENTIALS as error:
            raise CredentialsError(_with_credentials(str(error))) from None
        except ParamValidationError:
            raise  # a bug
        except BotoCoreError as error:
            raise CannotTellError(f"no answer from {service} in {self.region}: {error}") from None
        except ResponseParserError:
            raise CannotTellError(
                f"what answered for {service} in {self.region} is not AWS: check the proxy, and AWS_ENDPOINT_URL"
            ) from None

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=self.region, config=self._config)
        return self._clients[service]

    def _explained(self, error: ClientError, code: str, service: str) -> Exception:
        action = iam_action(service, error.operation_name)
        if code in _DENIED:
            return CannotTellError(
                f"the credentials may not {action}; docs/preflight.md has the policy that allows it", code
            )
        if code in _EXPIRED:
            return CredentialsError(_with_credentials("The credentials have expired"))
        if code in _REFUSED:
            return CredentialsError(
                f"AWS does not accept the credentials ({code}). Provide credentials as for `pulumi up`; a region that "
                f"is not enabled for the account gives the same answer: check that {self.region} is."
            )
        message = error.response["Error"].get("Message", "")
        return CannotTellError(f"AWS answered {action} with {code}{f': {message}' if message else ''}", code)


def iam_action(service: str, operation: str) -> str:
    """The IAM action that allows an operation of the SDK."""
    name = _S3_ACTIONS.get(operation, operation) if service == "s3" else operation
    return f"{_PREFIXES.get(service, service)}:{name}"


def _with_credentials(problem: str) -> str:
    return (
        f"{problem.rstrip('.')}. Provide credentials as for `pulumi up`, for example with `aws sso login` or "
        "AWS_PROFILE, then repeat."
    )
