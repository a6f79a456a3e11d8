from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from components.instance_role import InstanceRole, InstanceRoleArgs, role_name
from components.secrets import DESCRIPTIONS
from engine.program import deploy
from engine.recording import Recording
from lab.aws.policy import Request, is_allowed
from node.roles import MASTERS, MONITOR, NodeGroup, Role, worker_group
from tests.components.contexts import context

KEYS = sorted({key for role in Role for key in role.definition.secret_keys})
RDS_SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!db-0123-AbCdEf"
GROUPS = {Role.MASTER: MASTERS, Role.WORKER: worker_group("heavy"), Role.MONITOR: MONITOR}
OF_AIRFLOW = [Role.MASTER, Role.WORKER]
VOLUME = "arn:aws:ec2:eu-west-1:111122223333:volume/vol-0a1b2c3d4e5f60718"
TOPICS = [f"arn:aws:sns:eu-west-1:111122223333:airflow-prod-alerts-{severity}" for severity in ("critical", "warning")]
KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b"
MONITOR_ARNS = {"metrics-volume": [VOLUME], "alert-topics": TOPICS, "alert-key": [KEY]}


def arn(key: str) -> str:
    return f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:airflow-prod/{key}-AbCdEf"


def identity(role: Role, **changes: Any) -> Recording:
    def build() -> InstanceRole:
        return InstanceRole(
            f"{role}-identity",
            InstanceRoleArgs(
                group=GROUPS[role],
                context=context(),
                secret_arns={key: pulumi.Output.from_input(arn(key)) for key in KEYS},
                database_admin_secret_arn=RDS_SECRET,
                bucket_arns={name: f"arn:aws:s3:::{name}" for name in ("task-logs", "dags", "artifacts")},
                monitor_arns=(MONITOR_ARNS if role is Role.MONITOR else {}) | changes.pop("monitor_arns", {}),
                **changes,
            ),
        )

    return deploy(build)[1]


def statements(role: Role, **changes: Any) -> list[dict[str, Any]]:
    policy = json.loads(identity(role, **changes).only("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    assert policy["Version"] == "2012-10-17"
    return policy["Statement"]


def allowed(role: Role, **changes: Any) -> set[tuple[str, str]]:
    """Every (action, resource) that the role's policy allows."""
    return {
        (action, resource)
        for statement in statements(role, **changes)
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def secrets_of(role: Role) -> set[str]:
    return {resource for action, resource in allowed(role) if action == "secretsmanager:GetSecretValue"}


def test_a_worker_may_read_only_the_three_secrets_that_its_services_need():
    assert secrets_of(Role.WORKER) == {arn("broker-url"), arn("result-backend"), arn("api-secret-key")}, (
        "the code of every DAG can use this role"
    )


OF_DAGS = {
    "arn:aws:secretsmanager:eu-west-1:111122223333:secret:airflow-prod/connections/*",
    "arn:aws:secretsmanager:eu-west-1:111122223333:secret:airflow-prod/variables/*",
}


def test_a_master_may_also_read_the_databases_admin_secret_and_connections_and_variables():
    own = {arn(key) for key in Role.MASTER.definition.secret_keys}
    assert secrets_of(Role.MASTER) == own | {RDS_SECRET} | OF_DAGS


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("airflow-prod/connections/sales-AbCdEf", True),
        ("airflow-prod/variables/team/word-AbCdEf", True),
        # One that does not exist has no suffix. If it were refused, a master could not tell that it does not exist.
        ("airflow-prod/connections/missing", True),
        ("airflow-prod/connections-AbCdEf", False),
        ("airflow-prod/config/sales-AbCdEf", False),
        ("airflow-prod-2/connections/sales-AbCdEf", False),
        ("airflow/connections/sales-AbCdEf", False),
    ],
)
def test_connections_and_variables_are_the_secrets_below_two_prefixes(name: str, readable: bool):
    request = Request(
        action="secretsmanager:GetSecretValue",
        resource=f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}",
        principal="arn:aws:sts::111122223333:assumed-role/airflow-prod-eu-west-1-master/i-1",
    )
    assert is_allowed(request, [{"Statement": statements(Role.MASTER)}]) is readable
    assert not is_allowed(request, [{"Statement": statements(Role.WORKER)}]), "tasks ask the execution API"


def test_no_secret_of_the_cluster_is_below_the_prefixes_of_connections_and_variables():
    """A task may read whatever is there."""
    for key in DESCRIPTIONS:
        assert "/" not in key


@pytest.mark.parametrize("role", Role)
def test_a_role_to_which_an_operator_has_attached_a_policy_can_be_deleted(role: Role):
    assert identity(role).only("aws:iam/role:Role").inputs["forceDetachPolicies"]


READ_BUCKETS = {
    ("s3:ListBucket", "arn:aws:s3:::dags"),
    ("s3:GetObject", "arn:aws:s3:::dags/*"),
    ("s3:ListBucket", "arn:aws:s3:::artifacts"),
    ("s3:GetObject", "arn:aws:s3:::artifacts/*"),
}


def on_dags_and_artifacts(role: Role) -> set[tuple[str, str]]:
    on_buckets = {(action, resource) for action, resource in allowed(role) if resource.startswith("arn:aws:s3:::")}
    return {pair for pair in on_buckets if "task-logs" not in pair[1]}


def test_a_worker_may_change_neither_dags_nor_artifacts():
    assert on_dags_and_artifacts(Role.WORKER) == READ_BUCKETS


def test_a_master_may_publish_virtual_environments_but_change_no_other_artifact():
    published = ("s3:PutObject", "arn:aws:s3:::artifacts/environments/*")
    assert on_dags_and_artifacts(Role.MASTER) == READ_BUCKETS | {published}


@pytest.mark.parametrize("role", OF_AIRFLOW)
def test_a_node_may_write_task_logs_but_delete_none(role: Role):
    assert {pair for pair in allowed(role) if "task-logs" in pair[1]} == {
        ("s3:ListBucket", "arn:aws:s3:::task-logs"),
        ("s3:GetObject", "arn:aws:s3:::task-logs/*"),
        ("s3:PutObject", "arn:aws:s3:::task-logs/*"),
    }


def scaling(role: Role) -> dict[str, set[str]]:
    """The Auto Scaling actions that the role allows, with their groups."""
    prefix = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:*:autoScalingGroupName/"
    groups: dict[str, set[str]] = {}
    for action, resource in allowed(role):
        if action.startswith("autoscaling:"):
            groups.setdefault(action.partition(":")[2], set()).add(resource.removeprefix(prefix))
    return groups


def test_a_worker_may_report_and_terminate_itself_only_in_its_own_pool():
    own = {"airflow-prod-pool-heavy"}
    assert scaling(Role.WORKER) == {
        "CompleteLifecycleAction": own,
        "RecordLifecycleActionHeartbeat": own,
        "SetInstanceHealth": own,
        "TerminateInstanceInAutoScalingGroup": own,
    }, "all code in tasks can use this role: it must not launch instances, or terminate those of another pool"


def test_a_master_may_report_in_its_own_group_and_scale_the_pools():
    own = {"airflow-prod-masters"}
    assert scaling(Role.MASTER) == {
        "CompleteLifecycleAction": own,
        "RecordLifecycleActionHeartbeat": own,
        "SetInstanceHealth": own,
        "SetDesiredCapacity": {"airflow-prod-pool-*"},
        "DescribeAutoScalingGroups": {"*"},
        "DescribeScalingActivities": {"*"},
    }


def test_a_monitor_may_read_its_programs_report_itself_and_attach_the_metrics_volume():
    own = {"airflow-prod-monitor"}
    assert scaling(Role.MONITOR) == {
        "CompleteLifecycleAction": own,
        "RecordLifecycleActionHeartbeat": own,
        "SetInstanceHealth": own,
    }
    others = {pair for pair in allowed(Role.MONITOR) if not pair[0].startswith("autoscaling:")}
    assert others == {
        ("s3:ListBucket", "arn:aws:s3:::artifacts"),
        ("s3:GetObject", "arn:aws:s3:::artifacts/*"),
        ("ec2:DescribeVolumes", "*"),
        ("ec2:AttachVolume", VOLUME),
        ("ec2:AttachVolume", "arn:aws:ec2:eu-west-1:111122223333:instance/*"),
        *(("sns:Publish", topic) for topic in TOPICS),
        ("kms:Decrypt", KEY),
        ("kms:GenerateDataKey", KEY),
    }, "no DAG, no task log, no secret"


@pytest.mark.parametrize(
    ("tags", "attachable"),
    [
        ({"airflow:cluster": "airflow-prod", "airflow:role": "monitor"}, True),
        ({"airflow:cluster": "airflow-prod", "airflow:role": "worker"}, False),
        ({"airflow:cluster": "airflow-prod-2", "airflow:role": "monitor"}, False),
        ({}, False),
    ],
)
def test_the_volume_can_be_attached_to_monitors_of_the_cluster_only(tags: dict[str, str], attachable: bool):
    request = Request(
        action="ec2:AttachVolume",
        resource="arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0",
        principal="arn:aws:sts::111122223333:assumed-role/airflow-prod-eu-west-1-monitor/i-1",
        context={f"ec2:ResourceTag/{key}": value for key, value in tags.items()},
    )
    assert is_allowed(request, [{"Statement": statements(Role.MONITOR)}]) is attachable


def test_without_topics_a_monitor_has_no_permission_to_publish():
    without = {**MONITOR_ARNS, "alert-topics": [], "alert-key": []}
    assert not {action for action, _ in allowed(Role.MONITOR, monitor_arns=without) if action[:4] in ("sns:", "kms:")}


def may_scale(group: str, **tags: str) -> bool:
    request = Request(
        action="autoscaling:SetDesiredCapacity",
        resource=f"arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:0a1b:autoScalingGroupName/{group}",
        principal="arn:aws:sts::111122223333:assumed-role/airflow-prod-eu-west-1-master/i-1",
        context={f"autoscaling:ResourceTag/airflow:{key}": value for key, value in tags.items()},
    )
    return is_allowed(request, [{"Statement": statements(Role.MASTER)}])


def test_a_master_cannot_scale_groups_of_a_cluster_whose_name_starts_like_a_pool():
    assert may_scale("airflow-prod-pool-x", cluster="airflow-prod", role="worker")
    assert not may_scale("airflow-prod-pool-x-masters", cluster="airflow-prod-pool-x", role="master")
    assert not may_scale("airflow-prod-pool-x-pool-y", cluster="airflow-prod-pool-x", role="worker")
    assert not may_scale("airflow-prod-pool-x"), "a group without tags"


@pytest.mark.parametrize("role", Role)
def test_a_role_allows_buckets_of_our_account_only(role: Role):
    """Bucket names can be guessed, and any account can take a name that is free."""
    on_buckets = [s for s in statements(role) if any(action.startswith("s3:") for action in s["Action"])]
    assert len(on_buckets) >= (6 if role in OF_AIRFLOW else 2)
    for statement in on_buckets:
        assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": "111122223333"}}, statement["Sid"]


LONG = "a" * 106  # the longest that AWS allows in the name of the pool's launch template


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (MASTERS, "airflow-prod-eu-west-1-master"),
        (worker_group("heavy"), "airflow-prod-eu-west-1-pool-heavy"),
        (worker_group(LONG), "airflow-prod-eu-west-1-pool-aaaaaaaaaaaaaaaaaaaaaaaaaaa-c5450c02"),
    ],
)
def test_a_role_is_named_after_its_nodes_within_iams_limit(group: NodeGroup, name: str):
    assert role_name("airflow-prod", "eu-west-1", group) == name
    assert len(name) <= 64


def test_long_names_that_differ_only_at_their_ends_give_different_role_names():
    names = {role_name("airflow-prod", "eu-west-1", worker_group(f"{LONG}{end}")) for end in "bc"}
    assert len(names) == 2


@pytest.mark.parametrize("role", Role)
def test_every_statement_names_its_actions_and_resources(role: Role):
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in statement["Action"]), statement
        describes = all(":Describe" in action for action in statement["Action"])
        assert describes or all(resource.startswith("arn:aws:") for resource in statement["Resource"]), statement


@pytest.mark.parametrize("role", Role)
def test_only_instances_can_assume_the_role(role: Role):
    trust = json.loads(identity(role).only("aws:iam/role:Role").inputs["assumeRolePolicy"])
    [statement] = trust["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}


@pytest.mark.parametrize("role", Role)
def test_the_instance_profile_has_the_role_with_the_policy(role: Role):
    recording = identity(role)
    name = recording.only("aws:iam/role:Role").outputs["name"]
    assert name == role_name("airflow-prod", "eu-west-1", GROUPS[role])
    assert recording.only("aws:iam/instanceProfile:InstanceProfile").inputs["role"] == name
    assert recording.only("aws:iam/rolePolicy:RolePolicy").inputs["role"] == name


@pytest.mark.parametrize("role", OF_AIRFLOW)
def test_a_node_may_read_the_secrets_that_the_stack_file_names_but_no_other_additional_one(role: Role):
    added = allowed(role, operator_secrets=["airflow/package-index", "finance/git"]) - allowed(role)
    secrets = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
    assert added == {
        ("secretsmanager:GetSecretValue", f"{secrets}airflow/package-index-??????"),
        ("secretsmanager:GetSecretValue", f"{secrets}finance/git-??????"),
    }
