"""A launch of nodes for tests of groups."""

from __future__ import annotations

from components.launch_template import NodeLaunch
from node.roles import MASTERS

LAUNCH = NodeLaunch(
    group=MASTERS,
    group_name=MASTERS.name("airflow-prod"),
    image_id="resolve:ssm:/aws/service/debian/release/13/latest/amd64",
    user_data="I2Nsb3VkLWNvbmZpZwo=",
    subnet_ids=["subnet-a", "subnet-b"],
    security_group_id="sg-nodes",
    instance_profile_arn="arn:aws:iam::111122223333:instance-profile/airflow-prod-node",
    tags={"Project": "airflow", "airflow:role": "node"},
    secret_versions={"broker-url": "11111111-2222-4333-8444-555555555555"},
    after=[],
)
"""How nodes are launched; tests override single fields with dataclasses.replace."""
