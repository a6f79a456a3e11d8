"""IAM and Secrets Manager: who may do what, and what is kept secret."""

from __future__ import annotations

from engine import fake_ids
from engine.errors import EngineRefusalError
from engine.recording import Registration
from engine.resource_types.mock_outputs import Answer, answers, arn, name, text

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_INLINE_POLICY_SIZE = 10_240
_CREATED = "2026-01-01T00:00:00Z"


@answers("aws:iam/role:Role")
def _role(registration: Registration) -> Answer:
    called = name(registration, longest=64)
    path = registration.inputs.get("path", "/")
    return Answer(
        id=called,
        outputs={
            "arn": arn(registration, "iam", f"role{path}{called}", regional=False),
            "uniqueId": fake_ids.iam("AROA", registration.urn),
            "createDate": _CREATED,
        },
        planned={"name": called},
    )


@answers("aws:iam/instanceProfile:InstanceProfile")
def _instance_profile(registration: Registration) -> Answer:
    called = name(registration, longest=128)
    path = registration.inputs.get("path", "/")
    return Answer(
        id=called,
        outputs={
            "arn": arn(registration, "iam", f"instance-profile{path}{called}", regional=False),
            "uniqueId": fake_ids.iam("AIPA", registration.urn),
            "createDate": _CREATED,
        },
        planned={"name": called},
    )


@answers("aws:iam/rolePolicy:RolePolicy")
def _role_policy(registration: Registration) -> Answer:
    called = name(registration, longest=128)
    if (size := len("".join(text(registration, "policy").split()))) > _INLINE_POLICY_SIZE:
        raise EngineRefusalError(
            f"{registration.type} {registration.name!r} has {size:,} characters; IAM allows "
            f"{_INLINE_POLICY_SIZE:,} for all inline policies of a role together, not counting white space"
        )
    return Answer(id=f"{text(registration, 'role')}:{called}", planned={"name": called})


@answers("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
def _role_policy_attachment(registration: Registration) -> Answer:
    return Answer(id=f"{text(registration, 'role')}/{text(registration, 'policyArn')}")


@answers("aws:secretsmanager/secret:Secret")
def _secret(registration: Registration) -> Answer:
    called = name(registration, longest=512)
    # Secrets Manager adds a hyphen and six characters, so that a secret made anew is told from the deleted one.
    secret = arn(
        registration, "secretsmanager", f"secret:{called}-{fake_ids.characters(f'secret:{registration.urn}', 6)}"
    )
    return Answer(id=secret, outputs={"arn": secret}, planned={"name": called})


@answers("aws:secretsmanager/secretVersion:SecretVersion")
def _secret_version(registration: Registration) -> Answer:
    secret = text(registration, "secretId")
    version = fake_ids.uuid4(registration.urn)
    return Answer(
        id=f"{secret}|{version}",
        outputs={"arn": secret, "versionId": version, "versionStages": ["AWSCURRENT"]},
    )
