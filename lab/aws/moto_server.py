"""The lab's AWS: moto's server with the program's policies enforced as on AWS, resource by resource.

Runs as a process inside the lab's network: `python -m lab.aws.moto_server SETTINGS.json`. moto itself checks that a
request is signed with one of its keys; `lab.aws.policy` decides by the policies of role and bucket what the key may do.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from moto import settings as moto_settings
from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.core import authorization
from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMRequestBase, PermissionResult, S3IAMRequest
from moto.iam.models import Policy
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket, s3_backends
from moto.secretsmanager.exceptions import InvalidParameterException
from moto.secretsmanager.models import secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.secretsmanager.utils import SecretsManagerSecretIdentifier
from moto.sns.responses import SNSResponse
from moto.utilities.id_generator import moto_id_manager
from werkzeug.serving import run_simple

from lab.aws import autoscaling, volumes
from lab.aws.policy import Document, Request, is_allowed
from lab.servers.moto import ADDRESS, TLS_VERSION_HEADER

# Operations that are allowed by a permission of another name.
S3_PERMISSIONS = {"HeadBucket": "ListBucket"}


def check_permission(self: IAMRequestBase, resource: str) -> None:
    """Replaces moto's own decision about a signed request."""
    if self._action == "sts:GetCallerIdentity":  # always allowed, whatever the policies
        return
    service, _, operation = self._action.partition(":")
    if self._action == "ec2:AttachVolume":
        for arn, context in volumes.attached(self.account_id, self._region, self._data).items():
            request = Request(action=self._action, resource=arn, principal=self._access_key.arn, context=context)
            if not is_allowed(request, map(_document, self._access_key.collect_policies())):
                self._raise_access_denied()
        return
    request = Request(
        action=f"{service}:{S3_PERMISSIONS.get(operation, operation)}",
        resource=resource,
        principal=self._access_key.arn,
        context=_context(self._headers, self._path, self._region) | resource_context(resource),
    )
    if is_allowed(request, map(_document, self._access_key.collect_policies()), _bucket_policies(self, resource)):
        return
    if "X-Amz-Target" in self._headers:  # moto's response would be XML, which clients of JSON services cannot read
        raise JsonRESTError(
            "AccessDeniedException",
            f"User: {request.principal} is not authorized to perform: {request.action} on resource: {resource} "
            "because no identity-based policy allows the action",
        )
    self._raise_access_denied()


def secret_arn(self: SecretsManagerResponse) -> str:
    """The ARN of a request's secret; without such a secret, the ARN that its name would have."""
    wanted = self._get_param("SecretId") or self._get_param("Name")
    if not wanted:
        return "*"
    backend = secretsmanager_backends[self.current_account][self.region]
    for secret in backend.secrets.values():
        if wanted in (secret.arn, secret.name):
            return secret.arn
    return (
        wanted
        if wanted.startswith("arn:")
        else f"arn:aws:secretsmanager:{self.region}:{self.current_account}:secret:{wanted}"
    )


def check_name(name: str) -> None:
    """Refuse a name or an ARN that AWS refuses.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
    """
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@!-]{1,512}|arn:aws:secretsmanager:[^ ]+", name):
        raise JsonRESTError(
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        )


def get_secret_value(self: SecretsManagerResponse) -> str:
    """Log whose value is asked for, as CloudTrail does."""
    name = self._get_param("SecretId")
    check_name(name)
    print(f"GetSecretValue {name}", flush=True)
    return _GET_SECRET_VALUE(self)


def create_secret(self: SecretsManagerResponse) -> str:
    """Refuse a name that AWS accepts but may misread: in a partial ARN its end looks like the suffix of a full ARN."""
    name = self._get_param("Name")
    check_name(name)
    if re.search("-.{6}$", name):
        raise InvalidParameterException(f"{name!r} ends in a hyphen and six characters, like an ARN's own suffix.")
    return _CREATE_SECRET(self)


_CREATE_SECRET = SecretsManagerResponse.create_secret
_GET_SECRET_VALUE = SecretsManagerResponse.get_secret_value


def group_arn(self: AutoScalingResponse) -> str:
    """The ARN of a request's autoscaling group, named directly or by one of its instances."""
    groups = autoscaling_backends[self.current_account][self.region].autoscaling_groups
    if (name := self._get_param("AutoScalingGroupName")) in groups:
        return groups[name].arn
    instance = self._get_param("InstanceId")
    for group in groups.values():
        if any(state.instance_id == instance for state in group.instance_states):
            return group.arn
    return "*"


def topic_arn(self: SNSResponse) -> str:
    """The ARN of a request's topic."""
    return self._get_param("TopicArn") or "*"


def keep_secret_arns(account_id: str, region: str, arns: Mapping[str, str]) -> None:
    """Give secrets the ARNs that the recording has, since the program's policies contain them."""
    for name, arn in arns.items():
        moto_id_manager.set_custom_id(SecretsManagerSecretIdentifier(account_id, region, name), arn[-6:])


# Owner and name of each attribute of moto that is replaced, and its replacement.
REPLACED: tuple[tuple[type, str, Callable[..., Any]], ...] = (
    (IAMRequestBase, "check_action_permitted", check_permission),
    (SecretsManagerResponse, "_determine_resource", secret_arn),
    (SecretsManagerResponse, "create_secret", create_secret),
    (SecretsManagerResponse, "get_secret_value", get_secret_value),
    (AutoScalingResponse, "_determine_resource", group_arn),
    (SNSResponse, "_determine_resource", topic_arn),
    # Bucket policies are part of the decision above; moto's own evaluation ignores conditions.
    (FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL),
)


def _context(headers: Mapping[str, str], path: str, region: str) -> dict[str, str]:
    """The condition keys of a request, as the TLS front reports it."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    context = {
        "aws:SecureTransport": str(headers.get("X-Forwarded-Proto") == "https").lower(),
        "aws:RequestedRegion": region,
    }
    tls = headers.get(TLS_VERSION_HEADER, "")
    if tls.startswith("TLSv"):
        context["s3:TlsVersion"] = tls.removeprefix("TLSv")
    return context | {f"s3:{key}": query[key][0] for key in ("prefix", "delimiter", "max-keys") if key in query}


def resource_context(arn: str) -> dict[str, str]:
    """The condition keys of the resource: its account and, for an autoscaling group, its tags."""
    if arn.startswith("arn:aws:s3:::"):
        _, owner = s3_backends.bucket_accounts.get(arn.partition(":::")[2].partition("/")[0], ("", ""))
        return {"aws:ResourceAccount": owner} if owner else {}
    if arn == "*":
        return {}
    _, _, service, region, owner, *_ = arn.split(":")
    context = {"aws:ResourceAccount": owner}
    if service == "autoscaling":
        group = autoscaling_backends[owner][region].autoscaling_groups[arn.rpartition("/")[2]]
        for tag in group.tags:
            context |= dict.fromkeys((f"{known}:ResourceTag/{tag['Key']}" for known in ("aws", service)), tag["Value"])
    return context


def _document(policy: Any) -> Document:
    """The JSON of an inline policy or of a managed one."""
    if isinstance(policy, Policy):
        return json.loads(next(version for version in policy.versions if version.is_default).document)
    return json.loads(policy if isinstance(policy, str) else policy["policy_document"])


def _bucket_policies(request: IAMRequestBase, resource: str) -> list[Document]:
    if not isinstance(request, S3IAMRequest):
        return []
    bucket = s3_backends[request.account_id]["aws"].buckets.get(resource.partition(":::")[2].partition("/")[0])
    return [json.loads(bucket.policy)] if bucket and bucket.policy else []


def main(file: Path) -> None:
    """Serve until the lab ends. The file has port, region, account and the secrets' ARNs.

    MOTO_ACCOUNT_ID must be the same account: moto reads it when it is imported.
    """
    for owner, name, replacement in (*REPLACED, *autoscaling.REPLACED, *volumes.REPLACED):
        setattr(owner, name, replacement)
    given = json.loads(file.read_text())
    volumes.keep_volume_ids(iter(given["volume_ids"]))
    keep_secret_arns(given["account_id"], given["region"], given["secret_arns"])
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")  # until the lab has filled the account
    authorization.ActionAuthenticatorMixin.request_count = 0
    application = DomainDispatcherApplication(create_backend_app)
    run_simple(ADDRESS, given["port"], application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
