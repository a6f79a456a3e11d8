from __future__ import annotations

from dataclasses import replace

import pulumi
import pytest

from components.autoscaling_group import autoscaling_group
from engine.program import deploy
from tests.components.launches import LAUNCH


@pytest.mark.parametrize(
    ("image_id", "skips"),
    [("resolve:ssm:/aws/service/debian/release/13/latest/amd64", False), ("ami-0123456789abcdef0", True)],
)
def test_a_refresh_skips_matching_nodes_if_the_image_is_pinned(image_id: str, skips: bool):
    launch = replace(LAUNCH, image_id=image_id)
    _, recording = deploy(
        lambda: autoscaling_group("group", launch, min_size=1, max_size=1, opts=pulumi.ResourceOptions())
    )
    refresh = recording.only("aws:autoscaling/group:Group").inputs["instanceRefresh"]
    assert refresh["preferences"]["skipMatching"] is skips, "AWS refuses to skip nodes if the image is an alias"
