from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_aws as aws
import pytest

from engine.program import deploy
from engine.recording import Recording
from tests.support.part import Part

BUCKET = "aws:s3/bucket:Bucket"


def recording_of(program: Callable[[], object], **options) -> Recording:
    return deploy(program, **options)[1]


class TestQueries:
    def test_only_says_what_there_is_instead(self):
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
    def test_a_resource_comes_after_all_that_it_depends_on(self):
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

    def test_components_keep_the_order_of_the_program_and_their_parts_go_by_name(self):
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
