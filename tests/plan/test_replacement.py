"""Which edits the plan shows as replacements, compared with Pulumi's engine and the provider."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from engine.program import deploy
from plan.changes import Changes, compare
from tests.stack_edits import edited
from tests.stack_file import changed
from tests.stack_variants import DOMAIN, program, recorded


def kinds(changes: Changes) -> dict[str, str]:
    return {change.resource.name: change.kind for change in changes.items}


def counted(changes: Changes) -> Counter[str]:
    return Counter(change.kind for change in changes.items)


class TestAgainstTheEngine:
    """The same edits were run on a real Pulumi engine. At that commit its counts were equal: 52 replacements for the
    network's range, 87 changes for a tag, 113 changes for the cluster's name."""

    def test_a_new_network_range_replaces_what_cannot_move_to_another_vpc(self):
        changes = edited({"airflow:network.cidr": "10.90.0.0/16"})
        bound = {
            resource.name
            for resource in recorded("prod").resources
            if resource.type.split(":")[-1]
            in {
                "Attachment",
                "DefaultSecurityGroup",
                "FlowLog",
                "NatGateway",
                "Route",
                "RouteTable",
                "RouteTableAssociation",
                "SecurityGroup",
                "SecurityGroupEgressRule",
                "SecurityGroupIngressRule",
                "Subnet",
                "TargetGroup",
                "Vpc",
                "VpcEndpoint",
            }
        }
        found = kinds(changes)
        assert {name for name, kind in found.items() if kind == "replace"} == bound
        assert found["network-internet-gateway"] == "change", "it is attached to the new VPC"
        assert found["database-subnets"] == "change", "in place, as far as RDS allows it"
        assert found["masters-group"] == "change"

    def test_a_new_tag_changes_every_resource_that_has_tags_and_the_three_groups(self):
        changes = edited({"aws:defaultTags.tags.CostCenter": "42"})
        taggable = [resource for resource in recorded("prod").resources if "tagsAll" in resource.outputs]
        assert counted(changes) == {"change": len(taggable) + 3}

    def test_a_new_cluster_name_replaces_the_resources_that_contain_it(self):
        changes = edited({"airflow:cluster.name": "airflow-live"})
        found = kinds(changes)
        assert found["database-instance"] == "change", "RDS renames it in place"
        assert found["broker-replication-group"] == "replace"
        assert found["masters-group"] == "replace"

    def test_a_new_region_replaces_every_aws_resource(self):
        region = {
            "aws:region": "eu-central-1",
            "airflow:network.zones": ["eu-central-1a", "eu-central-1b", "eu-central-1c"],
        }
        kept = [
            change.resource.type
            for change in edited(region).items
            if change.kind == "change" and change.resource.type.startswith("aws:")
        ]
        assert kept == []


class TestReferences:
    @staticmethod
    def network(cidr: str) -> None:
        vpc = aws.ec2.Vpc("vpc", cidr_block=cidr)
        subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
        aws.ec2.NatGateway("nat", subnet_id=subnet.id)
        aws.rds.SubnetGroup("data", subnet_ids=[subnet.id])
        aws.ec2.Vpc("other", cidr_block="10.9.0.0/16")

    def changes(self) -> Changes:
        before, after = (deploy(lambda cidr=cidr: self.network(cidr))[1] for cidr in ("10.0.0.0/16", "10.1.0.0/16"))
        return compare(before, after)

    def test_resources_that_refer_to_a_replaced_one_change_with_it(self):
        assert kinds(self.changes()) == {"vpc": "replace", "subnet": "replace", "nat": "replace", "data": "change"}

    def test_the_reason_names_the_resource_that_is_followed(self):
        [nat] = [change for change in self.changes().items if change.resource.name == "nat"]
        assert nat.reasons == ("subnetId follows subnet",)
        [difference] = nat.differences
        assert difference.follows == "subnet"

    def test_a_name_that_stays_the_same_does_not_change_resources_that_refer_to_it(self):
        def program(path: str) -> None:
            role = aws.iam.Role("role", name="fixed", path=path, assume_role_policy="{}")
            aws.ecs.Service("uses", name="s", iam_role=role.name)

        before, after = (deploy(lambda path=path: program(path))[1] for path in ("/", "/a/"))
        assert kinds(compare(before, after)) == {"role": "replace"}

    def test_a_resource_that_is_deleted_first_also_replaces_its_dependents(self):
        def program(path: str) -> None:
            role = aws.iam.Role("role", name="fixed", path=path, assume_role_policy="{}")
            aws.iam.RolePolicy("policy", role=role.name, policy="{}")

        before, after = (deploy(lambda path=path: program(path))[1] for path in ("/", "/a/"))
        changes = compare(before, after)
        assert kinds(changes) == {"role": "replace", "policy": "replace"}
        [policy] = [change for change in changes.items if change.resource.name == "policy"]
        assert policy.reasons == ("role is deleted before its replacement is created",)

    def test_a_changed_template_changes_its_group(self):
        def program(type_: str) -> None:
            template = aws.ec2.LaunchTemplate("template", instance_type=type_)
            aws.autoscaling.Group(
                "group",
                min_size=1,
                max_size=1,
                launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            )

        before, after = (deploy(lambda type_=type_: program(type_))[1] for type_ in ("m7i.large", "m7i.xlarge"))
        changes = compare(before, after)
        assert kinds(changes) == {"template": "change", "group": "change"}
        assert [difference.path for difference in changes.items[1].differences] == ["launchTemplate.version"]

    def test_an_output_that_passes_an_input_through_is_followed(self):
        def program(cidr: str) -> None:
            vpc = aws.ec2.Vpc("vpc", cidr_block=cidr)
            subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
            way = aws.ec2.InternetGateway("way", vpc_id=subnet.vpc_id)
            aws.ec2.RouteTable("table", vpc_id=way.vpc_id)

        before, after = (deploy(lambda cidr=cidr: program(cidr))[1] for cidr in ("10.0.0.0/16", "10.1.0.0/16"))
        changes = compare(before, after)
        assert kinds(changes) == {"vpc": "replace", "subnet": "replace", "way": "change", "table": "replace"}
        [table] = [change for change in changes.items if change.resource.name == "table"]
        assert table.reasons == ("vpcId follows way",)

    def test_another_domain_changes_both_https_listeners(self):
        domain = {**DOMAIN, "airflow:web.domain": "jobs.example.com", "airflow:web.public": {}}
        changes = compare(recorded("public"), program(changed(domain)))
        listeners = {"web-internal-https", "web-public-https"}
        assert {change.resource.name for change in changes.updates("aws:lb/listener:Listener")} >= listeners

    def test_ignored_inputs_are_not_followed(self):
        def program(cidr: str) -> None:
            vpc = aws.ec2.Vpc("vpc", cidr_block=cidr)
            aws.ec2.InternetGateway("way", vpc_id=vpc.id, opts=pulumi.ResourceOptions(ignore_changes=["vpcId"]))

        before, after = (deploy(lambda cidr=cidr: program(cidr))[1] for cidr in ("10.0.0.0/16", "10.1.0.0/16"))
        assert kinds(compare(before, after)) == {"vpc": "replace"}

    def test_default_tags_change_every_resource_with_tags(self):
        def tags(value: str) -> dict[str, Any]:
            return {"aws:defaultTags": {"tags": {"Team": value}}}

        def program() -> None:
            aws.ec2.Vpc("vpc", tags={"Team": "own"})
            aws.ec2.Eip("address")
            aws.ec2.Route("route", route_table_id="rtb-1", destination_cidr_block="0.0.0.0/0")

        before, after = (deploy(program, config=tags(value))[1] for value in ("a", "b"))
        changes = compare(before, after)
        assert kinds(changes) == {"address": "change"}
        assert [difference.path for difference in changes.items[0].differences] == ["tagsAll.Team"]


class TestSets:
    def test_the_order_of_the_zones_changes_nothing(self):
        zones = ["eu-west-1c", "eu-west-1b", "eu-west-1a"]
        assert edited({"airflow:network.zones": zones}).items == []

    def test_a_nested_set_is_compared_as_a_set(self):
        def rule(*patterns: str) -> None:
            aws.lb.ListenerRule(
                "rule", listener_arn="a", actions=[], conditions=[{"path_pattern": {"values": [*patterns]}}]
            )

        before = deploy(lambda: rule("/a", "/b"))[1]
        assert compare(before, deploy(lambda: rule("/b", "/a"))[1]).items == []
        assert compare(before, deploy(lambda: rule("/b", "/c"))[1]).items != []

    def test_a_new_order_of_a_list_is_a_change(self):
        def group(*policies: str) -> None:
            aws.autoscaling.Group("group", min_size=0, max_size=1, termination_policies=[*policies])

        before, after = (deploy(lambda each=each: group(*each))[1] for each in (("A", "B"), ("B", "A")))
        assert kinds(compare(before, after)) == {"group": "change"}


@pytest.mark.parametrize(
    ("before", "after", "kind"), [("8.1", "8.2", "change"), ("8.2", "8.1", "replace"), ("9.0", "10.0", "change")]
)
def test_a_downgrade_of_the_broker_replaces_it(before: str, after: str, kind: str):
    def broker(version: str) -> None:
        aws.elasticache.ReplicationGroup("broker", description="b", engine="valkey", engine_version=version)

    [change] = compare(deploy(lambda: broker(before))[1], deploy(lambda: broker(after))[1]).items
    assert change.kind == kind
