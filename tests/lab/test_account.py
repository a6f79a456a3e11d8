"""The program's resources in the lab's AWS, and what its policies let a node do."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from moto.s3.models import s3_backends

from engine.recording import Recording
from lab.aws import account, moto_server
from lab.aws.account import AccessKey
from lab.aws.policy import Request, is_allowed
from lab.instance import Instance
from node.naming import TERMINATING_HOOK
from tests.lab.account_server import ACCOUNT, DATABASE_ADMIN, Aws, refusal, served


@pytest.fixture(scope="module")
def aws(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with served(recording, tmp_path_factory.mktemp("moto")) as running:
        yield running


def test_a_group_grows_no_further_than_fits_on_the_machine(aws: Aws, recording: Recording):
    described = aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    sizes = {group["AutoScalingGroupName"]: (group["MinSize"], group["MaxSize"]) for group in described}
    pools = recording.exports["autoscalingGroups"]["workerPools"]
    assert (sizes[pools["default"]], sizes[pools["heavy"]]) == ((1, 4), (0, 4))


def test_secrets_have_the_arns_that_the_policies_name(aws: Aws, recording: Recording):
    secrets = aws.client("secretsmanager")
    for name, arn in account.secret_arns(recording).items():
        assert secrets.describe_secret(SecretId=name)["ARN"] == arn


def test_the_admin_secret_that_rds_manages_holds_what_rds_would_write(aws: Aws, recording: Recording):
    [managed] = account.managed_secrets(recording)
    value = aws.of_node("master", "secretsmanager").get_secret_value(SecretId=managed["secretArn"])
    assert value["SecretString"] == DATABASE_ADMIN


@pytest.mark.parametrize(
    "key", ["database-dsn", "fernet-key", "jwt-secret-key", "flask-secret-key", "admin-password", "database-admin"]
)
def test_a_worker_is_refused_the_masters_secrets_by_name(aws: Aws, key: str):
    secrets = aws.of_node("worker", "secretsmanager")
    error = refusal(lambda: secrets.get_secret_value(SecretId=f"airflow-prod/{key}"))
    assert "AccessDeniedException" in error
    assert f"secret:airflow-prod/{key}" in error


def test_a_secret_whose_name_ends_like_the_suffix_of_an_arn_is_refused(aws: Aws):
    secrets = aws.client("secretsmanager")
    assert "hyphen and six characters" in refusal(lambda: secrets.create_secret(Name="x/jwt-secret", SecretString="x"))
    secrets.create_secret(Name="x/jwt-secret-key", SecretString="x")


@pytest.mark.parametrize("name", ["a b", "größe", "a(b)", "a:b", "x" * 513])
def test_a_name_that_no_secret_can_have_is_refused(aws: Aws, name: str):
    secrets = aws.client("secretsmanager")
    for call in (
        lambda: secrets.get_secret_value(SecretId=name),
        lambda: secrets.create_secret(Name=name, SecretString="x"),
    ):
        assert "(ValidationException)" in refusal(call)


def test_a_master_reads_connections_and_is_told_which_do_not_exist_and_a_worker_is_refused(aws: Aws):
    aws.client("secretsmanager").create_secret(Name="airflow-prod/connections/sales", SecretString="http://sales")
    master, worker = (aws.of_node(role, "secretsmanager") for role in ("master", "worker"))
    assert master.get_secret_value(SecretId="airflow-prod/connections/sales")["SecretString"] == "http://sales"
    missing = refusal(lambda: master.get_secret_value(SecretId="airflow-prod/variables/none"))
    assert "(ResourceNotFoundException)" in missing
    for name in ("connections/sales", "variables/none"):
        assert "AccessDenied" in refusal(lambda name=name: worker.get_secret_value(SecretId=f"airflow-prod/{name}"))


def test_a_worker_reads_its_own_secrets(aws: Aws):
    secrets = aws.of_node("worker", "secretsmanager")
    assert secrets.get_secret_value(SecretId="airflow-prod/broker-url")["SecretString"].startswith("rediss://")


def test_the_refusal_of_a_missing_secret_has_its_name(aws: Aws):
    secrets = aws.of_node("worker", "secretsmanager")
    assert "secret:airflow-prod/none" in refusal(lambda: secrets.get_secret_value(SecretId="airflow-prod/none"))


@pytest.mark.parametrize("bucket", ["dags", "artifacts"])
def test_a_worker_cannot_change_dags_or_artifacts(aws: Aws, recording: Recording, bucket: str):
    s3, name = aws.of_node("worker", "s3"), recording.exports["buckets"][bucket]
    assert "AccessDenied" in refusal(lambda: s3.put_object(Bucket=name, Key="x", Body=b""))


def test_a_worker_keeps_task_logs(aws: Aws, recording: Recording):
    s3, name = aws.of_node("worker", "s3"), recording.exports["buckets"]["taskLogs"]
    s3.put_object(Bucket=name, Key="dag_id=a b/attempt=1.log", Body=b"line")
    assert s3.get_object(Bucket=name, Key="dag_id=a b/attempt=1.log")["Body"].read() == b"line"


@pytest.mark.parametrize("tls", ["", "TLSv1.1"])
def test_buckets_refuse_requests_without_modern_tls(aws: Aws, recording: Recording, tls: str):
    s3 = aws.of_node("master", "s3", tls=tls)
    assert "AccessDenied" in refusal(lambda: s3.list_objects_v2(Bucket=recording.exports["buckets"]["dags"]))


def test_every_artifact_is_in_its_bucket_under_its_hash(aws: Aws, recording: Recording):
    s3 = aws.of_node("worker", "s3")
    items = recording.of_type(account.BUCKET_OBJECT)
    assert items
    for item in items:
        assert s3.head_object(Bucket=item.inputs["bucket"], Key=item.inputs["key"])["ContentLength"] > 0


def test_a_node_reports_the_health_of_its_own_group_alone(aws: Aws):
    own, other = aws.instance("worker"), aws.instance("master")
    autoscaling = aws.of_node("worker", "autoscaling")
    error = refusal(lambda: autoscaling.set_instance_health(InstanceId=other.id, HealthStatus="Unhealthy"))
    assert "AccessDenied" in error
    with kept(aws, own):
        autoscaling.set_instance_health(InstanceId=own.id, HealthStatus="Unhealthy")
        assert own.id in aws.fleet.groups()[own.group].unhealthy
        autoscaling.set_instance_health(InstanceId=own.id, HealthStatus="Healthy")


HOOK = {"LifecycleHookName": TERMINATING_HOOK, "LifecycleActionResult": "CONTINUE"}


@pytest.mark.parametrize(("pool", "other"), [("default", "heavy"), ("heavy", "default")])
def test_a_task_cannot_terminate_workers_of_another_pool(aws: Aws, pool: str, other: str):
    with worker_of(aws, "heavy"):
        workers = {worker.tags.get("airflow:pool"): worker for worker in aws.fleet.instances().values()}
        autoscaling, victim = aws.of_instance(workers[pool], "autoscaling"), workers[other]
        group = {"AutoScalingGroupName": victim.group, "InstanceId": victim.id}
        attempts = [
            lambda: autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=victim.id, ShouldDecrementDesiredCapacity=True
            ),
            lambda: autoscaling.set_instance_health(InstanceId=victim.id, HealthStatus="Unhealthy"),
            lambda: autoscaling.complete_lifecycle_action(**group, **HOOK),
            lambda: autoscaling.record_lifecycle_action_heartbeat(**group, LifecycleHookName=TERMINATING_HOOK),
            lambda: autoscaling.set_desired_capacity(AutoScalingGroupName=victim.group, DesiredCapacity=0),
        ]
        for attempt in attempts:
            assert "AccessDenied" in refusal(attempt)
        assert aws.fleet.groups()[victim.group].unhealthy == frozenset()
        with kept(aws, workers[pool]):
            autoscaling.set_instance_health(InstanceId=workers[pool].id, HealthStatus="Healthy")


@contextmanager
def worker_of(aws: Aws, pool: str) -> Generator[None]:
    """Give a pool without workers one worker."""
    group, autoscaling = f"airflow-prod-pool-{pool}", aws.client("autoscaling")
    autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    try:
        yield
    finally:
        autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
        for instance in aws.fleet.instances().values():
            if instance.group == group:
                aws.fleet.terminate(instance.id)


def test_masters_scale_the_worker_pools_and_no_group_of_another_cluster(aws: Aws):
    masters, operator = aws.of_node("master", "autoscaling"), aws.client("autoscaling")
    masters.set_desired_capacity(AutoScalingGroupName="airflow-prod-pool-default", DesiredCapacity=1)
    template = aws.client("ec2").describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    operator.create_auto_scaling_group(
        AutoScalingGroupName="airflow-prod-pool-x-masters",
        MinSize=0,
        MaxSize=0,
        AvailabilityZones=["eu-west-1a"],
        LaunchTemplate={"LaunchTemplateId": template},
        Tags=[{"Key": "airflow:cluster", "Value": "airflow-prod-pool-x"}, {"Key": "airflow:role", "Value": "master"}],
    )
    error = refusal(
        lambda: masters.set_desired_capacity(AutoScalingGroupName="airflow-prod-pool-x-masters", DesiredCapacity=0)
    )
    operator.delete_auto_scaling_group(AutoScalingGroupName="airflow-prod-pool-x-masters")
    assert "AccessDenied" in error


def test_a_bucket_of_another_account_gets_no_logs(recording: Recording, monkeypatch: pytest.MonkeyPatch):
    """Bucket names can be guessed, and the owner of a bucket can let anyone write to it."""
    name = recording.exports["buckets"]["taskLogs"]
    [rights] = [p for p in recording.of_type("aws:iam/rolePolicy:RolePolicy") if p.name == "pool-default-policy"]
    open_to_all = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}
    for owner, allowed in ((ACCOUNT, True), ("444455556666", False)):
        # moto's server has one account; whose a bucket is, it keeps here.
        monkeypatch.setitem(s3_backends.bucket_accounts, name, ("aws", owner))
        log = f"arn:aws:s3:::{name}/a.log"
        request = Request(
            action="s3:PutObject",
            resource=log,
            principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-1",
            context=moto_server.resource_context(log),
        )
        policies = [json.loads(rights.inputs["policy"])]
        assert is_allowed(request, policies, [{"Statement": [open_to_all]}]) is allowed


@contextmanager
def kept(aws: Aws, instance: Instance) -> Generator[None]:
    """Let the instance's group keep what is unhealthy, as an operator does to examine it."""
    processes = {"AutoScalingGroupName": instance.group, "ScalingProcesses": ["ReplaceUnhealthy"]}
    aws.client("autoscaling").suspend_processes(**processes)
    assert not aws.fleet.groups()[instance.group].replaces_unhealthy
    try:
        yield
    finally:
        aws.client("autoscaling").resume_processes(**processes)
    assert aws.fleet.groups()[instance.group].replaces_unhealthy


def test_a_health_report_in_the_grace_period_counts_only_without_respect_for_it(aws: Aws):
    master = aws.instance("master")
    report = {"InstanceId": master.id, "HealthStatus": "Unhealthy"}
    autoscaling = aws.of_node("master", "autoscaling")
    autoscaling.set_instance_health(**report)
    assert master.id not in aws.fleet.groups()[master.group].unhealthy, "its group's grace period has just begun"
    with kept(aws, master):
        autoscaling.set_instance_health(**report, ShouldRespectGracePeriod=False)
        assert master.id in aws.fleet.groups()[master.group].unhealthy
        autoscaling.set_instance_health(InstanceId=master.id, HealthStatus="Healthy")


def test_an_unknown_access_key_is_refused(aws: Aws):
    stranger = AccessKey(id="AKIAIOSFODNN7EXAMPLE", secret="x")
    assert "AuthFailure" in refusal(lambda: aws.client("ec2", stranger).describe_instances())


def test_instances_have_the_recorded_user_data_byte_for_byte(aws: Aws, recording: Recording):
    recorded = {template.inputs["userData"] for template in recording.of_type(account.TEMPLATE)}
    given = {instance.user_data for instance in aws.fleet.instances().values()}
    assert len(given) >= 2, "a master's and a worker's"
    assert given <= recorded


def test_a_groups_instances_are_spread_over_its_zones(aws: Aws):
    masters = [instance for instance in aws.fleet.instances().values() if instance.tags["airflow:role"] == "master"]
    assert len(masters) == len({instance.zone for instance in masters}) == 2


def test_a_terminated_instance_is_replaced(aws: Aws):
    before = aws.instance("worker")
    aws.fleet.terminate(before.id)
    pool = [instance for instance in aws.fleet.instances().values() if instance.group == before.group]
    assert len(pool) == 1
    assert pool[0].id != before.id
