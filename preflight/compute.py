"""EC2 and Auto Scaling: vCPUs, instance types in each zone, the image, the key that encrypts the nodes' volumes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aws_catalog.instance_types import architecture
from preflight import quotas
from preflight.account import Account
from preflight.checks import Finding, passed, will_fail
from preflight.needs import CLUSTER_TAG, TEMPLATE, Needs, NodeGroup, listed, tags_of
from preflight.network import zones_of
from preflight.quotas import fits

_PARAMETER = "resolve:ssm:"
_SCALING_ROLE = "AWSServiceRoleForAutoScaling"
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}


def vcpu_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """Every group at its maximum, beside the instances of others."""
    types = sorted({type_ for group in needs.groups for type_ in group.instance_types})
    described = account.call("ec2", "describe_instance_types", InstanceTypes=types)["InstanceTypes"]
    sizes = {each["InstanceType"]: int(each["VCpuInfo"]["DefaultVCpus"]) for each in described}
    planned: Counter[tuple[str, str]] = Counter()
    for group in needs.groups:
        # A group takes any of its types; the largest one decides how much it may need.
        largest = max(group.instance_types, key=lambda type_: sizes[type_])
        planned["on-demand", quota_class(largest)] += group.on_demand * sizes[largest]
        planned["spot", quota_class(largest)] += group.spot * sizes[largest]
    used = _vcpus_of_others(needs, account)
    for (market, class_), vcpus in planned.items():
        table = quotas.SPOT if market == "spot" else quotas.ON_DEMAND
        if class_ in table:
            yield from fits(table[class_], account, used=used[market, class_], needed=vcpus)


def quota_class(instance_type: str) -> str:
    """The class of families against whose quota a type counts."""
    letters = re.match("[a-z]+", instance_type)
    return quotas.CLASSES.get(letters[0] if letters else "", quotas.STANDARD)


def _vcpus_of_others(needs: Needs, account: Account) -> Counter[tuple[str, str]]:
    used: Counter[tuple[str, str]] = Counter()
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    for reservation in account.call("ec2", "describe_instances", Filters=running).get("Reservations", []):
        for instance in reservation["Instances"]:
            if tags_of(instance).get(CLUSTER_TAG) == needs.cluster:
                continue  # the plan counts its groups at their maximum
            cpus = instance.get("CpuOptions", {})
            market = "spot" if instance.get("InstanceLifecycle") == "spot" else "on-demand"
            vcpus = int(cpus.get("CoreCount", 0)) * int(cpus.get("ThreadsPerCore", 1))
            used[market, quota_class(instance["InstanceType"])] += vcpus
    return used


def instance_type_offers(needs: Needs, account: Account) -> Iterator[Finding]:
    """In each zone of a group, at least one of its instance types."""
    types = sorted({type_ for group in needs.groups for type_ in group.instance_types})
    wanted = [{"Name": "instance-type", "Values": types}]
    offers = account.call("ec2", "describe_instance_type_offerings", LocationType="availability-zone", Filters=wanted)[
        "InstanceTypeOfferings"
    ]
    offered = {(each["InstanceType"], each["Location"]) for each in offers}
    for group in needs.groups:
        zones = zones_of(group.subnet_ids, needs, account)
        yield from _group_offers(group, zones, offered)


def _group_offers(group: NodeGroup, zones: Sequence[str], offered: set[tuple[str, str]]) -> Iterator[Finding]:
    without = [zone for zone in zones if not any((type_, zone) in offered for type_ in group.instance_types)]
    if without:
        yield will_fail(
            f"{group.name}: none of its types ({listed(group.instance_types)}) is offered in {listed(without)}, where "
            "no node of the group can start. Add a type that is, or use another zone."
        )
        return
    partly = [
        f"{type_} not in {zone}" for type_ in group.instance_types for zone in zones if (type_, zone) not in offered
    ]
    yield passed(f"{group.name}: offered in {listed(zones)}{f' ({listed(partly)})' if partly else ''}")


def node_images(needs: Needs, account: Account) -> Iterator[Finding]:
    """Each image exists, fits its instance types, and is not larger than the root volume."""
    templates = {each.inputs["imageId"]: each.inputs for each in needs.of_type(TEMPLATE)}
    for image_id, template in templates.items():
        found_id = _resolved(image_id, account)
        images = account.call(
            "ec2", "describe_images", Filters=[{"Name": "image-id", "Values": [found_id]}], IncludeDeprecated=True
        )["Images"]
        groups = [group for group in needs.groups if group.template["imageId"] == image_id]
        if images:
            yield _image(images[0], groups, template)
        else:
            yield will_fail(
                f"there is no image {found_id} in {needs.region}, or it is not shared with this account: "
                "`make node-image` pins one that is there."
            )


def _resolved(image_id: str, account: Account) -> str:
    if not image_id.startswith(_PARAMETER):
        return image_id
    name = image_id.removeprefix(_PARAMETER)
    found = account.call("ssm", "get_parameters", Names=[name])["Parameters"]
    return str(found[0]["Value"]) if found else f"named by the parameter {name}"


def _image(image: Mapping[str, Any], groups: Sequence[NodeGroup], template: Mapping[str, Any]) -> Finding:
    name = f"{image['ImageId']} ({image.get('Name', 'without a name')})"
    types = [type_ for group in groups for type_ in group.instance_types]
    odd = [type_ for type_ in types if _ARCHITECTURES[architecture(type_)] != image["Architecture"]]
    disks = {each["DeviceName"]: each.get("Ebs", {}).get("VolumeSize", 0) for each in image["BlockDeviceMappings"]}
    planned = {each["deviceName"]: each["ebs"]["volumeSize"] for each in template.get("blockDeviceMappings", [])}
    if image["State"] != "available":
        return will_fail(f"{name} is {image['State']}: pin another one with `make node-image`.")
    if odd:
        return will_fail(f"{name} is for {image['Architecture']}, but {listed(odd)} are not: pin another image.")
    if image["RootDeviceName"] not in planned:
        return will_fail(
            f"{name} has its root volume at {image['RootDeviceName']}, but the nodes' volume is at {listed(planned)}: "
            "the root volume would keep the image's size and encryption. Use an image like Debian's."
        )
    if disks.get(image["RootDeviceName"], 0) > planned[image["RootDeviceName"]]:
        return will_fail(f"{name} needs {disks[image['RootDeviceName']]} GiB: raise rootVolumeGib to that or more.")
    until = image.get("DeprecationTime")
    if until and datetime.fromisoformat(until) < datetime.now(UTC):
        return passed(f"{name} is deprecated since {until[:10]}; nodes still start. Renew it with `make node-image`")
    return passed(f"{name} is available")


def volume_key(needs: Needs, account: Account) -> Iterator[Finding]:
    """Auto Scaling may use the region's default key for EBS, which encrypts the nodes' volumes."""
    if not needs.groups:
        return
    key = str(account.call("ec2", "get_ebs_default_kms_key_id")["KmsKeyId"])
    described = account.call("kms", "describe_key", absent=("NotFoundException",), KeyId=key).get("KeyMetadata")
    if described is None and key.endswith("alias/aws/ebs"):
        yield passed("the region's default key is AWS's own, created by the first use")
    elif described is None:
        yield will_fail(f"the region's default key for EBS, {key}, does not exist: set another default.")
    elif described["KeyState"] != "Enabled":
        yield will_fail(f"the region's default key for EBS, {key}, is {described['KeyState']}: enable it.")
    elif described["KeyManager"] == "AWS":
        yield passed("the region's default key is AWS's own")
    elif _granted(described["Arn"], account):
        yield passed(f"{key} admits {_SCALING_ROLE}")
    else:
        yield will_fail(
            f"the region's default key for EBS, {key}, does not admit {_SCALING_ROLE}, so no node could start: "
            "give the role a grant for the key (docs/running-worker-pools.md, a key of your own for EBS)."
        )


def _granted(key: str, account: Account) -> bool:
    grants = account.call("kms", "list_grants", KeyId=key).get("Grants", [])
    if any(_SCALING_ROLE in grant.get("GranteePrincipal", "") for grant in grants):
        return True
    return _SCALING_ROLE in account.call("kms", "get_key_policy", KeyId=key, PolicyName="default")["Policy"]


def launch_template_quota(needs: Needs, account: Account) -> Iterator[Finding]:
    """Launch templates in the region."""
    found = account.call("ec2", "describe_launch_templates").get("LaunchTemplates", [])
    others = [each for each in found if not needs.tagged_as_planned(TEMPLATE, tags_of(each))]
    yield from fits(quotas.LAUNCH_TEMPLATES, account, used=len(others), needed=len(needs.of_type(TEMPLATE)))
