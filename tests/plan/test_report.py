"""The plan as Markdown for a pull request, and as JSON for tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.program import REPOSITORY
from plan import __main__ as plan
from plan.report import LONGEST
from tests.support.tiny_program import TinyProgram, tiny_program

SCHEMA = json.loads((REPOSITORY / "docs/plan.schema.json").read_text(encoding="utf-8"))
PAGE = (REPOSITORY / "docs/plan.md").read_text(encoding="utf-8")


@pytest.fixture
def comment(capsys: pytest.CaptureFixture[str]):
    def run(program: TinyProgram, *arguments: str) -> str:
        capsys.readouterr()
        assert plan.main(["--root", str(program.root), "--stack", "test", "--format", "markdown", *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_without_a_base_the_comment_is_a_headline_and_folded_lists(tmp_path: Path, comment):
    text = comment(tiny_program(tmp_path, "aws.ec2.Vpc('vpc', cidr_block='10.0.0.0/16')"))
    assert text == (
        "### Plan of `test` (111122223333, eu-west-1)\n\n"
        "1 resource in 0 components.\n\n"
        "<details><summary>All resources</summary>\n\n"
        "```\n└─ vpc  aws.ec2.Vpc  cidrBlock=10.0.0.0/16\n```\n\n"
        "</details>\n\n"
        "<details><summary>Resources by kind</summary>\n\n"
        "```\n    1  aws.ec2.Vpc\n```\n\n"
        "</details>\n"
    )


def test_changes_that_lose_data_are_not_folded_in_a_comment(tmp_path: Path, comment):
    program = tiny_program(tmp_path, "aws.s3.Bucket('logs', bucket='a')", "aws.ec2.Eip('address')")
    program.commit()
    program.main("aws.s3.Bucket('logs', bucket='b')")
    text = comment(program, "--base", "HEAD")
    before_folding = text.split("<details>")[0]
    assert "**REPLACEMENT OR REMOVAL OF DATA:** `pulumi up` deletes these resources and their data." in before_folding
    assert "-/+ logs  aws.s3.Bucket  REPLACEMENT" in before_folding
    assert "**Since `HEAD`: 1 REPLACED OR REMOVED WITH THEIR DATA, 1 to remove.**" in before_folding
    assert "<details><summary>To remove (1)</summary>" in text


def test_a_value_in_a_comment_cannot_end_its_code_block(tmp_path: Path, comment):
    hostile = "```\\n</details><img src=x>"
    text = comment(tiny_program(tmp_path, f"aws.ec2.SecurityGroup('group', description='{hostile}')"))
    block = text.split("All resources</summary>")[1]
    assert block.lstrip().startswith("````\n"), "the fence is longer than any in it"
    assert "\n````\n" in block.split("group", 1)[1]


def test_signs_come_first_in_a_comment_so_that_their_lines_are_coloured(tmp_path: Path, comment):
    program = tiny_program(tmp_path, "aws.ec2.Vpc('old')")
    program.commit()
    program.main("aws.ec2.Eip('new')")
    lines = comment(program, "--base", "HEAD").splitlines()
    assert "+   new  aws.ec2.Eip" in lines
    assert "-   old  aws.ec2.Vpc" in lines


def test_a_long_comment_is_cut_at_its_least_important_parts(tmp_path: Path, comment):
    program = tiny_program(tmp_path, "aws.ec2.Vpc('vpc', tags={'a': '1'})")
    program.commit()
    long = "x" * 60
    program.main(
        "aws.ec2.Vpc('vpc', tags={'a': '2'})",
        f"for number in range(400): aws.ec2.Eip(f'{long}-{{number}}')",
    )
    text = comment(program, "--base", "HEAD")
    assert len(text) <= LONGEST + 1000
    assert "tags.a" in text, "the change itself is the most important part"
    assert "more lines are printed by: make plan STACK=test" in text
    assert text.count("<details>") == text.count("</details>") == 4
    assert "  401  " not in text
    assert "  400  aws.ec2.Eip" in text


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert plan.main([*arguments, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_the_plan_of_every_stack_matches_the_schema(document, stack: str):
    found = document("--stack", stack)
    jsonschema.validate(found, SCHEMA)
    assert len(found["resources"]) > 100


def test_changes_match_the_schema(document, tmp_path: Path):
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
    found = document("--root", str(tmp_path), "--stack", "test", "--base", "HEAD")
    jsonschema.validate(found, SCHEMA)
    assert found["base"] == "HEAD"
    assert found["risks"] == ["Deleted with its data: logs."]
    assert found["effects"] == []
    changes = {change["name"]: change for change in found["changes"]}
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


def test_a_resource_has_all_its_keys_in_json(document, tmp_path: Path):
    tiny_program(
        tmp_path,
        "bucket = aws.s3.Bucket('logs', bucket='tiny-logs', tags={'a': '1'})",
        "options = pulumi.ResourceOptions(protect=True, ignore_changes=['policy'])",
        "aws.s3.BucketPolicy('policy', bucket=bucket.id, policy=pulumi.Output.secret('{}'), opts=options)",
    )
    bucket, policy = document("--root", str(tmp_path), "--stack", "test")["resources"]
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


def test_secret_exports_are_masked_in_json(document, tmp_path: Path):
    tiny_program(tmp_path, "pulumi.export('a', 1)", "pulumi.export('b', pulumi.Output.secret({'user': 'x'}))")
    assert document("--root", str(tmp_path), "--stack", "test")["exports"] == {"a": 1, "b": "[secret]"}


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
