"""EC2 instance types in a stack file: which are accepted, and which may not work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from aws_catalog import instance_types, region_families
from settings.types import Allowed, nearest


def _instance_type_remedy(text: str) -> str:
    if instance_types.exists(text.lower()):
        return f"write {text.lower()}"
    family = text.lower().partition(".")[0]
    if family.startswith("mac"):
        return "choose another family, for example m7i.large; Mac instances do not run Linux"
    if sizes := instance_types.sizes_by_family().get(family):
        alike = nearest(text, [f"{family}.{size}" for size in sizes])
        return f"did you mean {alike}? {family} has {', '.join(sizes)}"
    alike = nearest(text, sorted(instance_types.all_types()))
    newer = "if it is new in AWS, add it to aws_catalog/instance_types.txt"
    return f"did you mean {alike}? {newer}" if alike else newer


InstanceType = Annotated[
    str,
    Allowed(
        "an EC2 instance type that runs Linux, for example m7i.large",
        instance_types.exists,
        _instance_type_remedy,
    ),
]


def doubts_about(key: str, types: Sequence[str], region: str) -> Iterator[str]:
    """Warnings about types that the node image or the region may not support; `key` is the setting that lists them."""
    with_devices = [kind for kind in types if instance_types.needs_a_driver(kind)]
    for architecture in sorted({instance_types.architecture(kind) for kind in with_devices}):
        # The warning is given for pinned images too: an id does not show whether the image is Debian's.
        yield (
            f"{key}: the GPUs or accelerators of {', '.join(with_devices)} need a driver that Debian's images do not "
            f"include. Make sure that airflow:nodeImage.{architecture} is an image with the driver."
        )
    elsewhere = [kind for kind in types if not region_families.is_offered(kind, region)]
    if elsewhere:
        yield (
            f"{key}: {region} may not offer {', '.join(elsewhere)}. It did not when "
            "aws_catalog/region_families.txt was generated, and an Auto Scaling group cannot launch types that its "
            "region does not offer. To check: aws ec2 describe-instance-type-offerings "
            f"--region {region} --filters Name=instance-type,Values={','.join(elsewhere)}"
        )
