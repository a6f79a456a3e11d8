"""The changes between the recordings of two programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from engine.program import deploy
from plan.changes import Change, Changes, compare
from plan.differences import ABSENT, MASK


def changes(before: Callable[[], object], after: Callable[[], object]) -> Changes:
    return compare(deploy(before)[1], deploy(after)[1])


def only(before: Callable[[], object], after: Callable[[], object]) -> Change:
    [change] = changes(before, after).items
    return change


def database(name: str = "db", opts: pulumi.ResourceOptions | None = None, **changed: Any) -> aws.rds.Instance:
    given: dict[str, Any] = {"engine": "postgres", "instance_class": "db.m7g.large", "identifier": "metadata"}
    return aws.rds.Instance(name, opts=opts, **(given | changed))


def test_equal_programs_have_no_changes():
    assert changes(database, database).items == []


def test_a_changed_property_is_shown_with_both_values():
    change = only(database, lambda: database(instance_class="db.m7g.xlarge"))
    assert change.kind == "change"
    assert not change.loses_data
    [difference] = change.differences
    assert (difference.path, difference.old, difference.new) == ("instanceClass", "db.m7g.large", "db.m7g.xlarge")


def test_a_nested_value_is_shown_with_its_path():
    def template(size: int, tokens: str | None) -> object:
        return aws.ec2.LaunchTemplate(
            "t",
            block_device_mappings=[{"device_name": "/dev/xvda", "ebs": {"volume_size": size}}],
            metadata_options={"http_tokens": tokens} if tokens else None,
        )

    change = only(lambda: template(8, None), lambda: template(9, "required"))
    assert [(d.path, d.old, d.new) for d in change.differences] == [
        ("blockDeviceMappings[0].ebs.volumeSize", 8, 9),
        ("metadataOptions", ABSENT, {"httpTokens": "required"}),
    ]


def test_a_list_of_plain_values_is_shown_as_a_whole():
    change = only(
        lambda: database(vpc_security_group_ids=["sg-1"]), lambda: database(vpc_security_group_ids=["sg-1", "sg-2"])
    )
    assert [(d.path, d.old, d.new) for d in change.differences] == [("vpcSecurityGroupIds", ["sg-1"], ["sg-1", "sg-2"])]


def test_a_new_and_a_missing_resource_are_created_and_removed():
    found = changes(lambda: aws.ec2.Vpc("old"), lambda: aws.ec2.Eip("new"))
    assert [(change.kind, change.resource.name) for change in found.items] == [("create", "new"), ("remove", "old")]
    assert found.losing_data == []


class TestReplacement:
    @pytest.mark.parametrize(
        "changed",
        [{"engine": "mysql"}, {"storage_encrypted": True}, {"kms_key_id": "k"}, {"username": "u"}, {"db_name": "d"}],
    )
    def test_a_property_that_forces_a_new_database_replaces_it(self, changed: dict):
        change = only(database, lambda: database(**changed))
        assert change.kind == "replace"
        assert change.loses_data
        assert [difference.replaces for difference in change.differences] == [True]
        assert len(change.reasons) == 1

    @pytest.mark.parametrize("changed", [{"identifier": "x"}, {"instance_class": "db.t4g.small"}, {"multi_az": True}])
    def test_a_property_that_is_updated_in_place_does_not_replace_it(self, changed: dict):
        assert only(database, lambda: database(**changed)).kind == "change"

    def test_a_changed_logical_name_replaces_the_resource(self):
        change = only(database, lambda: database("metadata"))
        assert change.kind == "replace"
        assert change.loses_data
        assert change.reasons == ("its logical name changes from 'db' to 'metadata'",)

    def test_a_changed_type_replaces_the_resource(self):
        def cluster() -> object:
            return aws.rds.Cluster("db", engine="aurora-postgresql")

        change = only(database, cluster)
        assert change.kind == "replace"
        assert change.reasons == ("its type changes from aws:rds/instance:Instance to aws:rds/cluster:Cluster",)

    def test_a_changed_parent_replaces_the_resource(self):
        class Part(pulumi.ComponentResource):
            def __init__(self) -> None:
                super().__init__("airflow:test:Part", "part")
                database(opts=pulumi.ResourceOptions(parent=self))

        change = only(database, Part)
        assert change.loses_data
        assert change.reasons[0].startswith("its URN changes from urn:pulumi:")

    def test_an_alias_that_covers_the_old_name_keeps_the_resource(self):
        renamed = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="db")])
        assert changes(database, lambda: database("metadata", renamed)).items == []

    def test_a_changed_property_of_an_aliased_resource_is_found(self):
        renamed = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="db")])
        change = only(database, lambda: database("metadata", renamed, multi_az=True))
        assert (change.kind, change.resource.name) == ("change", "metadata")

    def test_the_removal_of_a_stateful_resource_loses_data(self):
        found = changes(database, lambda: None)
        assert [(change.kind, change.loses_data) for change in found.items] == [("remove", True)]
        assert found.losing_data
        assert found.of("remove") == [], "it is listed only once"

    def test_the_removal_of_a_retained_resource_loses_no_data(self):
        retained = pulumi.ResourceOptions(retain_on_delete=True)
        found = changes(lambda: database(opts=retained), lambda: None)
        assert not found.losing_data
        assert len(found.of("remove")) == 1

    def test_the_option_replace_on_changes_replaces_the_resource(self):
        asked = pulumi.ResourceOptions(replace_on_changes=["tags"])
        change = only(
            lambda: aws.ec2.Vpc("vpc", tags={"a": "1"}, opts=asked),
            lambda: aws.ec2.Vpc("vpc", tags={"a": "2"}, opts=asked),
        )
        assert change.kind == "replace"
        assert not change.loses_data, "a network has no data"

    def test_the_resource_with_the_most_similar_name_is_the_successor(self):
        def passwords(*names: str) -> Callable[[], object]:
            return lambda: [random.RandomPassword(name, length=9) for name in names]

        found = changes(passwords("broker-token"), passwords("broker-auth-token", "admin-password"))
        assert {(change.kind, change.resource.name) for change in found.items} == {
            ("replace", "broker-auth-token"),
            ("create", "admin-password"),
        }

    def test_a_newly_generated_password_loses_data(self):
        change = only(lambda: random.RandomPassword("key", length=32), lambda: random.RandomPassword("key", length=16))
        assert change.loses_data

    def test_of_the_changes_that_lose_data_replacements_come_first(self):
        found = changes(lambda: [aws.s3.Bucket("logs"), database()], lambda: [database(engine="mysql")])
        assert [change.kind for change in found.losing_data] == ["replace", "remove"]


class TestOptions:
    def test_a_removed_protection_is_a_change(self):
        change = only(lambda: database(opts=pulumi.ResourceOptions(protect=True)), database)
        assert [(d.path, d.old, d.new) for d in change.differences] == [("option protect", True, False)]

    def test_ignored_properties_do_not_change(self):
        ignoring = pulumi.ResourceOptions(ignore_changes=["desiredCapacity", "tags[0].value"])

        def group(capacity: int, value: str, top: int = 3) -> object:
            return aws.autoscaling.Group(
                "g",
                min_size=1,
                max_size=top,
                desired_capacity=capacity,
                tags=[{"key": "a", "value": value, "propagate_at_launch": True}],
                opts=ignoring,
            )

        assert changes(lambda: group(1, "x"), lambda: group(2, "y")).items == []
        assert [d.path for d in only(lambda: group(1, "x"), lambda: group(2, "y", 4)).differences] == ["maxSize"]


class TestSecrets:
    @staticmethod
    def version(value: str | None) -> aws.secretsmanager.SecretVersion:
        return aws.secretsmanager.SecretVersion(
            "v", secret_id="s", secret_string=None if value is None else pulumi.Output.secret(value)
        )

    def test_a_changed_secret_is_masked_on_both_sides(self):
        change = only(lambda: self.version("old-value"), lambda: self.version("new-value"))
        [difference] = change.differences
        assert difference.secret
        assert (difference.old, difference.new) == (MASK, MASK)
        assert "value" not in str(difference)

    def test_an_added_secret_is_absent_on_the_old_side(self):
        [difference] = only(lambda: self.version(None), lambda: self.version("new-value")).differences
        assert (difference.old, difference.new) == (ABSENT, MASK)

    def test_a_secret_tag_that_the_provider_adds_is_masked(self):
        def address() -> object:
            return aws.ec2.Eip("address", tags={"own": pulumi.Output.secret("s")})

        before, after = (
            deploy(address, config={"aws:defaultTags": {"tags": {"Team": value}}})[1] for value in ("a", "b")
        )
        [difference] = compare(before, after).items[0].differences
        assert (difference.path, difference.old, difference.new) == ("tagsAll.Team", MASK, MASK)

    def test_a_value_that_is_no_longer_secret_is_masked_too(self):
        def plain() -> object:
            return aws.secretsmanager.SecretVersion("v", secret_id="s", secret_string="new-value")

        [difference] = only(lambda: self.version("old-value"), plain).differences
        assert (difference.old, difference.new) == (MASK, MASK)


class TestDocuments:
    def test_a_policy_is_compared_line_by_line(self):
        def policy(action: str) -> object:
            return aws.iam.RolePolicy("p", role="r", policy=json.dumps({"Statement": [{"Action": action}]}))

        [difference] = only(lambda: policy("s3:GetObject"), lambda: policy("s3:*")).differences
        [lines] = difference.files.values()
        assert '-      "Action": "s3:GetObject"' in lines
        assert '+      "Action": "s3:*"' in lines

    def test_the_same_policy_in_another_notation_is_not_a_change(self):
        def policy(text: str) -> object:
            return aws.iam.RolePolicy("p", role="r", policy=text)

        assert changes(lambda: policy('{"a": 1, "b": 2}'), lambda: policy('{ "b":2,"a":1 }')).items == []

    def test_user_data_is_compared_file_by_file(self):
        from node import user_data

        def template(packed: str) -> object:
            return aws.ec2.LaunchTemplate("t", user_data=packed)

        before, after = (_user_data(POOL_SIZE=size) for size in ("4", "8"))
        assert user_data.decode(before) != user_data.decode(after)
        [difference] = only(lambda: template(before), lambda: template(after)).differences
        assert list(difference.files) == ["/etc/airflow/airflow.env"]
        [lines] = difference.files.values()
        assert "-POOL_SIZE=4" in lines
        assert "+POOL_SIZE=8" in lines

    def test_user_data_in_another_format_is_compared_as_text(self):
        def template(packed: str) -> object:
            return aws.ec2.LaunchTemplate("t", user_data=packed)

        [difference] = only(lambda: template("old"), lambda: template("new")).differences
        assert difference.files == {"": ("--- before", "+++ after", "@@ -1 +1 @@", "-old", "+new")}


def _user_data(**environment: str) -> str:
    """User data in the form that node.user_data packs, with nothing in it but one file."""
    import base64
    import gzip

    lines = "".join(f"{key}={value}\n" for key, value in environment.items())
    document = {"write_files": [{"path": "/etc/airflow/airflow.env", "permissions": "0644", "content": lines}]}
    packed = gzip.compress(("#cloud-config\n" + json.dumps(document)).encode(), mtime=0)
    return base64.b64encode(packed).decode()
