"""The SDK that is loaded class by class is the SDK. Each test has a process of its own: an import happens once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from engine.program import REPOSITORY, run_program
from engine.record_file import read_recording
from plan.highlights import HIGHLIGHTS


def run(script: str, *arguments: str) -> str:
    program = "from engine.sdk_on_demand import load_on_demand\n" + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_the_program_is_recorded_as_with_the_usual_imports(stack: str, tmp_path: Path):
    out = tmp_path / "recording.json"
    command = [sys.executable, "-m", "engine", "--root", str(REPOSITORY), "--stack", stack, "--out", str(out)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    assert read_recording(out) == run_program(stack)


def test_only_what_is_touched_is_loaded():
    loaded = run("""
        import sys
        load_on_demand()
        import pulumi_aws as aws
        aws.ec2.Vpc
        print(*sorted(name for name in sys.modules if name.startswith("pulumi_aws.ec2.")))
    """)
    assert {name.rpartition(".")[2] for name in loaded.split()} == {"_enums", "_inputs", "outputs", "vpc"}


def test_every_class_declares_the_same_properties():
    """Compares, for each type the plan knows, what the SDK says of its inputs and outputs, nested types included."""
    script = """
        import sys
        if sys.argv[1] == "on demand":
            load_on_demand()
        import pulumi_aws as aws
        from pulumi import _types
        from typing import get_args

        def show(declared, seen=()):
            declared = _types.unwrap_type(declared)
            if isinstance(declared, type) and declared not in seen:
                read = (_types.input_type_types if _types.is_input_type(declared)
                        else _types.output_type_types if _types.is_output_type(declared) else None)
                inner = {k: show(v, (*seen, declared)) for k, v in read(declared).items()} if read else ""
                return f"{declared.__name__}{inner}"
            return [show(each, seen) for each in get_args(declared)] or str(declared)

        for token in sys.argv[2].split(","):
            service, name = token.split(":")[1].split("/")[0], token.rsplit(":", 1)[1]
            resource = getattr(getattr(aws, service), name)
            module = sys.modules[resource.__module__]
            arguments = getattr(module, name + "InitArgs", None) or getattr(module, name + "Args")
            print(token, show(arguments), {k: show(v) for k, v in _types.resource_types(resource).items()})
    """
    types = ",".join(sorted(type_ for type_ in HIGHLIGHTS if type_.startswith("aws:")))
    on_demand, usual = run(script, "on demand", types), run(script, "usual", types)
    assert "LaunchTemplateMetadataOptions" in usual
    assert on_demand == usual


@pytest.mark.parametrize(
    "line",
    [
        "from pulumi_aws.ec2 import Vpc, SubnetArgs",
        "import pulumi_aws.ec2; pulumi_aws.ec2.LaunchTemplateMetadataOptionsArgs(http_tokens='required')",
        "import pulumi_aws as aws; aws.ec2.outputs.LaunchTemplateMetadataOptions",
        "import pulumi_aws as aws; aws.ec2.get_ami",
        "import pulumi_aws as aws; aws.ec2.get_ami_output",
        "import pulumi_aws as aws; aws.ec2.InstanceType.T3_LARGE",
        "import pulumi_aws as aws; aws.ec2.LaunchTemplateMetadataOptionsArgsDict",
        "import pulumi_aws as aws; aws.s3.BucketObjectv2; aws.config.region; aws.Provider",
        "from pulumi_aws.s3 import *; Bucket",
    ],
)
def test_whatever_the_sdk_has_is_found(line: str):
    run(f"load_on_demand()\n{line}")


def test_a_name_that_the_sdk_does_not_have_is_missing_as_ever():
    assert "no attribute 'Vcp'" in run("""
        load_on_demand()
        import pulumi_aws as aws
        try:
            aws.ec2.Vcp
        except AttributeError as error:
            print(error)
    """)


def test_what_was_loaded_before_its_whole_package_stays_what_it_is():
    run("""
        load_on_demand()
        import pulumi_aws as aws
        vpc, block = aws.ec2.Vpc, aws.ec2.LaunchTemplateMetadataOptionsArgs
        aws.ec2.get_ami_ids_output  # is in a file of another name, so that the package is loaded whole
        import pulumi_aws.ec2.subnet
        assert aws.ec2.Vpc is vpc
        assert aws.ec2.LaunchTemplateMetadataOptionsArgs is block
        assert pulumi_aws.ec2.launch_template.LaunchTemplateMetadataOptionsArgs is block
    """)


def test_it_comes_too_late_once_the_sdk_is_imported():
    run("""
        import pulumi_aws as aws
        load_on_demand()
        assert aws.ec2.Vpc.__module__ == "pulumi_aws.ec2.vpc"
    """)
