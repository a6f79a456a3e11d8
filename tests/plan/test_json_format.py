from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.program import REPOSITORY
from plan import __main__ as plan
from tests.support.tiny_program import tiny_program

SCHEMA = json.loads((REPOSITORY / "docs/plan.schema.json").read_text(encoding="utf-8"))
PAGE = (REPOSITORY / "docs/plan.md").read_text(encoding="utf-8")


@pytest.fixture
def planned(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert plan.main([*arguments, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_the_plan_of_every_stack_matches_the_schema(planned, stack: str):
    document = planned("--stack", stack)
    jsonschema.validate(document, SCHEMA)
    assert len(document["resources"]) > 100


def test_changes_match_the_schema(planned, tmp_path: Path):
    program = tiny_program(
        tmp_path,
        "aws.s3.Bucket('logs', bucket='old')",
        "aws.ec2.Vpc('gone')",
        "vpc = aws.ec2.Vpc('vpc', tags={'a': '1'})",
        "aws.iam.RolePolicy('policy', role='r', policy='{}')",
        "secret = pulumi.Output.secret('first')",
        "aws.secretsmanager.SecretVersion('v', secret_id='s', secret_string=secret)",
    )
    program.commit()
    program.main(
        "aws.s3.Bucket('logs', bucket='new')",
        "aws.ec2.Vpc('vpc', tags={'b': '1'})",
        "aws.ec2.Eip('address')",
        "aws.iam.RolePolicy('policy', role='r', policy='{\"a\": 1}')",
        "secret = pulumi.Output.secret('second')",
        "aws.secretsmanager.SecretVersion('v', secret_id='s', secret_string=secret)",
    )
    document = planned("--root", str(tmp_path), "--stack", "test", "--base", "HEAD")
    jsonschema.validate(document, SCHEMA)
    assert document["base"] == "HEAD"
    assert document["risks"] == ["Deleted with its data: logs."]
    assert document["effects"] == []
    changes = {change["name"]: change for change in document["changes"]}
    assert {name: change["kind"] for name, change in changes.items()} == {
        "logs": "replace",
        "vpc": "change",
        "address": "create",
        "gone": "remove",
        "policy": "change",
        "v": "replace",
    }
    assert changes["logs"]["losesData"]
    assert changes["logs"]["properties"] == [{"path": "bucket", "forcesReplacement": True, "old": "old", "new": "new"}]
    assert changes["vpc"]["properties"] == [
        {"path": "tags.a", "forcesReplacement": False, "old": "1"},
        {"path": "tags.b", "forcesReplacement": False, "new": "1"},
    ]
    assert changes["policy"]["properties"][0]["diff"][-1] == "+}"
    assert changes["v"]["properties"] == [
        {"path": "secretString", "forcesReplacement": True, "old": "[secret]", "new": "[secret]"}
    ]


def test_a_resource_is_printed_with_all_its_keys(planned, tmp_path: Path):
    tiny_program(
        tmp_path,
        "bucket = aws.s3.Bucket('logs', bucket='tiny-logs', tags={'a': '1'})",
        "options = pulumi.ResourceOptions(protect=True, ignore_changes=['policy'])",
        "aws.s3.BucketPolicy('policy', bucket=bucket.id, policy=pulumi.Output.secret('{}'), opts=options)",
    )
    bucket, policy = planned("--root", str(tmp_path), "--stack", "test")["resources"]
    assert bucket["outputs"]["arn"] == "arn:aws:s3:::tiny-logs"
    assert bucket["outputs"]["tagsAll"] == {"Project": "tiny", "a": "1"}
    assert policy == {
        "type": "aws:s3/bucketPolicy:BucketPolicy",
        "name": "policy",
        "urn": "urn:pulumi:test::tiny::aws:s3/bucketPolicy:BucketPolicy::policy",
        "parent": None,
        "component": False,
        "id": "tiny-logs",
        "inputs": {"bucket": "tiny-logs", "policy": "[secret]"},
        "outputs": {"bucket": "tiny-logs", "policy": "[secret]", "region": "eu-west-1"},
        "options": {
            "protect": True,
            "retainOnDelete": False,
            "deleteBeforeReplace": False,
            "ignoreChanges": ["policy"],
            "replaceOnChanges": [],
            "aliases": [],
            "dependsOn": [],
        },
        "dependencies": ["urn:pulumi:test::tiny::aws:s3/bucket:Bucket::logs"],
        "propertyDependencies": {"bucket": ["urn:pulumi:test::tiny::aws:s3/bucket:Bucket::logs"]},
    }


def test_secret_exports_are_masked(planned, tmp_path: Path):
    tiny_program(tmp_path, "pulumi.export('a', 1)", "pulumi.export('b', pulumi.Output.secret({'user': 'x'}))")
    assert planned("--root", str(tmp_path), "--stack", "test")["exports"] == {"a": 1, "b": "[secret]"}


@pytest.mark.parametrize(
    "keys",
    [
        SCHEMA["properties"],
        SCHEMA["$defs"]["resource"]["properties"],
        SCHEMA["$defs"]["resource"]["properties"]["options"]["properties"],
        SCHEMA["$defs"]["change"]["properties"],
        SCHEMA["$defs"]["change"]["properties"]["properties"]["items"]["properties"],
    ],
    ids=["plan", "resource", "options", "change", "property"],
)
def test_the_page_describes_every_key_of_the_schema(keys: dict[str, Any]):
    missing = [key for key in keys if f"`{key}`" not in PAGE]
    assert not missing, "docs/plan.md describes the whole format"


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
