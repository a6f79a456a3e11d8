"""`python -m preflight`: its output, its exit codes, and a run against moto as an operator would start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from moto.server import ThreadedMotoServer

from preflight import __main__ as command
from tests.preflight.conftest import Preflight, plan_of
from tests.preflight.recorded_aws import CALLER, evaluated, image
from tests.stack_file import ROOT

Preflights = Callable[..., Preflight]


@pytest.fixture(autouse=True)
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording that the other tests share, instead of another run of the program."""
    monkeypatch.setattr(command, "planned", plan_of)


def test_a_suitable_account_exits_with_0(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    preflight()
    assert command.main([]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "Stack prod: account 111122223333, region eu-west-1"
    assert lines[2] == f"pass        account: {CALLER} in eu-west-1"
    assert lines[-1].endswith(" pass, 0 will fail, 0 cannot tell. Nothing that was checked will fail.")
    assert "[1/20] permissions of the caller ... 1 pass\n" in printed.err


def test_what_will_fail_comes_first_then_what_is_undecided(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    preflight(ec2__DescribeImages=image(State="failed"), ec2__DescribeVpcs="UnauthorizedOperation")
    assert command.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("will fail   node images: ami-")
    assert lines[3].startswith("cannot tell quotas: network: the credentials may not ec2:DescribeVpcs")
    assert lines[-1].endswith("1 will fail, 1 cannot tell. `pulumi up` will fail.")


def test_undecided_checks_alone_exit_with_0(preflight: Preflights):
    preflight(ec2__DescribeVpcs="UnauthorizedOperation")
    assert command.main([]) == 0


def test_the_same_as_json(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    preflight(ec2__DescribeImages=image(State="failed"))
    assert command.main(["--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"version", "stack", "account", "region", "summary", "findings"}
    assert document["summary"]["will fail"] == 1
    assert document["findings"][0] == {
        "check": "node images",
        "verdict": "will fail",
        "text": "ami-0123456789abcdef0 (debian-13-amd64-20251117-2299) is failed: pin another one with `make "
        "node-image`.",
    }


def test_in_another_account_nothing_else_is_asked(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    other = {"Account": "999988887777", "Arn": "arn:aws:iam::999988887777:user/bob", "UserId": "AIDA"}
    prepared = preflight(sts__GetCallerIdentity=other)
    assert command.main([]) == 1
    printed = capsys.readouterr().out
    assert "the credentials are for account 999988887777" in printed
    assert "111122223333: use another profile (AWS_PROFILE)" in printed
    assert prepared.aws.asked == [("sts", "GetCallerIdentity")]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("ExpiredToken", "The credentials have expired. Provide credentials as for `pulumi up`"),
        ("InvalidClientTokenId", "a region that is not enabled for the account gives the same answer"),
        (NoCredentialsError(), "Unable to locate credentials. Provide credentials as for `pulumi up`"),
        (EndpointConnectionError(endpoint_url="https://sts"), "no answer from sts in eu-west-1"),
    ],
)
def test_without_credentials_that_work_nothing_is_checked(
    preflight: Preflights, capsys: pytest.CaptureFixture[str], problem: str | Exception, said: str
):
    def answer(_: object) -> str:
        if isinstance(problem, Exception):
            raise problem
        return problem

    preflight(sts__GetCallerIdentity=answer)
    assert command.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_credentials_that_expire_meanwhile_end_the_run(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    preflight(ec2__DescribeVpcs="RequestExpired")
    assert command.main([]) == 2
    assert "have expired" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--stack", "nowhere"], ["--what"]])
def test_a_wrong_command_line_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    monkeypatch.undo()
    try:
        code = command.main(arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_reported_as_one(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    preflight(iam__SimulatePrincipalPolicy=lambda _: {"EvaluationResults": [{}]})
    assert command.main([]) == 2
    assert "Please report it" in capsys.readouterr().err


def test_the_simulation_of_a_denied_action_names_it_once(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    denied = {"ec2:CreateTags": {"EvalDecision": "implicitDeny"}}
    preflight(iam__SimulatePrincipalPolicy=lambda given: evaluated(given, denied))
    assert command.main([]) == 1
    assert capsys.readouterr().out.count("ec2:CreateTags") == 1


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def assumed(endpoint: str, account: str) -> dict[str, str]:
    """The environment of an operator who has assumed a role in the account."""
    first = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}
    role = f"arn:aws:iam::{account}:role/deployer"
    sts = boto3.client("sts", endpoint_url=endpoint, **first)
    given = sts.assume_role(RoleArn=role, RoleSessionName="alice")["Credentials"]
    keys = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="eu-west-1", **keys)
    iam.create_role(RoleName="deployer", AssumeRolePolicyDocument="{}")
    buckets = boto3.client("s3", endpoint_url=endpoint, region_name="eu-west-1", **keys)
    here = {"LocationConstraint": "eu-west-1"}
    buckets.create_bucket(Bucket=f"airflow-dev-{account}-eu-west-1-dags", CreateBucketConfiguration=here)
    secrets = boto3.client("secretsmanager", endpoint_url=endpoint, region_name="eu-west-1", **keys)
    secrets.create_secret(Name="airflow-dev/fernet-key", SecretString="x")
    secrets.delete_secret(SecretId="airflow-dev/fernet-key", RecoveryWindowInDays=7)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return environment | {"AWS_ENDPOINT_URL": endpoint, **{name.upper(): value for name, value in keys.items()}}


def test_an_operator_sees_what_another_stack_left_behind(moto: str):
    run = subprocess.run(
        [sys.executable, "-m", "preflight", "--stack", "dev", "--json"],
        cwd=ROOT,
        env=assumed(moto, "111122223333"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    document = json.loads(run.stdout)
    failing = [each["text"] for each in document["findings"] if each["verdict"] == "will fail"]
    assert any("airflow-dev/fernet-key is scheduled for deletion" in text for text in failing), failing
    assert any("airflow-dev-111122223333-eu-west-1-dags (buckets) exists" in text for text in failing), failing
    passing = {each["check"] for each in document["findings"] if each["verdict"] == "pass"}
    assert {"account", "names", "zones", "instance types", "quotas: network"} <= passing
    assert "[20/20] endpoint services" in run.stderr
