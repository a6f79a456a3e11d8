"""What the plan shows first to the reviewer of an edit of the prod stack's file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from engine.program import deploy
from node import artifacts, lock_inputs
from plan import Plan, report
from plan.changes import Changes, compare
from plan.effects import effects
from plan.report import LONGEST
from plan.risks import risks
from tests.stack_edits import edited
from tests.stack_file import REMOVED

OTHER_REGION = {
    "aws:region": "eu-central-1",
    "airflow:network.zones": ["eu-central-1a", "eu-central-1b", "eu-central-1c"],
}
OTHER_ACCOUNT = {"aws:allowedAccountIds": ["444455556666"], "airflow:cluster.accountId": "444455556666"}
DOMAIN = {"airflow:web.domain": "airflow.example.com", "airflow:web.hostedZoneId": "Z0123456789ABCDEFGHIJ"}
READ = {"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::dags/*"]}
NEW_POOL = {
    "airflow:workerPools.ml": {
        "queues": ["ml"],
        "instanceTypes": ["m7i.xlarge"],
        "concurrency": 2,
        "minSize": 0,
        "maxSize": 2,
    }
}
OTHER_TYPES = {"airflow:workerPools.default.instanceTypes": ["m7a.xlarge", "m7i.xlarge", "m6i.xlarge"]}


def planned(changes: Changes) -> Plan:
    return Plan(
        project="airflow",
        stack="prod",
        account_id=changes.head.account_id,
        region=changes.head.region,
        recording=changes.head,
        base="main",
        changes=changes,
    )


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        (OTHER_REGION, "The region changes from eu-west-1 to eu-central-1. Pulumi creates everything again there"),
        (OTHER_ACCOUNT, "The account changes from 111122223333 to 444455556666. A stack cannot move"),
        ({"airflow:network.cidr": "10.90.0.0/16"}, "RDS and ElastiCache do not move to another VPC"),
        ({"airflow:network.cidr": "10.90.0.0/16"}, "Build a second stack beside this one and move the data: docs/mov"),
        (
            {"airflow:cluster.name": "airflow-live"},
            "The database is renamed in place, from airflow-prod-metadata to air",
        ),
        ({"airflow:cluster.name": "airflow-live"}, "Build a second stack beside this one and move the data: docs/mov"),
        (
            {"airflow:network.zones": ["eu-west-1a", "eu-west-1b"]},
            "Zone eu-west-1c is removed. While a node of RDS or ElastiCache is in it, AWS refuses",
        ),
        ({"airflow:network.zones": ["eu-west-1a", "eu-west-1b"]}, "Drain it first: docs/removing-a-zone.md."),
        ({"airflow:cluster.protectData": False}, "No longer protected against deletion and replacement: "),
        ({"airflow:cluster.protectData": False}, "can be restored for 0 instead of 30 days after a deletion"),
        ({"airflow:database.multiAz": False}, "database-instance: has no standby"),
        ({"airflow:database.backupRetentionDays": 1}, "database-instance: keeps backups for 1 instead of 14 days"),
        ({"airflow:broker.snapshotRetentionDays": 1}, "keeps snapshots for 1 instead of 7 days"),
        ({"airflow:broker.replicas": 0}, "has no replica to fail over to"),
        ({"airflow:retention.taskLogsDays": 30}, "deletes objects after 30 instead of 365 days"),
        ({"airflow:retention.logGroupsDays": 7}, "keeps logs for 7 instead of 90 days"),
        ({"airflow:database.finalSnapshot": False}, "Nothing is lost now."),
        ({**DOMAIN, "airflow:web.public": {}}, "the whole internet (0.0.0.0/0) may connect to port 443."),
        ({**DOMAIN, "airflow:web.public": {}}, "web-public: a load balancer that faces the internet."),
    ],
)
def test_the_plan_lists_the_risks(edits: dict[str, Any], expected: str):
    assert expected in "\n".join(risks(edited(edits)))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        (
            {"airflow:config": {"core": {"max_active_tasks_per_dag": 8}}},
            "masters: the 2 nodes are replaced one after the other, because the launch template "
            "(AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG) changes.",
        ),
        (
            {"airflow:workerPools.heavy.startScript": "tests/cluster/start-script"},
            "pool-heavy: its workers (0 to 4) are replaced one after the other, because the launch template "
            "(start-script) changes.",
        ),
        (
            {"airflow:masters.systemPackages": ["git"]},
            "masters: the 2 nodes are replaced one after the other, because the launch template "
            "(NODE_SYSTEM_PACKAGES) changes.",
        ),
        (
            {"airflow:workerPools.default.concurrency": 12},
            "pool-default: its workers (1 to 8) are replaced one after the other, because the launch template (",
        ),
        (
            {"aws:defaultTags.tags.CostCenter": "42"},
            "pool-heavy: its workers (0 to 4) are replaced one after the other",
        ),
        (
            {"airflow:cluster.name": "airflow-live"},
            "pool-default: the group is replaced, and its workers (1 to 8) with it, at once.",
        ),
        (NEW_POOL, "pool-ml: a new group of 0 to 2."),
        ({"airflow:workerPools.heavy": REMOVED}, "pool-heavy: the group is deleted."),
        ({"airflow:workerPools.heavy": REMOVED}, "queue heavy: no worker pool serves it any more"),
        (
            {"airflow:workerPools.default.queues": ["default", "heavy"], "airflow:workerPools.heavy": REMOVED},
            "queue heavy: served by the worker pool default instead of heavy.",
        ),
        ({"airflow:workerPools.default.minSize": 0}, "pool-default: scales down to 0 workers"),
        (
            {"airflow:database.instanceClass": "db.m7g.xlarge"},
            "database-instance: restarts for its new instance class (db.m7g.large to db.m7g.xlarge): a failover",
        ),
        (
            {"airflow:database.engineVersion": "17.6"},
            "database-instance: restarts for its new engine version (17 to 17.6): unavailable for some minutes.",
        ),
        ({"airflow:broker.nodeType": "cache.m7g.xlarge"}, "fails over for its new node type"),
    ],
)
def test_the_plan_lists_the_effects(edits: dict[str, Any], expected: str):
    assert expected in "\n".join(effects(edited(edits)))


@pytest.mark.parametrize(
    "edits",
    [
        {"airflow:workerPools.default.maxSize": 9},
        {"airflow:database.allocatedStorageGib": 120},
        {"airflow:database.backupRetentionDays": 20},
        {"airflow:web.allowedCidrs": ["10.80.0.0/16", "10.99.0.0/16"]},
    ],
)
def test_a_harmless_edit_is_not_reported_as_a_risk(edits: dict[str, Any]):
    assert risks(edited(edits)) == []


@pytest.mark.parametrize("edits", [OTHER_REGION, {"airflow:network.cidr": "10.90.0.0/16"}])
def test_the_zones_of_a_network_that_is_removed_as_a_whole_are_not_reported(edits: dict[str, Any]):
    assert "Zone" not in "\n".join(risks(edited(edits)))


@pytest.mark.parametrize(
    "program",
    [
        lambda name: aws.route53.Record(name, zone_id="Z1", name="a.example.com", type="A", records=["10.0.0.1"]),
        lambda name: aws.iam.Role(name, name="workers", assume_role_policy="{}"),
        lambda name: aws.s3.Bucket(name, bucket="dags"),
        lambda name: aws.route53.Zone(name, name="airflow.internal", vpcs=[{"vpc_id": "vpc-1"}]),
        lambda name: aws.lb.Listener(name, load_balancer_arn="a", port=443, default_actions=[]),
    ],
    ids=["record", "role", "bucket", "private zone", "listener"],
)
def test_a_rename_without_an_alias_is_reported(program: Callable[[str], object]):
    found = risks(compare(deploy(lambda: program("old"))[1], deploy(lambda: program("new"))[1]))
    assert [risk for risk in found if "alias" in risk] == [
        "Renamed or moved without an alias: old to new. Pulumi creates before it deletes, and both have the same name "
        "in AWS: AWS refuses the new one (already exists), or deletes it with the old one. Give it an alias for its "
        "old name."
    ]


def test_resources_with_other_names_are_not_reported_as_renamed():
    def program(name: str, type_: str) -> None:
        aws.route53.Record(name, zone_id="Z1", name="a.example.com", type=type_, records=["10.0.0.1"])
        aws.route53.Zone(f"{name}-zone", name="example.com")  # many public zones may have the same name
        aws.iam.Role(f"{name}-role", assume_role_policy="{}")

    assert not [
        risk
        for risk in risks(compare(deploy(lambda: program("old", "A"))[1], deploy(lambda: program("new", "TXT"))[1]))
        if "alias" in risk
    ]


def test_a_rename_with_an_alias_is_not_reported():
    def program(name: str, **options: Any) -> None:
        aws.s3.Bucket(name, bucket="dags", opts=pulumi.ResourceOptions(**options))

    aliased = deploy(lambda: program("new", aliases=[pulumi.Alias(name="old")]))[1]
    assert risks(compare(deploy(lambda: program("old"))[1], aliased)) == []


def test_a_larger_worker_pool_replaces_only_the_masters():
    events = effects(edited({"airflow:workerPools.default.maxSize": 9}))
    assert [event.split(":")[0] for event in events] == ["masters"]


def test_changed_requirements_replace_every_node_that_runs_airflow_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = edited(monitored := {"airflow:monitoring": {"instanceType": "t3.small"}}).head
    locks = shutil.copytree(artifacts.LOCKS, tmp_path / "locks")
    with (locks / artifacts.AIRFLOW_LOCK).open("a") as lock:
        lock.write("polars==1.35.0\n")
    monkeypatch.setattr(artifacts, "LOCKS", locks)
    monkeypatch.setattr(lock_inputs, "LOCKS", locks)
    events = effects(compare(before, edited(monitored).head))
    assert [event.partition(":")[0] for event in events] == ["masters", "pool-default", "pool-heavy"]
    assert all("because the launch template (airflow.txt) changes" in event for event in events), events


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["m6i.xlarge", "m7i.xlarge", "m7a.xlarge", "m6a.xlarge"], []),
        (
            ["m6i.xlarge", "m8i.xlarge"],
            [
                "pool-default: its nodes of the removed types (m7i.xlarge, m7a.xlarge) are replaced one after the "
                "other. A busy worker finishes its tasks first."
            ],
        ),
    ],
    ids=["added", "removed"],
)
def test_with_a_pinned_image_only_nodes_of_removed_instance_types_are_replaced(types: list[str], expected: list[str]):
    pinned = {"airflow:nodeImage.amd64": "ami-0123456789abcdef0"}
    other = {"airflow:workerPools.default.instanceTypes": types}
    assert effects(compare(edited(pinned).head, edited({**pinned, **other}).head)) == expected


def test_resources_without_data_are_not_reported_as_lost_data():
    changes = edited({"airflow:database.finalSnapshot": False})
    assert changes.losing_data == []


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("0.0.0.0/0", ["rule: the whole internet (0.0.0.0/0) may connect to all ports."]),
        ("8.8.8.0/24", ["rule: the public network 8.8.8.0/24 may connect to all ports."]),
        ("10.0.0.0/8", []),
        ("100.64.0.0/10", []),
    ],
)
def test_only_public_networks_are_reported_as_open_to_the_internet(cidr: str, expected: list[str]):
    def program(cidr: str) -> None:
        aws.vpc.SecurityGroupIngressRule("rule", security_group_id="sg-1", ip_protocol="-1", cidr_ipv4=cidr)

    assert risks(compare(deploy(lambda: program("10.9.0.0/16"))[1], deploy(lambda: program(cidr))[1])) == expected


def test_a_new_policy_is_reported_for_an_old_role_and_not_for_a_new_one():
    def program(*roles: str, policies: bool) -> None:
        for name in roles:
            role = aws.iam.Role(name, assume_role_policy="{}")
            if policies:
                document = json.dumps({"Statement": [{"Effect": "Allow", **READ}]})
                aws.iam.RolePolicy(f"{name}-policy", role=role.name, policy=document)

    before, after = (
        deploy(lambda: program("old", policies=False))[1],
        deploy(lambda: program("old", "new", policies=True))[1],
    )
    assert risks(compare(before, after)) == ["old-policy: may s3:GetObject."]


def test_a_permission_on_a_renamed_bucket_is_not_reported():
    def program(name: str, *actions: str) -> None:
        bucket = aws.s3.Bucket("dags", bucket=name)
        statement = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{name}/*"}
        role = aws.iam.Role("role", assume_role_policy="{}")
        document = bucket.arn.apply(lambda _: json.dumps({"Statement": [statement]}))
        aws.iam.RolePolicy("policy", role=role.name, policy=document)

    before = deploy(lambda: program("dags", "s3:GetObject"))[1]
    after = deploy(lambda: program("other-dags", "s3:GetObject", "s3:PutObject"))[1]
    assert [risk for risk in risks(compare(before, after)) if "may" in risk] == ["policy: may s3:PutObject."]


def test_a_new_worker_pool_is_not_a_risk():
    assert risks(edited(NEW_POOL)) == []


def test_a_new_role_that_another_account_may_assume_is_a_risk():
    def program() -> None:
        principal = {"Service": "ec2.amazonaws.com", "AWS": "arn:aws:iam::444455556666:root"}
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
        aws.iam.Role("new", assume_role_policy=json.dumps({"Statement": [trust]}))

    [risk] = risks(compare(deploy(lambda: None)[1], deploy(program)[1]))
    assert risk == "new: admits AWS arn:aws:iam::444455556666:root."


def test_a_major_upgrade_is_reported_as_irreversible():
    def program(version: str) -> None:
        aws.rds.Instance("db", engine="postgres", instance_class="db.m7g.large", engine_version=version)

    [risk] = risks(compare(deploy(lambda: program("17"))[1], deploy(lambda: program("18"))[1]))
    assert risk.startswith("db: an upgrade from PostgreSQL 17 to 18.")
    assert risks(compare(deploy(lambda: program("17"))[1], deploy(lambda: program("17.6"))[1])) == []


def test_a_removed_https_listener_is_reported():
    def program(protocol: str) -> None:
        aws.lb.Listener("https", load_balancer_arn="a", port=443, protocol=protocol, default_actions=[])

    [risk] = risks(compare(deploy(lambda: program("HTTPS"))[1], deploy(lambda: program("HTTP"))[1]))
    assert risk == "https: no more HTTPS on port 443."
    [risk] = risks(compare(deploy(lambda: program("HTTPS"))[1], deploy(lambda: None)[1]))
    assert risk == "https: no more HTTPS on port 443."


class TestTheText:
    def test_it_starts_with_the_risks_and_what_happens(self):
        text = report.text(planned(edited({"airflow:cluster.name": "airflow-live"})))
        heads = [section.splitlines()[0] for section in text.split("\n\n")]
        assert heads[1:4] == ["Risks", "What happens", heads[3]]
        assert heads[3].startswith("Since main: ")

    def test_data_in_another_account_is_not_reported_as_deleted(self):
        text = report.text(planned(edited(OTHER_ACCOUNT)))
        assert "these resources and their data stay behind in account 111122223333" in text
        assert "deletes" not in text
        assert "To change" not in text

    def test_it_shows_only_changes(self):
        text = report.text(planned(edited({"airflow:database.multiAz": False})))
        assert text.endswith("  ~ database-instance  aws.rds.Instance\n      multiAz: true -> false\n")
        assert len(text.splitlines()) < 12

    @pytest.mark.parametrize(
        "edits", [OTHER_ACCOUNT, OTHER_REGION, OTHER_TYPES, {"airflow:cluster.name": "airflow-live"}], ids=str
    )
    def test_no_line_shows_the_same_value_on_both_sides(self, edits: dict[str, Any]):
        lines = report.text(planned(edited(edits))).splitlines()
        sides = [line.strip().partition(": ")[2].split("  (")[0].split(" -> ") for line in lines if " -> " in line]
        assert not [pair for pair in sides if len(pair) == 2 and pair[0] == pair[1]]

    def test_parameters_are_shown_by_their_names(self):
        text = report.text(planned(edited({"airflow:database.instanceClass": "db.m7g.xlarge"})))
        assert "parameters[max_connections].value: " in text

    def test_json_in_a_variable_is_shown_value_by_value(self):
        text = report.text(planned(edited({"airflow:workerPools.default.concurrency": 12})))
        assert "-NODE_POOLS.default.concurrency=16\n" in text
        assert "+NODE_POOLS.default.concurrency=12\n" in text

    def test_created_resources_are_shown_with_their_properties(self):
        text = report.text(planned(edited(NEW_POOL)))
        assert "  + pool-ml-group  aws.autoscaling.Group  minSize=0  maxSize=2" in text

    def test_default_tags_take_a_few_lines(self):
        text = report.text(planned(edited({"aws:defaultTags.tags.CostCenter": "42"})))
        assert "  ~ the provider's default tags of " in text
        assert len(text.splitlines()) < 60


class TestTheComment:
    def test_the_risks_are_visible_without_unfolding(self):
        comment = report.markdown(planned(edited({"airflow:cluster.protectData": False})))
        plain = comment.split("<details>")[0]
        assert "> **Risks**" in plain
        assert "> - No longer protected against deletion and replacement: " in plain

    @pytest.mark.parametrize(
        "edits", [OTHER_REGION, OTHER_ACCOUNT, {"airflow:cluster.name": "airflow-live"}, NEW_POOL], ids=str
    )
    def test_it_fits_whatever_changes(self, edits: dict[str, Any]):
        assert len(report.markdown(planned(edited(edits)))) <= LONGEST

    def test_it_fits_when_hundreds_of_resources_change_with_their_data(self):
        def program(name: str) -> None:
            for number in range(400):
                aws.s3.Bucket(f"bucket-{number}", bucket=f"{name}-{number}-{'x' * 40}")
                aws.vpc.SecurityGroupIngressRule(
                    f"rule-{number}",
                    security_group_id="sg-1",
                    ip_protocol="-1",
                    cidr_ipv4="0.0.0.0/0",
                    description=name,
                )

        changes = compare(deploy(lambda: None)[1], deploy(lambda: program("a"))[1])
        assert len(report.markdown(planned(changes))) <= LONGEST
        changes = compare(deploy(lambda: program("a"))[1], deploy(lambda: program("b"))[1])
        assert len(report.markdown(planned(changes))) <= LONGEST
