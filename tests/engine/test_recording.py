from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_aws as aws
import pytest

from engine.program import deploy
from engine.recording import Alias, Identity, Recording, alias_urns, name_of, qualified_type, type_of
from tests.support.part import Part

BUCKET = "aws:s3/bucket:Bucket"
STACK = "urn:pulumi:prod::airflow::pulumi:pulumi:Stack::airflow-prod"
PART = "urn:pulumi:prod::airflow::airflow:x:Part::part"


def recording_of(program: Callable[[], object], **options) -> Recording:
    return deploy(program, **options)[1]


def identity(parent: str = "", name: str = "part-logs") -> Identity:
    return Identity("prod", "airflow", parent, "aws:s3/bucket:Bucket", name)


class TestQueries:
    def test_the_error_of_only_lists_what_there_is(self):
        recording = recording_of(lambda: [aws.s3.Bucket("one"), aws.s3.Bucket("two")])
        with pytest.raises(AssertionError, match=r"2 match\. Registered: 'one', 'two'"):
            recording.only(BUCKET)
        with pytest.raises(
            AssertionError, match=r"expected one x:y:Z; 0 match\. Registered: aws:s3/bucket:Bucket 'one'"
        ):
            recording.only("x:y:Z")

    def test_named_finds_by_type_and_name(self):
        recording = recording_of(lambda: [aws.s3.Bucket("one"), aws.s3.Bucket("two")])
        assert recording.named(BUCKET, "two").name == "two"
        with pytest.raises(AssertionError, match="named 'three'"):
            recording.named(BUCKET, "three")


class TestOrder:
    def test_a_resource_comes_after_everything_that_it_depends_on(self):
        def program() -> None:
            last = aws.s3.Bucket("a-policy-holder")
            for name in ("z", "y"):
                group = aws.cloudwatch.LogGroup(name)
                last = aws.s3.Bucket(f"a-{name}", tags={"group": group.arn, "last": last.arn})

        for recording in (recording_of(program), recording_of(program, preview=True)):
            seen: set[str] = set()
            for resource in recording.resources:
                assert set(resource.dependencies) <= seen
                seen.add(resource.urn)

    def test_components_are_in_the_programs_order_and_their_children_sorted_by_name(self):
        def children(own: str, child: pulumi.ResourceOptions) -> None:
            for name in "ba":
                aws.s3.Bucket(f"{own}-{name}", opts=child)

        recording = recording_of(lambda: [Part("second", children), Part("first", children)])
        assert [resource.name for resource in recording.resources] == [
            "second",
            "first",
            "second-a",
            "second-b",
            "first-a",
            "first-b",
        ]


class TestUrns:
    def test_a_urn_contains_the_types_of_all_parents_except_the_stacks(self):
        assert identity().urn == "urn:pulumi:prod::airflow::aws:s3/bucket:Bucket::part-logs"
        assert identity(STACK).urn == identity().urn
        assert identity(PART).urn == "urn:pulumi:prod::airflow::airflow:x:Part$aws:s3/bucket:Bucket::part-logs"
        inner = Identity("prod", "airflow", PART, "airflow:x:Inner", "inner").urn
        assert qualified_type(identity(inner).urn) == "airflow:x:Part$airflow:x:Inner$aws:s3/bucket:Bucket"

    def test_type_and_name_are_read_from_a_urn(self):
        assert type_of(identity(PART).urn) == "aws:s3/bucket:Bucket"
        assert name_of(identity(PART, "a::b").urn) == "a::b"

    def test_an_alias_needs_only_the_parts_that_differ(self):
        assert alias_urns(identity(PART), [Alias(name="old")], []) == (identity(PART, "old").urn,)
        assert alias_urns(identity(PART), [Alias(parent="")], []) == (identity().urn,)
        assert alias_urns(identity(), [Alias(urn="urn:x")], []) == ("urn:x",)
        assert alias_urns(identity(), [Alias(type="aws:s3/bucketV2:BucketV2")], []) == (
            "urn:pulumi:prod::airflow::aws:s3/bucketV2:BucketV2::part-logs",
        )
        assert alias_urns(identity(), [Alias(stack="dev", project="old")], []) == (
            "urn:pulumi:dev::old::aws:s3/bucket:Bucket::part-logs",
        )

    def test_children_inherit_a_parents_alias_with_its_old_name_in_theirs(self):
        old_parent = "urn:pulumi:prod::airflow::airflow:x:Old::before"
        assert alias_urns(identity(PART), [], [old_parent]) == (
            "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::before-logs",
        )
        assert alias_urns(identity(PART, "logs"), [], [old_parent]) == (
            "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::logs",
        )

    def test_own_aliases_are_combined_with_a_parents(self):
        old_parent = "urn:pulumi:prod::airflow::airflow:x:Old::part"
        assert set(alias_urns(identity(PART), [Alias(name="first")], [old_parent])) == {
            identity(PART, "first").urn,
            "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::part-logs",
            "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::first",
        }

    def test_the_current_urn_is_not_an_alias(self):
        assert alias_urns(identity(), [Alias(name="part-logs")], []) == ()
