"""Programs run from their files, with their own modules and stack file, and leave nothing behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pulumi
import pytest

from engine import program
from engine.program import run_program
from engine.stack_config import StackFileError
from tests.support.tiny_program import tiny_program

BUCKET = "aws:s3/bucket:Bucket"


def test_the_stack_file_of_the_given_stack_is_used(tmp_path: Path):
    program = tiny_program(tmp_path, "pulumi.export('size', pulumi.Config('tiny').require_int('size'))")
    program.write("Pulumi.small.yaml", "config: {tiny:size: 1}").write("Pulumi.large.yaml", "config: {size: 9}")
    assert run_program("small", root=tmp_path).exports == {"size": 1}
    assert run_program("large", root=tmp_path).exports == {"size": 9}, (
        "a key without a namespace belongs to the project"
    )


def test_a_program_imports_its_own_modules_even_if_others_have_the_same_names(tmp_path: Path):
    for name in ("one", "two"):
        program = tiny_program(tmp_path / name, "import settings", "pulumi.export('from', settings.WHO)")
        program.write("settings.py", f"WHO = '{name}'")
    import settings as ours

    assert [run_program("test", root=tmp_path / name).exports["from"] for name in ("one", "two")] == ["one", "two"]
    assert sys.modules["settings"] is ours


def test_a_program_does_not_fall_back_to_this_checkouts_modules(tmp_path: Path):
    tiny_program(tmp_path, "import components.network")
    with pytest.raises(ModuleNotFoundError, match="components"):
        run_program("test", root=tmp_path)


def test_the_state_of_a_programs_modules_does_not_reach_the_next_run(tmp_path: Path):
    program = tiny_program(
        tmp_path, "import counter", "counter.runs.append(1)", "pulumi.export('n', len(counter.runs))"
    )
    program.write("counter.py", "runs = []")
    assert run_program("test", root=tmp_path).exports == {"n": 1}
    assert run_program("test", root=tmp_path).exports == {"n": 1}


def test_modules_that_the_caller_has_loaded_stay_the_same_objects():
    from settings import SettingsError

    run_program("prod")
    import settings

    assert settings.SettingsError is SettingsError, (
        "otherwise `except SettingsError` would not catch the program's error"
    )


def test_the_program_runs_in_its_own_folder_and_the_caller_keeps_its_own(tmp_path: Path):
    before = Path.cwd()
    tiny_program(tmp_path, "from pathlib import Path", "pulumi.export('text', Path('note').read_text())").write(
        "note", "x"
    )
    assert run_program("test", root=tmp_path).exports == {"text": "x"}
    assert Path.cwd() == before
    assert str(tmp_path) not in sys.path


def test_a_components_class_stays_loaded_until_its_last_child_is_registered(tmp_path: Path):
    tiny_program(tmp_path, "from parts import Part", "Part('part')").write(
        "parts.py",
        """
        from __future__ import annotations
        import pulumi
        import pulumi_aws as aws

        class Part(pulumi.ComponentResource):
            arn: pulumi.Output[str]

            def __init__(self, name: str) -> None:
                super().__init__("tiny:test:Part", name)
                bucket = aws.s3.Bucket("logs", opts=pulumi.ResourceOptions(parent=self))
                self.arn = bucket.arn
                self.register_outputs({"arn": self.arn})
        """,
    )
    assert len(run_program("test", root=tmp_path).resources) == 2


def test_an_error_of_the_settings_is_raised_unchanged(tmp_path: Path):
    tiny_program(tmp_path, "raise pulumi.RunError('tiny:size is missing')")
    with pytest.raises(pulumi.RunError, match="tiny:size is missing"):
        run_program("test", root=tmp_path)


def test_account_and_region_come_from_the_stack_file(tmp_path: Path):
    program = tiny_program(tmp_path, "pulumi.export('arn', aws.cloudwatch.LogGroup('late', name='late').arn)")
    program.write("Pulumi.far.yaml", 'config: {aws:region: ap-south-1, aws:allowedAccountIds: ["999988887777"]}')
    assert run_program("far", root=tmp_path).exports == {"arn": "arn:aws:logs:ap-south-1:999988887777:log-group:late"}


def test_the_error_for_a_missing_stack_file_lists_the_existing_ones(tmp_path: Path):
    tiny_program(tmp_path)
    with pytest.raises(StackFileError, match=r"no Pulumi.staging.yaml in .*Stacks with a file: test\."):
        run_program("staging", root=tmp_path)


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_several_stacks_run_in_one_process(stack: str):
    assert run_program(stack).resources == run_program(stack).resources


def test_a_run_does_not_change_the_environment(tmp_path: Path):
    before = dict(os.environ)
    tiny_program(tmp_path, "aws.s3.Bucket('logs')")
    assert run_program("test", root=tmp_path).only(BUCKET).name == "logs"
    assert dict(os.environ) == before
    assert program.REPOSITORY.name
