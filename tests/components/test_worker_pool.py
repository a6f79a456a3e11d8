from __future__ import annotations

import pulumi_aws as aws

from components.worker_pool import WorkerPool, WorkerPoolArgs
from offline.engine import deploy
from offline.recording import Recording, Resource
from settings import WorkerPoolSettings

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def build() -> WorkerPool:
    secret = aws.secretsmanager.SecretVersion("broker-value", secret_id="airflow-prod/broker-url", secret_string="x")
    return WorkerPool(
        "pool-heavy",
        WorkerPoolArgs(
            cluster="airflow-prod",
            pool="heavy",
            settings=WorkerPoolSettings(
                queues=("heavy",), instance_types=("r7i.xlarge", "r7a.xlarge"), concurrency=4, min_size=1, max_size=4
            ),
            image_id="resolve:ssm:/aws/service/debian/release/13/latest/amd64",
            user_data="I2Nsb3VkLWNvbmZpZwo=",
            subnet_ids=["subnet-a", "subnet-b"],
            security_group_id="sg-workers",
            instance_profile_arn="arn:aws:iam::111122223333:instance-profile/airflow-prod-worker",
            tags={"Project": "airflow"},
            after=[secret],
        ),
    )


def pool(*, outputs: dict | None = None) -> Recording:
    return deploy(build, outputs=outputs)[1]


def group() -> Resource:
    return pool().only(GROUP)


def test_pulumi_up_leaves_the_size_of_a_busy_pool_alone():
    assert group().options.ignore_changes == ("desiredCapacity",)
    assert group().inputs["desiredCapacity"] == 1, "a new pool starts at its minimum"


def test_a_pool_stays_within_its_bounds():
    assert (group().inputs["minSize"], group().inputs["maxSize"]) == (1, 4)


def test_nothing_ends_a_worker_that_may_be_running_tasks():
    inputs = group().inputs
    assert "instanceRefresh" not in inputs, "a refresh ends nodes without asking what they run"
    assert inputs["suspendedProcesses"] == ["AZRebalance"], "so does rebalancing over the zones"
    assert "maxInstanceLifetime" not in inputs
    assert not inputs.get("capacityRebalance")
    assert not inputs.get("forceDelete")


def test_workers_of_an_old_template_are_the_first_to_go():
    assert group().inputs["terminationPolicies"][0] == "OldestLaunchTemplate"


def test_the_pool_takes_the_first_type_that_the_zone_has():
    policy = group().inputs["mixedInstancesPolicy"]
    assert [override["instanceType"] for override in policy["launchTemplate"]["overrides"]] == [
        "r7i.xlarge",
        "r7a.xlarge",
    ]
    assert policy["instancesDistribution"]["onDemandAllocationStrategy"] == "prioritized"
    assert policy["instancesDistribution"]["onDemandPercentageAboveBaseCapacity"] == 100, (
        "no spot nodes without a drain"
    )


def test_the_pool_names_a_version_of_its_template():
    recording = pool(outputs={TEMPLATE: {"latestVersion": 7}})
    specification = recording.only(GROUP).inputs["mixedInstancesPolicy"]["launchTemplate"][
        "launchTemplateSpecification"
    ]
    assert specification == {"launchTemplateId": recording.only(TEMPLATE).id, "version": "7"}


def test_a_failed_boot_is_replaced_at_once():
    inputs = group().inputs
    assert inputs["healthCheckType"] == "EC2", "no load balancer knows the workers"
    assert inputs["healthCheckGracePeriod"] == 0, "the node's own report would be ignored during the grace"


def test_workers_wait_for_what_they_read_at_boot_and_their_template_does_not():
    recording = pool()
    secret = recording.only("aws:secretsmanager/secretVersion:SecretVersion")
    assert secret.urn in recording.only(GROUP).dependencies
    assert secret.urn not in recording.only(TEMPLATE).dependencies


def test_pulumi_does_not_wait_for_boots():
    assert group().inputs["waitForCapacityTimeout"] == "0"


def test_a_node_shows_its_pool():
    tags = {tag["key"]: tag["value"] for tag in group().inputs["tags"]}
    assert tags["airflow:pool"] == "heavy"
    assert tags["Project"] == "airflow"
    assert group().inputs["name"] == "airflow-prod-pool-heavy"
