from __future__ import annotations

from engine.urns import Alias, Identity, alias_urns, name_of, qualified_type, type_of

STACK = "urn:pulumi:prod::airflow::pulumi:pulumi:Stack::airflow-prod"
PART = "urn:pulumi:prod::airflow::airflow:x:Part::part"


def identity(parent: str = "", name: str = "part-logs") -> Identity:
    return Identity("prod", "airflow", parent, "aws:s3/bucket:Bucket", name)


def test_the_types_of_all_parents_are_in_a_urn_but_the_stacks():
    assert identity().urn == "urn:pulumi:prod::airflow::aws:s3/bucket:Bucket::part-logs"
    assert identity(STACK).urn == identity().urn
    assert identity(PART).urn == "urn:pulumi:prod::airflow::airflow:x:Part$aws:s3/bucket:Bucket::part-logs"
    inner = Identity("prod", "airflow", PART, "airflow:x:Inner", "inner").urn
    assert qualified_type(identity(inner).urn) == "airflow:x:Part$airflow:x:Inner$aws:s3/bucket:Bucket"


def test_a_urn_comes_apart_into_its_type_and_name():
    assert type_of(identity(PART).urn) == "aws:s3/bucket:Bucket"
    assert name_of(identity(PART, "a::b").urn) == "a::b"


def test_an_alias_says_only_what_was_different():
    assert alias_urns(identity(PART), [Alias(name="old")], []) == (identity(PART, "old").urn,)
    assert alias_urns(identity(PART), [Alias(parent="")], []) == (identity().urn,)
    assert alias_urns(identity(), [Alias(urn="urn:x")], []) == ("urn:x",)
    assert alias_urns(identity(), [Alias(type="aws:s3/bucketV2:BucketV2")], []) == (
        "urn:pulumi:prod::airflow::aws:s3/bucketV2:BucketV2::part-logs",
    )
    assert alias_urns(identity(), [Alias(stack="dev", project="old")], []) == (
        "urn:pulumi:dev::old::aws:s3/bucket:Bucket::part-logs",
    )


def test_a_parents_alias_is_its_childrens_too_and_renames_them_with_it():
    old_parent = "urn:pulumi:prod::airflow::airflow:x:Old::before"
    assert alias_urns(identity(PART), [], [old_parent]) == (
        "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::before-logs",
    )
    assert alias_urns(identity(PART, "logs"), [], [old_parent]) == (
        "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::logs",
    )


def test_own_aliases_and_a_parents_are_multiplied_out():
    old_parent = "urn:pulumi:prod::airflow::airflow:x:Old::part"
    assert set(alias_urns(identity(PART), [Alias(name="first")], [old_parent])) == {
        identity(PART, "first").urn,
        "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::part-logs",
        "urn:pulumi:prod::airflow::airflow:x:Old$aws:s3/bucket:Bucket::first",
    }


def test_todays_urn_is_no_alias():
    assert alias_urns(identity(), [Alias(name="part-logs")], []) == ()
