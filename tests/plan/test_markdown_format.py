from __future__ import annotations

from pathlib import Path

import pytest

from plan import __main__ as plan
from plan.report import LONGEST
from tests.support.tiny_program import TinyProgram, tiny_program


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


def test_changes_that_lose_data_are_not_folded(tmp_path: Path, comment):
    program = tiny_program(tmp_path, "aws.s3.Bucket('logs', bucket='a')", "aws.ec2.Eip('address')")
    program.commit()
    program.main("aws.s3.Bucket('logs', bucket='b')")
    text = comment(program, "--base", "HEAD")
    before_folding = text.split("<details>")[0]
    assert "**REPLACEMENT OR REMOVAL OF DATA:** `pulumi up` deletes these resources and their data." in before_folding
    assert "-/+ logs  aws.s3.Bucket  REPLACEMENT" in before_folding
    assert "**Since `HEAD`: 1 REPLACED OR REMOVED WITH THEIR DATA, 1 to remove.**" in before_folding
    assert "<details><summary>To remove (1)</summary>" in text


def test_a_value_cannot_end_its_code_block(tmp_path: Path, comment):
    hostile = "```\\n</details><img src=x>"
    text = comment(tiny_program(tmp_path, f"aws.ec2.SecurityGroup('group', description='{hostile}')"))
    block = text.split("All resources</summary>")[1]
    assert block.lstrip().startswith("````\n"), "the fence is longer than any in it"
    assert "\n````\n" in block.split("group", 1)[1]


def test_signs_come_first_so_that_their_lines_are_coloured(tmp_path: Path, comment):
    program = tiny_program(tmp_path, "aws.ec2.Vpc('old')")
    program.commit()
    program.main("aws.ec2.Eip('new')")
    lines = comment(program, "--base", "HEAD").splitlines()
    assert "+   new  aws.ec2.Eip" in lines
    assert "-   old  aws.ec2.Vpc" in lines


def test_a_long_plan_is_cut_at_its_least_important_parts(tmp_path: Path, comment):
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
