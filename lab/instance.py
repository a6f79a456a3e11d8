"""An EC2 instance, and what it reads about itself from the metadata service."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address

from lab.addresses import AddressPlan
from lab.servers.metadata_service import USER_DATA


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance, as the API describes it.

    Attributes:
        life_cycle: `on-demand` or `spot`.
        user_data: base64, byte for byte as the launch template holds it.
        readable_tags: whether the instance may read its own tags.
    """

    id: str
    group: str
    address: IPv4Address
    zone: str
    region: str
    account_id: str
    instance_type: str
    life_cycle: str = "on-demand"
    image_id: str
    profile_arn: str
    role: str
    user_data: str
    tags: Mapping[str, str] = field(default_factory=dict)
    readable_tags: bool = False

    @property
    def mac(self) -> str:
        """A locally administered address made from the IPv4 address, so that every node has a different one."""
        return ":".join(f"{byte:02x}" for byte in (0x06, 0x00, *self.address.packed))

    @property
    def host_name(self) -> str:
        """EC2's name for its address, which the VPC's name server resolves."""
        return f"ip-{str(self.address).replace('.', '-')}.{self.region}.compute.internal"


@dataclass(frozen=True, kw_only=True)
class RoleCredentials:
    """Temporary credentials of the instance's role."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: datetime

    def document(self) -> str:
        """The JSON of the metadata service."""
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": _timestamp(datetime.now(UTC)),
                "AccessKeyId": self.access_key_id,
                "SecretAccessKey": self.secret_access_key,
                "Token": self.session_token,
                "Expiration": _timestamp(self.expiration),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Notices:
    """What EC2 and Auto Scaling announce to an instance.

    Attributes:
        target_state: its target lifecycle state.
        rebalance: when EC2 recommended to replace it: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
        interruption: when EC2 will reclaim a spot instance:
            https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    """

    target_state: str = "InService"
    rebalance: datetime | None = None
    interruption: datetime | None = None

    def values(self) -> dict[str, str]:
        """The values by their paths in the metadata service; a path without a value does not exist."""
        values = {"autoscaling/target-lifecycle-state": self.target_state}
        if self.rebalance is not None:
            values["events/recommendations/rebalance"] = json.dumps({"noticeTime": _timestamp(self.rebalance)})
        if self.interruption is not None:
            end = _timestamp(self.interruption)
            values["spot/instance-action"] = json.dumps({"action": "terminate", "time": end})
            values["spot/termination-time"] = end
        return values


def metadata(instance: Instance, credentials: RoleCredentials, plan: AddressPlan, notices: Notices) -> dict[str, str]:
    """The tree below `/latest/` that the instance reads."""
    data = {
        "ami-id": instance.image_id,
        "ami-launch-index": "0",
        "hostname": instance.host_name,
        "iam/info": json.dumps({"Code": "Success", "InstanceProfileArn": instance.profile_arn}),
        f"iam/security-credentials/{instance.role}": credentials.document(),
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.life_cycle,
        "instance-type": instance.instance_type,
        "local-hostname": instance.host_name,
        "local-ipv4": str(instance.address),
        "mac": instance.mac,
        "placement/availability-zone": instance.zone,
        "placement/region": instance.region,
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
        **{f"tags/instance/{key}": value for key, value in instance.tags.items() if instance.readable_tags},
        **_interface(instance, plan),
        **notices.values(),
    }
    return {
        **{f"meta-data/{key}": value for key, value in data.items()},
        "dynamic/instance-identity/document": _identity(instance),
        USER_DATA: instance.user_data,
    }


def _identity(instance: Instance) -> str:
    document = {
        "accountId": instance.account_id,
        # The nodes have this machine's architecture, not that of the instance type.
        "architecture": {"aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "availabilityZone": instance.zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "privateIp": str(instance.address),
        "region": instance.region,
        "version": "2017-09-30",
    }
    return json.dumps(document)


def _interface(instance: Instance, plan: AddressPlan) -> dict[str, str]:
    subnet = plan.subnet_of(instance.address)
    values = {
        "device-number": "0",
        "local-hostname": instance.host_name,
        "local-ipv4s": str(instance.address),
        "mac": instance.mac,
        "owner-id": instance.account_id,
        "subnet-id": subnet.id,
        "subnet-ipv4-cidr-block": str(subnet.cidr),
        "vpc-ipv4-cidr-block": str(plan.vpc),
        "vpc-ipv4-cidr-blocks": str(plan.vpc),
    }
    return {f"network/interfaces/macs/{instance.mac}/{key}": value for key, value in values.items()}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
