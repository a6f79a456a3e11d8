"""`make node-image`, with moto in place of AWS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

import node_image
from aws_catalog.debian_images import IMAGE_OWNER, latest_image_parameter
from aws_catalog.instance_types import Architecture
from tests.stack_file import ROOT

REGION = "eu-west-1"
OLD, NEW = "ami-0123456789abcdef0", "ami-0fedcba9876543210"
DATED = {"amd64": "debian-13-amd64-20251117-2299", "arm64": "debian-13-arm64-20251117-2299"}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def published(architecture: Architecture) -> str:
    """Add an image as if Debian had published it; returns its id. The parameter is set in moto's internal state."""
    registered = boto3.client("ec2", REGION).register_image(Name=DATED[architecture], RootDeviceName="/dev/xvda")
    image = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].amis[registered["ImageId"]]
    image.owner_id = IMAGE_OWNER
    image.creation_date = datetime.now(UTC) - timedelta(days=9, hours=1)
    name = latest_image_parameter(architecture)
    boto3.client("ssm", REGION).put_parameter(Name="ours", Value=image.id, Type="String", Overwrite=True)
    parameters = ssm_backends[DEFAULT_ACCOUNT_ID][REGION]._parameters
    parameter = parameters.pop("ours")[-1]
    parameter.name = name
    parameters[name] = [parameter]
    return image.id


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def pin(checkout: Path, stack: str = "prod") -> int:
    return node_image.main(["--root", str(checkout), "--stack", stack])


def test_the_newest_image_is_pinned_and_nothing_else_changes(checkout: Path, capsys: pytest.CaptureFixture[str]):
    image, file = published("amd64"), checkout / "Pulumi.prod.yaml"
    before = file.read_text()
    assert pin(checkout) == 0
    after = file.read_text()
    assert yaml.safe_load(after)["config"]["airflow:nodeImage"] == {"amd64": image}
    assert after == before.replace("airflow:nodeImage: {}\n", f"airflow:nodeImage:\n    amd64: {image}\n")
    said = capsys.readouterr().out
    assert "not pinned" in said, "old"
    assert f"{image} (debian-13-amd64-20251117-2299, 9 days old)" in said, "and new, with its name and age"
    assert "masters, pool default, pool heavy" in said, "what rolls"
    assert "pulumi up --stack prod" in said


def test_the_old_image_is_shown_next_to_the_newest(checkout: Path, capsys: pytest.CaptureFixture[str]):
    first = published("amd64")
    pin(checkout)
    capsys.readouterr()
    second = published("amd64")
    assert pin(checkout) == 0
    said = capsys.readouterr().out
    assert said.index(f"now:    {first} (debian-13-amd64") < said.index(f"newest: {second} (debian-13-amd64")
    assert yaml.safe_load((checkout / "Pulumi.prod.yaml").read_text())["config"]["airflow:nodeImage"] == {
        "amd64": second
    }


def test_a_stack_that_pins_the_newest_is_not_changed(checkout: Path, capsys: pytest.CaptureFixture[str]):
    published("amd64")
    pin(checkout)
    before = (checkout / "Pulumi.prod.yaml").stat().st_mtime_ns
    capsys.readouterr()
    assert pin(checkout) == 0
    assert "already pins the newest" in capsys.readouterr().out
    assert (checkout / "Pulumi.prod.yaml").stat().st_mtime_ns == before


def test_an_image_that_aws_no_longer_has_can_be_replaced(checkout: Path, capsys: pytest.CaptureFixture[str]):
    file = checkout / "Pulumi.prod.yaml"
    file.write_text(node_image.with_images(file.read_text(), {"amd64": OLD}))
    image = published("amd64")
    assert pin(checkout) == 0
    assert f"{OLD} (no longer in this region)" in capsys.readouterr().out
    assert image in file.read_text()


def our_image() -> str:
    """The id of an image of the account itself."""
    return boto3.client("ec2", REGION).register_image(Name="our-debian-with-nvidia-driver")["ImageId"]


def test_an_image_that_is_not_debians_is_not_overwritten(checkout: Path, capsys: pytest.CaptureFixture[str]):
    published("amd64")
    ours, file = our_image(), checkout / "Pulumi.prod.yaml"
    file.write_text(node_image.with_images(file.read_text(), {"amd64": ours}))
    before = file.read_text()
    assert pin(checkout) == 1
    said = capsys.readouterr().err
    assert f"{ours} (our-debian-with-nvidia-driver, 0 days old)" in said
    assert DEFAULT_ACCOUNT_ID in said, "whose it is"
    assert "remove airflow:nodeImage.amd64" in said
    assert file.read_text() == before


def test_an_image_that_is_not_debians_does_not_keep_another_architecture_from_the_newest(
    checkout: Path, capsys: pytest.CaptureFixture[str]
):
    published("amd64")
    ours, newest, file = our_image(), published("arm64"), checkout / "Pulumi.prod.yaml"
    text = file.read_text().replace("[r7i.xlarge, r7a.xlarge, r6i.xlarge]", "[r7g.xlarge, r6g.xlarge]")
    file.write_text(node_image.with_images(text, {"amd64": ours}))
    assert pin(checkout) == 0
    assert yaml.safe_load(file.read_text())["config"]["airflow:nodeImage"] == {"amd64": ours, "arm64": newest}
    said = capsys.readouterr().out
    assert "remove airflow:nodeImage.amd64" in said
    assert "these nodes: pool heavy.\n" in said
    assert pin(checkout) == 0


def test_every_architecture_of_the_stack_is_pinned_and_only_replaced_nodes_are_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
):
    file = checkout / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("[r7i.xlarge, r7a.xlarge, r6i.xlarge]", "[r7g.xlarge, r6g.xlarge]"))
    published("amd64")
    images = {"arm64": published("arm64")}
    pin(checkout)
    images["amd64"] = published("amd64")
    capsys.readouterr()
    assert pin(checkout) == 0
    assert yaml.safe_load(file.read_text())["config"]["airflow:nodeImage"] == images
    assert "these nodes: masters, pool default.\n" in capsys.readouterr().out


SHEET = "config:\n  aws:region: eu-west-1 # here\n  airflow:web:\n    allowedCidrs: [10.0.0.0/8] # us\n"
SALT = "encryptionsalt: v1:abc=\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SHEET, f"{SHEET}  airflow:nodeImage:\n    amd64: {NEW}\n"),
        (f"{SALT}{SHEET}", f"{SALT}{SHEET}  airflow:nodeImage:\n    amd64: {NEW}\n"),
        (f"{SHEET}\n# the end\n{SALT}", f"{SHEET}  airflow:nodeImage:\n    amd64: {NEW}\n\n# the end\n{SALT}"),
        (SHEET.rstrip("\n"), f"{SHEET}  airflow:nodeImage:\n    amd64: {NEW}"),
        (
            f"{SHEET}  airflow:nodeImage: {{}} # why\n{SALT}",
            f"{SHEET}  airflow:nodeImage:\n    amd64: {NEW} # why\n{SALT}",
        ),
        (
            f"{SHEET}  airflow:nodeImage:\n    amd64: '{OLD}' # May\n",
            f"{SHEET}  airflow:nodeImage:\n    amd64: {NEW} # May\n",
        ),
        (
            f"{SHEET}  airflow:nodeImage:\n    # Graviton\n    arm64: {OLD} # May\n{SALT}",
            f"{SHEET}  airflow:nodeImage:\n    # Graviton\n    arm64: {OLD} # May\n    amd64: {NEW}\n{SALT}",
        ),
        (
            f"{SHEET}  airflow:nodeImage: {{arm64: {OLD}}}\n",
            f"{SHEET}  airflow:nodeImage: {{arm64: {OLD}, amd64: {NEW}}}\n",
        ),
        (f"{SHEET}  nodeImage:\n    amd64: {OLD}\n", f"{SHEET}  nodeImage:\n    amd64: {NEW}\n"),
    ],
    ids=["absent", "salt-first", "salt-last", "no-last-newline", "empty", "quoted", "other", "in-braces", "short-key"],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_stack_file_is_changed_in_one_place(before: str, after: str, newline: str):
    images: dict[Architecture, str] = {"amd64": NEW}
    assert node_image.with_images(before.replace("\n", newline), images) == after.replace("\n", newline)


def test_a_stack_file_that_cannot_be_changed_in_one_place_is_not_changed():
    shared = f"config:\n  airflow:nodeImage: &images\n    amd64: {OLD}\n  airflow:other: *images\n"
    with pytest.raises(node_image.NodeImageError, match=f"by hand:\n  airflow:nodeImage:\n    amd64: {NEW}"):
        node_image.with_images(shared, {"amd64": NEW})


def test_a_region_without_the_image_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]):
    before = (checkout / "Pulumi.prod.yaml").read_text()
    assert pin(checkout) == 1
    said = capsys.readouterr().err
    assert "/aws/service/debian/release/13/latest/amd64 in eu-west-1" in said
    assert (checkout / "Pulumi.prod.yaml").read_text() == before


def test_missing_credentials_are_reported_with_what_to_do(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert pin(checkout) == 1
    assert "AWS_PROFILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "ssm:GetParameters and ec2:DescribeImages"),
        ("ExpiredTokenException", "the credentials are current"),
        ("UnrecognizedClientException", "the region is enabled"),
    ],
)
def test_an_error_of_aws_is_reported_with_what_to_do(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: str, advice: str
):
    def refuse(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetParameters")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    assert pin(checkout) == 1
    said = capsys.readouterr().err
    assert advice in said
    assert "Traceback" not in said


def test_a_fault_in_the_stack_file_is_reported_as_by_the_program(checkout: Path, capsys: pytest.CaptureFixture[str]):
    file = checkout / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("count: 2", "count: many"))
    assert pin(checkout) == 1
    assert "airflow:masters.count" in capsys.readouterr().err
    assert pin(checkout, "staging") == 1
    assert "Stacks with a file: dev, prod" in capsys.readouterr().err
