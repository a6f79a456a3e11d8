from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest
from pulumi.runtime import settings

from engine.program import (
    DuplicateNameError,
    UnknownArgumentError,
    UnplannedInvokeError,
    deploy,
)
from engine.recording import UNKNOWN, Recording
from tests.support.part import Part

BUCKET = "aws:s3/bucket:Bucket"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def part_with_bucket(name: str, opts: pulumi.ResourceOptions | None = None) -> Part:
    return Part(name, lambda own, child: aws.s3.Bucket(f"{own}-bucket", opts=child), opts)


def recording_of(program: Callable[[], object], **options) -> Recording:
    return deploy(program, **options)[1]


def test_the_result_of_the_program_and_its_resources_are_returned():
    result, recording = deploy(lambda: aws.s3.Bucket("logs", tags={"a": "b"})._name)
    assert result == "logs"
    assert recording.only(BUCKET).inputs == {"tags": {"a": "b"}}


class TestRefusals:
    def test_a_duplicate_name_is_refused(self):
        with pytest.raises(DuplicateNameError, match=r"s3/bucket:Bucket 'logs' is registered twice"):
            deploy(lambda: [aws.s3.Bucket("logs"), aws.s3.Bucket("logs")])

    def test_the_same_name_under_a_parent_of_another_type_is_accepted(self):
        def program() -> None:
            aws.s3.Bucket("part-bucket")
            part_with_bucket("part")

        assert len(recording_of(program).of_type(BUCKET)) == 2

    def test_the_same_name_under_two_parents_of_one_type_is_refused(self):
        def children(_: str, child: pulumi.ResourceOptions) -> None:
            aws.s3.Bucket("bucket", opts=child)

        with pytest.raises(DuplicateNameError, match="would be urn:pulumi:"):
            deploy(lambda: [Part("one", children), Part("two", children)])

    @pytest.mark.parametrize("look_up", [aws.get_availability_zones, lambda: aws.ec2.get_ami_output(owners=["self"])])
    def test_a_look_up_is_refused(self, look_up: Callable[[], object]):
        with pytest.raises(UnplannedInvokeError, match="must not look anything up"):
            deploy(look_up)

    def test_a_look_up_is_refused_even_if_the_program_suppresses_the_error(self):
        def program() -> None:
            with contextlib.suppress(Exception):
                aws.get_region()

        with pytest.raises(UnplannedInvokeError, match="getRegion"):
            deploy(program)

    def test_reading_a_resource_from_the_cloud_is_refused(self):
        with pytest.raises(UnplannedInvokeError, match="read from the cloud"):
            deploy(lambda: aws.s3.Bucket.get("logs", "some-bucket"))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metadata_options": {"http_token": "required"}}, "no `metadataOptions.http_token`"),
            (
                {"block_device_mappings": [{"ebs": {"volume_sise": 8}}]},
                r"no `blockDeviceMappings\[0\].ebs.volume_sise`",
            ),
            ({"vpc_security_group_ids": "sg-1"}, "`vpcSecurityGroupIds` is str; a list is needed"),
            ({"image_id": {"id": "ami-1"}}, "`imageId` is dict; a single value is needed"),
            ({"tags": "a"}, "`tags` is str; a mapping is needed"),
        ],
    )
    def test_an_argument_that_does_not_exist_is_refused(self, arguments: dict, message: str):
        with pytest.raises(UnknownArgumentError, match=message):
            deploy(lambda: aws.ec2.LaunchTemplate("node", **arguments))

    def test_the_error_lists_the_existing_arguments(self):
        misspelt: dict[str, Any] = {"metadata_options": {"http_token": "required"}}
        with pytest.raises(UnknownArgumentError, match=r"Known: httpEndpoint, .*httpTokens"):
            deploy(lambda: aws.ec2.LaunchTemplate("node", **misspelt))

    def test_declared_nested_arguments_and_any_keys_of_a_map_are_accepted(self):
        recording = recording_of(
            lambda: aws.ec2.LaunchTemplate(
                "node", metadata_options={"http_tokens": "required"}, tags={"any key": "any value"}
            )
        )
        assert recording.only(TEMPLATE).inputs["metadataOptions"] == {"httpTokens": "required"}

    def test_an_error_of_the_program_is_raised(self):
        with pytest.raises(ZeroDivisionError):
            deploy(lambda: 1 // 0)

    def test_an_error_inside_an_apply_is_raised_even_if_nothing_awaits_it(self):
        with pytest.raises(ZeroDivisionError):
            deploy(lambda: aws.s3.Bucket("logs").arn.apply(lambda arn: len(arn) // 0) and None)


class TestOptions:
    def test_protection_is_inherited(self):
        recording = recording_of(lambda: part_with_bucket("part", pulumi.ResourceOptions(protect=True)))
        assert recording.only(BUCKET).options.protect

    def test_retention_is_inherited(self):
        recording = recording_of(lambda: part_with_bucket("part", pulumi.ResourceOptions(retain_on_delete=True)))
        assert recording.only(BUCKET).options.retain_on_delete, "the engine passes it on, not the SDK"

    def test_options_are_recorded_as_the_engine_receives_them(self):
        options = pulumi.ResourceOptions(
            ignore_changes=["force_destroy"], replace_on_changes=["bucket"], delete_before_replace=True
        )
        seen = recording_of(lambda: aws.s3.Bucket("logs", opts=options)).only(BUCKET).options
        assert seen.ignore_changes == ("forceDestroy",)
        assert seen.replace_on_changes == ("bucket",)
        assert seen.delete_before_replace
        assert not seen.protect

    def test_an_alias_of_a_component_covers_its_children(self):
        renamed = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")])
        recording = recording_of(lambda: part_with_bucket("new", renamed))
        before = recording_of(lambda: part_with_bucket("old")).only(BUCKET)
        assert before.urn in recording.only(BUCKET).options.aliases

    def test_an_alias_of_an_old_parent_is_resolved(self):
        recording = recording_of(
            lambda: Part(
                "part",
                lambda _, child: aws.s3.Bucket(
                    "logs",
                    opts=pulumi.ResourceOptions.merge(
                        child, pulumi.ResourceOptions(aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)])
                    ),
                ),
            )
        )
        before = recording_of(lambda: aws.s3.Bucket("logs")).only(BUCKET)
        assert before.urn in recording.only(BUCKET).options.aliases

    def test_dependencies_are_recorded_by_property(self):
        def program() -> None:
            bucket = aws.s3.Bucket("logs")
            other = aws.s3.Bucket("other")
            aws.s3.BucketPolicy(
                "policy", bucket=bucket.id, policy="{}", opts=pulumi.ResourceOptions(depends_on=[other])
            )

        recording = recording_of(program)
        bucket, other = recording.named(BUCKET, "logs"), recording.named(BUCKET, "other")
        policy = recording.only(POLICY)
        assert policy.property_dependencies == {"bucket": (bucket.urn,)}
        assert set(policy.dependencies) == {bucket.urn, other.urn}
        assert policy.options.depends_on == (other.urn,)

    def test_parents_are_urns_and_the_stack_is_not_a_parent(self):
        recording = recording_of(lambda: part_with_bucket("part"))
        part = recording.only("airflow:test:Part")
        assert part.parent == ""
        assert not part.options.custom
        assert recording.only(BUCKET).parent == part.urn
        assert recording.only(BUCKET).urn == f"urn:pulumi:test::airflow::airflow:test:Part${BUCKET}::part-bucket"


class TestValues:
    def test_secrets_are_unwrapped_and_their_properties_are_recorded(self):
        recording = recording_of(
            lambda: aws.secretsmanager.SecretVersion("v", secret_id="s", secret_string=pulumi.Output.secret("hush"))
        )
        version = recording.only("aws:secretsmanager/secretVersion:SecretVersion")
        assert version.inputs["secretString"] == "hush"
        assert version.secret_inputs == {"secretString"}
        assert "secretString" in version.secret_outputs

    def test_a_nested_secret_makes_the_whole_input_secret(self):
        recording = recording_of(
            lambda: aws.ec2.LaunchTemplate(
                "node",
                tag_specifications=[
                    aws.ec2.LaunchTemplateTagSpecificationArgs(
                        resource_type="instance", tags={"key": pulumi.Output.secret("hush")}
                    )
                ],
            )
        )
        template = recording.only(TEMPLATE)
        assert template.secret_inputs == {"tagSpecifications"}
        assert template.inputs["tagSpecifications"] == [{"resourceType": "instance", "tags": {"key": "hush"}}]

    def test_every_secret_string_of_a_run_is_recorded(self):
        def program() -> None:
            password = random.RandomPassword("password", length=20).result
            aws.ec2.Vpc("vpc", tags={"plain": "seen", "key": pulumi.Output.secret("hush")})
            pulumi.export("both", pulumi.Output.secret({"user": "someone", "list": ["deep"]}))
            pulumi.export("dsn", pulumi.Output.concat("airflow:", password))

        recording = recording_of(program)
        password = recording.only("random:index/randomPassword:RandomPassword").outputs["result"]
        assert {"hush", "someone", "deep", password, f"airflow:{password}"} <= recording.secret_texts
        assert "seen" not in recording.secret_texts

    def test_secret_tags_stay_secret_when_they_are_merged(self):
        vpc = recording_of(lambda: aws.ec2.Vpc("vpc", tags={"key": pulumi.Output.secret("hush")})).resources[0]
        assert {"tags", "tagsAll"} <= vpc.secret_outputs

    def test_a_generated_password_stays_secret_in_what_contains_it(self):
        def program() -> None:
            password = random.RandomPassword("password", length=20)
            aws.secretsmanager.SecretVersion(
                "v", secret_id="s", secret_string=pulumi.Output.concat("user:", password.result)
            )

        version = recording_of(program).only("aws:secretsmanager/secretVersion:SecretVersion")
        assert version.secret_inputs == {"secretString"}
        assert version.inputs["secretString"].startswith("user:")
        assert len(version.inputs["secretString"]) == len("user:") + 20

    def test_whole_numbers_are_integers(self):
        port = recording_of(lambda: aws.lb.TargetGroup("web", port=8080)).only("aws:lb/targetGroup:TargetGroup")
        assert repr(port.inputs["port"]) == "8080"

    def test_assets_are_plain_values(self):
        recording = recording_of(
            lambda: aws.s3.BucketObjectv2("file", bucket="b", key="k", source=pulumi.StringAsset("text"))
        )
        assert recording.only("aws:s3/bucketObjectv2:BucketObjectv2").inputs["source"] == {"text": "text"}

    def test_exports_are_recorded_and_secret_ones_marked(self):
        def program() -> None:
            pulumi.export("bucket", aws.s3.Bucket("logs", bucket="my-logs").arn)
            pulumi.export("password", pulumi.Output.secret("hush"))

        recording = recording_of(program)
        assert recording.exports == {"bucket": "arn:aws:s3:::my-logs", "password": "hush"}
        assert recording.secret_exports == {"password"}

    def test_a_component_has_the_outputs_that_it_registers(self):
        class Named(pulumi.ComponentResource):
            def __init__(self) -> None:
                super().__init__("airflow:test:Named", "named")
                bucket = aws.s3.Bucket("logs", bucket="my-logs", opts=pulumi.ResourceOptions(parent=self))
                self.register_outputs({"arn": bucket.arn})

        assert recording_of(Named).only("airflow:test:Named").outputs == {"arn": "arn:aws:s3:::my-logs"}

    def test_default_tags_and_region_are_in_the_outputs_as_the_provider_merges_them(self):
        bucket = recording_of(
            lambda: aws.s3.Bucket("logs", tags={"Own": "1"}),
            config={"aws:region": "eu-north-1", "aws:defaultTags": {"tags": {"Project": "airflow"}}},
        ).only(BUCKET)
        assert bucket.outputs["tagsAll"] == {"Own": "1", "Project": "airflow"}
        assert bucket.outputs["region"] == "eu-north-1"

    def test_outputs_can_be_overridden_by_a_mapping_or_a_function(self):
        def program() -> None:
            password = random.RandomPassword("password", length=20)
            aws.s3.Bucket("logs", bucket=password.result)

        fixed = recording_of(program, outputs={"random:index/randomPassword:RandomPassword": {"result": "hostile"}})
        assert fixed.only(BUCKET).inputs["bucket"] == "hostile"
        derived = recording_of(
            program,
            outputs={"random:index/randomPassword:RandomPassword": lambda given: {"result": given.name.upper()}},
        )
        assert derived.only(BUCKET).inputs["bucket"] == "PASSWORD"
        assert derived.only(BUCKET).secret_inputs == {"bucket"}, "an overridden output stays secret"

    def test_warnings_are_recorded(self):
        assert recording_of(lambda: pulumi.warn("mind the gap")).messages == ["warning: mind the gap"]


class TestPreview:
    def test_a_value_that_only_aws_determines_is_unknown(self):
        def program() -> None:
            vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
            aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block=vpc.cidr_block)

        recording = recording_of(program, preview=True)
        subnet = recording.only("aws:ec2/subnet:Subnet")
        assert subnet.inputs == {"vpcId": UNKNOWN, "cidrBlock": "10.0.0.0/16"}
        assert subnet.id == ""
        assert subnet.property_dependencies == {
            "vpcId": (recording.only("aws:ec2/vpc:Vpc").urn,),
            "cidrBlock": (recording.only("aws:ec2/vpc:Vpc").urn,),
        }

    def test_an_apply_on_an_unknown_value_does_not_run(self):
        ran: list[str] = []
        deploy(lambda: aws.s3.Bucket("logs").arn.apply(ran.append) and None, preview=True)
        assert not ran

    def test_a_generated_name_is_the_same_in_a_preview_and_an_update(self):
        def program() -> None:
            pulumi.export("name", aws.s3.Bucket("logs").bucket)

        assert recording_of(program, preview=True).exports == recording_of(program).exports

    def test_an_overridden_output_is_unknown_too(self):
        seen = recording_of(
            lambda: pulumi.export("password", random.RandomPassword("p", length=9).result),
            outputs={"random:index/randomPassword:RandomPassword": {"result": "hostile"}},
            preview=True,
        )
        assert seen.exports == {"password": UNKNOWN}

    def test_a_resource_that_is_created_inside_an_apply_is_missing(self):
        def program() -> None:
            aws.s3.Bucket("logs").arn.apply(lambda _: aws.s3.Bucket("late") and None)

        names = [
            {resource.name for resource in recording_of(program, preview=preview).resources}
            for preview in (False, True)
        ]
        assert names == [{"logs", "late"}, {"logs"}], "tests detect in this way that a preview would not show it"


class TestIsolation:
    def test_config_does_not_reach_the_next_run(self):
        read = lambda: pulumi.Config("airflow").get("cluster")  # noqa: E731
        assert deploy(read, config={"airflow:cluster": "one"})[0] == "one"
        assert deploy(read)[0] is None
        assert pulumi.Config("airflow").get("cluster") is None

    def test_structured_config_is_read_as_such(self):
        read = lambda: pulumi.Config("airflow").require_object("cluster")  # noqa: E731
        assert deploy(read, config={"airflow:cluster": {"name": "one", "zones": [1, 2]}})[0] == {
            "name": "one",
            "zones": [1, 2],
        }

    def test_resources_and_exports_do_not_reach_the_next_run(self):
        def program() -> None:
            pulumi.export("bucket", aws.s3.Bucket("logs").id)

        assert len(recording_of(program).resources) == 1
        assert len(recording_of(program).resources) == 1
        assert recording_of(lambda: None).exports == {}

    def test_a_failed_run_does_not_fail_the_next_one(self):
        with pytest.raises(ZeroDivisionError):
            deploy(lambda: [aws.s3.Bucket("logs"), 1 // 0])
        assert recording_of(lambda: aws.s3.Bucket("logs")).only(BUCKET).name == "logs"

    def test_no_event_loop_is_left_behind(self):
        seen = deploy(asyncio.get_running_loop)[0]
        assert seen.is_closed()

    def test_a_stack_resource_that_other_code_left_behind_does_not_matter(self):
        def program() -> None:
            settings.ROOT.set(aws.Provider.__new__(aws.Provider))
            assert recording_of(lambda: aws.s3.Bucket("logs")).only(BUCKET).name == "logs"

        contextvars.copy_context().run(program)

    def test_the_preview_flag_does_not_reach_the_next_run(self):
        deploy(lambda: None, preview=True)
        assert deploy(pulumi.runtime.is_dry_run)[0] is False

    def test_equal_programs_give_equal_recordings(self):
        def program() -> None:
            vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
            for zone in "abc":
                aws.ec2.Subnet(zone, vpc_id=vpc.id, cidr_block="10.0.0.0/24", availability_zone=f"eu-west-1{zone}")

        assert recording_of(program).resources == recording_of(program).resources
