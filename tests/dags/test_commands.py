from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import EndpointConnectionError

from dags import __main__ as commands
from dags.__main__ import main
from dags.check import Report
from dags.environment import lock_hash
from tests.dags.conftest import BUCKET, MakeFolder
from tests.stack_file import ROOT, changed

STACK_BUCKET = "airflow-prod-111122223333-eu-west-1-dags"

Run = Callable[..., str]


@pytest.fixture
def run(s3: Any, capsys: pytest.CaptureFixture[str]) -> Run:  # noqa: ARG001 - the bucket has to be there
    """Runs a command on the bucket; returns what it prints."""

    def run(*arguments: str, fails: bool = False) -> str:
        capsys.readouterr()
        assert main([*arguments, "--bucket", BUCKET]) == int(fails)
        captured = capsys.readouterr()
        return captured.err if fails else captured.out

    return run


def test_a_folder_is_published_listed_compared_and_rolled_back(run: Run, make_folder: MakeFolder):
    run("publish", str(make_folder("one", {"a.sql": "select 1\n", "gone.sql": "x\n"})))
    run("publish", str(make_folder("two", {"a.sql": "select 2\n", "logo": "\0"})))
    newest, oldest = run("list").splitlines()
    assert newest.startswith("    2  20")
    assert newest.endswith("  current")
    assert "arn:aws:sts::123456789012:user/moto" in newest
    assert run("diff", "previous").splitlines() == [
        "--- a/a.sql",
        "+++ b/a.sql",
        "@@ -1 +1 @@",
        "-select 1",
        "+select 2",
        "--- a/gone.sql",
        "+++ /dev/null",
        "@@ -1 +0,0 @@",
        "-x",
        "Binary or large file logo differs",
    ]
    back = run("diff", "current", "previous").splitlines()
    assert back[-5:-1] == ["--- /dev/null", "+++ b/gone.sql", "@@ -0,0 +1 @@", "+x"]
    run("rollback")
    assert oldest.split()[2] in run("list").splitlines()[0]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the check finds; test_check.py has the check itself."""
    found = list[str]()

    def check(*_: Any) -> Report:
        return Report(faults=tuple(found), advice=(), dags=1, seconds={"first.py": 0.5})

    monkeypatch.setattr(commands, "check", check)
    return found


def test_a_folder_with_faults_is_refused_before_anything_is_uploaded(
    run: Run, make_folder: MakeFolder, s3: Any, faults: list[str]
):
    faults += ["a.py cannot be imported: X", "the DAG id b is there twice"]
    folder = make_folder()
    said = f"{folder} has 2 faults:\n  a.py cannot be imported: X\n  the DAG id b is there twice\n"
    assert run("publish", str(folder), "--check", fails=True).endswith(said)
    assert run("check", str(folder), fails=True).endswith(said)
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_force_says_what_it_breaks_and_claims_no_check(
    run: Run, make_folder: MakeFolder, faults: list[str], capsys: pytest.CaptureFixture[str]
):
    faults.append("a.py cannot be imported: X")
    capsys.readouterr()
    assert main(["publish", str(make_folder()), "--force", "--bucket", BUCKET]) == 0
    said = capsys.readouterr().err
    assert said.index("a.py cannot be imported: X") < said.index("published nevertheless") < said.index("uploading")
    assert "checked  no" in run("show")


def test_a_release_records_the_lock_that_it_was_checked_with(run: Run, make_folder: MakeFolder, faults: list[str]):
    assert not faults
    run("publish", str(make_folder()), "--check")
    assert f"checked  with the lock {lock_hash()}" in run("show")


def test_what_others_publish_during_the_check_is_not_replaced(
    run: Run, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    def check(*_: Any) -> Report:
        run("publish", str(make_folder("other", {"other.py": ""})))
        return Report(faults=(), advice=(), dags=1, seconds={})

    monkeypatch.setattr(commands, "check", check)
    assert "Not published: meanwhile arn:aws:sts" in run("publish", str(make_folder()), "--check", fails=True)
    assert "other.py" in run("show")


def test_a_file_that_differs_in_no_line_is_named_nevertheless(run: Run, make_folder: MakeFolder):
    run("publish", str(folder := make_folder(files={"run.sh": "true"})))
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").touch()
    run("publish", str(folder))
    assert run("diff", "previous").splitlines() == ["Empty file empty differs", "File run.sh differs in its mode"]


def test_a_release_is_shown_with_its_files(run: Run, make_folder: MakeFolder):
    run("publish", str(make_folder(files={"sql/a.sql": "select 1"})))
    shown = run("show").splitlines()
    assert [line.split()[0] for line in shown[:5]] == ["release", "created", "commit", "checked", "files"]
    assert "checked  no" in shown
    assert [line.split()[1:] for line in shown[5:]] == [["47", "first.py"], ["8", "sql/a.sql"]]


def test_a_release_that_was_never_current_is_listed_too(run: Run, make_folder: MakeFolder, s3: Any):
    run("publish", str(make_folder()))
    s3.put_object(Bucket=BUCKET, Key=f"dags/releases/{'a' * 64}.tar.zst", Body=b"")
    s3.put_object(Bucket=BUCKET, Key=f"dags/releases/{'b' * 64}.json", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="dags/releases/notes.tar.zst", Body=b"")
    assert [line.split()[2] for line in run("list").splitlines()][1:] == ["a" * 12]


def test_a_bundle_without_releases_says_so(run: Run, capsys: pytest.CaptureFixture[str]):
    assert run("list", "--bundle", "team") == ""
    assert main(["list", "--bucket", BUCKET, "--bundle", "team"]) == 0
    assert capsys.readouterr().err == f"s3://{BUCKET}/team has no releases yet.\n"


def test_a_damaged_archive_is_told(run: Run, make_folder: MakeFolder, s3: Any):
    run("publish", str(make_folder()))
    version = run("show").split()[1]
    s3.put_object(Bucket=BUCKET, Key=f"dags/releases/{version}.tar.zst", Body=b"<html>")
    assert "cannot be unpacked" in run("diff", "current", fails=True)


def test_faults_of_a_folder_are_told_without_a_traceback(run: Run, tmp_path: Path):
    assert run("publish", str(tmp_path / "gone"), fails=True) == (
        f"{tmp_path / 'gone'} does not exist. Name the folder that contains the DAGs.\n"
    )


def test_a_stacks_bucket_is_named_by_its_file(aws: boto3.Session, make_folder: MakeFolder, tmp_path: Path):
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copy(path, tmp_path)
    aws.client("s3").create_bucket(Bucket=STACK_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert main(["publish", str(make_folder()), "--stack", "prod", "--root", str(tmp_path)]) == 0
    assert aws.client("s3").list_objects_v2(Bucket=STACK_BUCKET)["KeyCount"] == 3


@pytest.fixture
def teams(aws: boto3.Session, tmp_path: Path) -> Callable[..., int]:
    """Runs a command for a stack with two release bundles and one from Git."""
    git = {"repository": "https://git.example.com/legal/dags.git", "trackingRef": "main"}
    config = changed({"airflow:dagBundles": {"finance": {}, "sales": {}, "legal": {"git": git}}})
    (tmp_path / "Pulumi.teams.yaml").write_text(yaml.safe_dump({"config": config}))
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    aws.client("s3").create_bucket(Bucket=STACK_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return lambda *arguments: main([*arguments, "--stack", "teams", "--root", str(tmp_path)])


def test_two_teams_publish_and_roll_back_side_by_side(
    teams: Callable[..., int], aws: boto3.Session, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    for bundle, words in (("finance", "one"), ("sales", "two"), ("finance", "three")):
        assert teams("publish", str(make_folder(words, {f"{words}.sql": ""})), "--bundle", bundle) == 0
    assert teams("rollback", "--bundle", "finance") == 0
    capsys.readouterr()
    for bundle, words in (("finance", "one"), ("sales", "two")):
        assert teams("show", "--bundle", bundle) == 0
        assert f"{words}.sql" in capsys.readouterr().out
    keys = {found["Key"].split("/")[0] for found in aws.client("s3").list_objects_v2(Bucket=STACK_BUCKET)["Contents"]}
    assert keys == {"finance", "sales"}


def test_with_several_bundles_none_is_guessed(
    teams: Callable[..., int], aws: boto3.Session, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    assert teams("publish", str(make_folder())) == 1
    assert capsys.readouterr().err == (
        "The stack teams has several DAG bundles: name one with --bundle: finance, sales.\n"
    )
    assert aws.client("s3").list_objects_v2(Bucket=STACK_BUCKET)["KeyCount"] == 0


@pytest.mark.parametrize("command", ["publish", "list", "show", "rollback"])
def test_a_bundle_that_no_node_would_read_is_refused(
    teams: Callable[..., int], make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], command: str
):
    folder = [str(make_folder())] if command == "publish" else []
    assert teams(command, *folder, "--bundle", "dags") == 1
    said = capsys.readouterr().err
    assert said.startswith("The stack teams has no DAG bundle 'dags', so no node would read it.")
    assert said.endswith("finance, sales.\n")


@pytest.mark.parametrize("command", ["publish", "list", "show", "rollback"])
def test_a_bundle_from_git_is_refused(
    teams: Callable[..., int], make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], command: str
):
    folder = [str(make_folder())] if command == "publish" else []
    assert teams(command, *folder, "--bundle", "legal") == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "The bundle legal has no releases: its DAGs come from https://git.example.com/legal/dags.git."
    )


def test_a_stack_without_a_file_is_told(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "--stack", "nowhere"]) == 1
    assert "There is no Pulumi.nowhere.yaml" in capsys.readouterr().err


def test_a_machine_without_credentials_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert main(["list", "--bucket", BUCKET]) == 1
    assert capsys.readouterr().err.startswith("There are no AWS credentials (")
    monkeypatch.setenv("AWS_PROFILE", "gone")
    assert main(["list", "--bucket", BUCKET]) == 1
    assert "The config profile (gone) could not be found" in capsys.readouterr().err


def test_a_network_that_is_away_is_told(run: Run, s3: Any, monkeypatch: pytest.MonkeyPatch):
    def away(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    s3.list_objects_v2 = away
    monkeypatch.setattr(boto3, "client", lambda *_, **__: s3)
    assert run("list", fails=True).startswith("The request to AWS failed: Could not connect")


def test_a_refused_identity_is_told(run: Run, s3: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    folder, client = str(make_folder()), boto3.client

    def refuse(service: str, **options: Any) -> Any:
        if service == "s3":
            return client(service, **options)
        raise s3.exceptions.ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "GetCallerIdentity")

    monkeypatch.setattr(boto3, "client", refuse)
    assert "AWS does not accept the credentials" in run("publish", folder, fails=True)


def test_an_interrupted_command_leaves_no_traceback(monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(boto3, "client", interrupt)
    assert main(["list", "--bucket", BUCKET]) == 130
