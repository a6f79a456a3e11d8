"""The command: what it prints for which stack file, revision and format, and how it exits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.program import REPOSITORY
from plan import __main__ as plan
from tests.support.tiny_program import TinyProgram, tiny_program

TWO_SUBNETS = (
    "class Part(pulumi.ComponentResource):",
    "    def __init__(self, name):",
    "        super().__init__('tiny:network:Part', name)",
    "        child = pulumi.ResourceOptions(parent=self)",
    "        vpc = aws.ec2.Vpc(f'{name}-vpc', cidr_block='10.0.0.0/16', opts=child)",
    "        for zone in 'ab':",
    "            aws.ec2.Subnet(f'{name}-{zone}', vpc_id=vpc.id, cidr_block='10.0.0.0/24',",
    "                           availability_zone=f'eu-west-1{zone}', opts=child)",
    "        self.register_outputs({})",
    "Part('network')",
    "aws.s3.Bucket('logs', bucket='tiny-logs', opts=pulumi.ResourceOptions(protect=True))",
)

Printed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Run the command on a program; returns the exit code, standard output and standard error."""

    def run(program: TinyProgram, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = plan.main(["--root", str(program.root), "--stack", "test", *arguments])
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    return run


def test_the_text_is_a_tree_with_totals(tmp_path: Path, printed: Printed):
    code, out, err = printed(tiny_program(tmp_path, *TWO_SUBNETS))
    assert (code, err) == (0, "")
    assert out == (
        "tiny test: account 111122223333, region eu-west-1\n"
        "\n"
        "├─ network  Part\n"
        "│  ├─ network-vpc  aws.ec2.Vpc  cidrBlock=10.0.0.0/16\n"
        "│  ├─ network-a  aws.ec2.Subnet  cidrBlock=10.0.0.0/24  availabilityZone=eu-west-1a\n"
        "│  └─ network-b  aws.ec2.Subnet  cidrBlock=10.0.0.0/24  availabilityZone=eu-west-1b\n"
        "└─ logs  aws.s3.Bucket  bucket=tiny-logs  [protected]\n"
        "\n"
        "4 resources in 1 component\n"
        "    2  aws.ec2.Subnet\n"
        "    1  aws.ec2.Vpc\n"
        "    1  aws.s3.Bucket\n"
    )


def test_the_programs_own_output_is_not_in_the_plan(tmp_path: Path, printed: Printed):
    program = tiny_program(tmp_path, "print('hello')", "pulumi.warn('careful')")
    code, out, err = printed(program, "--format", "json")
    assert code == 0
    assert json.loads(out)["resources"] == []
    assert err.splitlines() == ["hello", "warning: careful"]


class TestBase:
    def test_the_same_program_has_no_changes(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        program.commit()
        code, out, _ = printed(program, "--base", "HEAD")
        assert code == 0
        assert out.endswith("Nothing changes since HEAD.\n")

    def test_only_the_changes_are_shown(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        program.commit()
        program.main("aws.ec2.Eip('address')", *(line.replace("10.0.0.0/24", "10.0.1.0/24") for line in TWO_SUBNETS))
        code, out, _ = printed(program, "--base", "HEAD")
        assert code == 0
        assert out == (
            "tiny test: account 111122223333, region eu-west-1\n"
            "\n"
            "Since HEAD: 2 to replace, 1 to create.\n"
            "\n"
            "To replace since HEAD (2)\n"
            "  -/+ network-a  aws.ec2.Subnet\n"
            "      cidrBlock: 10.0.0.0/24 -> 10.0.1.0/24  (forces replacement)\n"
            "  -/+ network-b  aws.ec2.Subnet\n"
            "      cidrBlock: 10.0.0.0/24 -> 10.0.1.0/24  (forces replacement)\n"
            "\n"
            "To create since HEAD (1)\n"
            "  + address  aws.ec2.Eip\n"
        )

    def test_a_replaced_bucket_is_highlighted_and_shown_first(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        program.commit()
        program.main(*(line.replace("tiny-logs", "tiny-task-logs") for line in TWO_SUBNETS))
        _, out, _ = printed(program, "--base", "HEAD")
        assert out.split("\n\n")[1] == "Risks\n  ! Deleted with its data: logs."
        assert "1 REPLACED OR REMOVED WITH THEIR DATA" in out.split("\n\n")[2]
        assert out.split("\n\n")[3] == (
            "!!! REPLACEMENT OR REMOVAL OF DATA: `pulumi up` deletes these resources and their data !!!\n"
            "  -/+ logs  aws.s3.Bucket  REPLACEMENT\n"
            "      it is protected: `pulumi up` refuses until the protection is removed\n"
            "      bucket: tiny-logs -> tiny-task-logs  (forces replacement)\n"
        )

    def test_a_renamed_bucket_is_replaced_unless_it_has_an_alias(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, "aws.s3.Bucket('logs', bucket='tiny-logs')")
        program.commit()
        program.main("aws.s3.Bucket('task-logs', bucket='tiny-logs')")
        renamed = "because its logical name changes from 'logs' to 'task-logs'"
        assert renamed in printed(program, "--base", "HEAD")[1]
        program.main("aws.s3.Bucket('task-logs', bucket='tiny-task-logs')")
        assert renamed in printed(program, "--base", "HEAD")[1], "even if a property forces it too"
        program.main("aws.s3.Bucket('task-logs', bucket='tiny-logs')")
        program.main(
            "alias = pulumi.ResourceOptions(aliases=[pulumi.Alias(name='logs')])",
            "aws.s3.Bucket('task-logs', bucket='tiny-logs', opts=alias)",
        )
        assert printed(program, "--base", "HEAD")[1].endswith("Nothing changes since HEAD.\n")

    def test_the_other_revision_runs_its_own_modules_and_stack_file(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, "import sizes", "aws.ec2.Vpc('vpc', cidr_block=sizes.CIDR)")
        program.write("sizes.py", "CIDR = '10.0.0.0/' + __import__('pulumi').Config().require('bits')")
        program.write("Pulumi.test.yaml", "config: {tiny:bits: 16}")
        program.commit()
        program.write("sizes.py", "CIDR = '10.9.0.0/' + __import__('pulumi').Config().require('bits')")
        program.write("Pulumi.test.yaml", "config: {tiny:bits: 20}")
        assert "cidrBlock: 10.0.0.0/16 -> 10.9.0.0/20" in printed(program, "--base", "HEAD")[1]

    def test_packages_of_the_other_revision_do_not_replace_todays_engine_and_plan(
        self, tmp_path: Path, printed: Printed
    ):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        for package in ("engine", "plan"):
            program.write(f"{package}/__init__.py", f"raise SystemExit('the old {package}')")
        program.commit()
        assert printed(program, "--base", "HEAD")[0] == 0

    def test_the_working_tree_and_the_repository_are_not_changed(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        first = program.commit()
        program.main("aws.ec2.Eip('address')")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert printed(program, "--base", first[:10])[0] == 0
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert {p for p in after.keys() ^ before.keys() if "__pycache__" not in p.parts} == set()
        assert all(after[path] == before[path] for path in before)

    @pytest.mark.parametrize("revision", ["no-such-branch", "--help", "HEAD:__main__.py"])
    def test_an_unknown_revision_is_reported(self, tmp_path: Path, printed: Printed, revision: str):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        program.commit()
        code, out, err = printed(program, f"--base={revision}")
        assert (code, out) == (1, "")
        assert f"There is no revision {revision!r} in this repository" in err
        assert "Traceback" not in err

    def test_a_folder_without_a_repository_is_reported(self, tmp_path: Path, printed: Printed):
        code, out, err = printed(tiny_program(tmp_path, *TWO_SUBNETS), "--base", "HEAD")
        assert (code, out) == (1, "")
        assert "git cannot read 'HEAD'" in err or "There is no revision" in err

    def test_a_revision_without_the_stack_file_is_reported(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, *TWO_SUBNETS)
        (tmp_path / "Pulumi.test.yaml").rename(tmp_path / "Pulumi.other.yaml")
        program.commit()
        (tmp_path / "Pulumi.other.yaml").rename(tmp_path / "Pulumi.test.yaml")
        code, _, err = printed(program, "--base", "HEAD")
        assert code == 1
        assert err == "Revision 'HEAD' has no Pulumi.test.yaml, so there is nothing to compare with.\n"

    def test_bad_settings_of_the_revision_are_reported_as_the_revisions(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, "raise pulumi.RunError('tiny:size is missing')")
        program.commit()
        program.main(*TWO_SUBNETS)
        code, out, err = printed(program, "--base", "HEAD")
        assert (code, out) == (1, "")
        assert err == "The program at HEAD cannot be planned:\ntiny:size is missing\n"

    def test_a_bug_of_the_revision_is_reported_as_a_bug(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, "1 // 0")
        program.commit()
        program.main(*TWO_SUBNETS)
        code, out, err = printed(program, "--base", "HEAD")
        assert (code, out) == (2, "")
        assert "The program at HEAD cannot be planned" in err
        assert "ZeroDivisionError" in err


class TestSecrets:
    PROGRAM = (
        "import pulumi_random as random",
        "password = random.RandomPassword('{name}', length=24, special=False)",
        "secret = aws.secretsmanager.Secret('dsn', name='tiny/dsn')",
        "dsn = pulumi.Output.concat('postgresql://airflow:', password.result, '@host/db')",
        "aws.secretsmanager.SecretVersion('dsn-value', secret_id=secret.id, secret_string=dsn)",
        "aws.ec2.LaunchTemplate('node', tags={{'k': pulumi.Output.secret('a \"quoted\" secret')}}, user_data='{data}')",
        "aws.ec2.Vpc('leak', tags={{'Name': pulumi.Output.unsecret(dsn)}})",
        "pulumi.export('password', password.result)",
    )

    @pytest.mark.parametrize("format_", ["text", "markdown", "json"])
    def test_no_format_prints_a_secret(self, tmp_path: Path, printed: Printed, format_: str):
        from engine.program import run_program

        program = tiny_program(tmp_path, *(line.format(name="first", data="x") for line in self.PROGRAM))
        program.commit()
        old = run_program("test", root=tmp_path).exports["password"]
        program.main(*(line.format(name="second", data="y") for line in self.PROGRAM))
        new = run_program("test", root=tmp_path).exports["password"]
        assert old != new
        code, out, err = printed(program, "--base", "HEAD", "--format", format_)
        assert code == 0
        for secret in (old, new, "quoted"):
            assert secret not in out + err, "even where the program did not mark it"
        assert "dsn-value" in out

    def test_a_changed_secret_is_shown_without_its_values(self, tmp_path: Path, printed: Printed):
        program = tiny_program(tmp_path, *(line.format(name="first", data="x") for line in self.PROGRAM))
        program.commit()
        program.main(*(line.format(name="second", data="x") for line in self.PROGRAM))
        _, out, _ = printed(program, "--base", "HEAD")
        assert "  -/+ dsn-value  aws.secretsmanager.SecretVersion\n      secretString: changed (secret)" in out


class TestExitCodes:
    def test_bad_settings_are_printed_unchanged(self, tmp_path: Path, printed: Printed):
        report = "Pulumi.test.yaml is not valid:\\n  tiny:size: missing"
        code, out, err = printed(tiny_program(tmp_path, f"raise pulumi.RunError('{report}')"))
        assert (code, out, err) == (1, "", "Pulumi.test.yaml is not valid:\n  tiny:size: missing\n")

    def test_an_unknown_stack_is_an_error_of_the_settings(self, tmp_path: Path, printed: Printed):
        code, out, err = printed(tiny_program(tmp_path), "--stack", "nowhere")
        assert (code, out) == (1, "")
        assert "Stacks with a file: test." in err

    @pytest.mark.parametrize("arguments", [["--format", "xml"], ["--colour"], ["extra"]])
    def test_a_wrong_command_line_is_not_a_bug(self, tmp_path: Path, printed: Printed, arguments: list[str]):
        code, out, err = printed(tiny_program(tmp_path), *arguments)
        assert (code, out) == (1, "")
        assert "usage: make plan [STACK=prod]" in err

    @pytest.mark.parametrize(
        ("line", "message"),
        [("1 // 0", "ZeroDivisionError"), ("[aws.s3.Bucket('a'), aws.s3.Bucket('a')]", "registered twice")],
    )
    def test_a_bug_is_printed_with_a_traceback_and_where_to_report_it(
        self, tmp_path: Path, printed: Printed, line: str, message: str
    ):
        code, out, err = printed(tiny_program(tmp_path, line))
        assert (code, out) == (2, "")
        assert "Traceback (most recent call last)" in err
        assert message in err
        assert "Please report it in the project's issue tracker" in err

    def test_the_help_lists_options_and_exit_codes(self, tmp_path: Path, printed: Printed):
        code, out, _ = printed(tiny_program(tmp_path), "--help")
        assert code == 0
        for word in ("--stack", "--base", "--format", "text|markdown|json", "exit codes", "docs/plan.md"):
            assert word in out

    def test_the_process_exits_with_the_code_and_a_closed_pipe_is_not_an_error(self, tmp_path: Path):
        tiny_program(tmp_path, *(f"aws.ec2.Eip('address-{number}')" for number in range(9)))
        command = [sys.executable, "-m", "plan", "--root", str(tmp_path), "--stack", "test"]
        cut = subprocess.run(
            ["/bin/sh", "-c", f"{' '.join(command)} | true"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (cut.returncode, cut.stderr) == (0, "")
        missing = subprocess.run([*command[:-1], "x"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert missing.returncode == 1


def test_a_stacks_name_may_include_its_organization_and_project(tmp_path: Path, printed: Printed):
    assert printed(tiny_program(tmp_path), "--stack", "acme/tiny/test")[0] == 0


def test_requirements_that_are_not_locked_fail_the_plan(tmp_path: Path, printed: Printed):
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if not name.startswith(("tests/", "lab/", "bench/", "docs/")) and (REPOSITORY / name).is_file():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, target)
    with (tmp_path / "airflow-requirements.txt").open("a") as requirements:
        requirements.write("pandas\n")
    code, out, err = printed(TinyProgram(tmp_path), "--stack", "prod")
    assert (code, out) == (1, "")
    assert "The lock does not match airflow.in and airflow-requirements.txt" in err
    assert "Run `make lock`" in err
