"""`airflow:nodeImage`: the images from which nodes start."""

from __future__ import annotations

from typing import Annotated

from aws_catalog.debian_images import latest_image_parameter
from aws_catalog.instance_types import Architecture
from settings.section import Section
from settings.types import matching

ImageId = Annotated[
    str,
    matching(
        r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})",
        "an AMI id: ami- and 8 or 17 hexadecimal digits",
        "use the id of a Debian 13 image in this region, or leave the key out and let `make node-image` write it",
    ),
]


class NodeImageSettings(Section):
    """AMI ids that pin the node image; `make node-image` writes Debian's newest, but never replaces an image that is
    not Debian's. Without a pinned image, each node starts from the newest Debian 13 image at its launch, and every
    instance refresh replaces all nodes of its group."""

    amd64: ImageId | None = None
    """Image of the Intel and AMD nodes. An id is valid in one region only."""

    arm64: ImageId | None = None
    """Image of the Graviton nodes."""

    def image_id(self, architecture: Architecture) -> str:
        """The image of a launch template: the pinned AMI id, or an alias that EC2 resolves at each launch."""
        return self.pinned(architecture) or f"resolve:ssm:{latest_image_parameter(architecture)}"

    def pinned(self, architecture: Architecture) -> str | None:
        """The AMI id that the stack file gives for an architecture."""
        return self.amd64 if architecture == "amd64" else self.arm64
