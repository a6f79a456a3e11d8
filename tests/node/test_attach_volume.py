"""The monitor's volume: attached once it is free, and never formatted twice."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node.programs import load, module

attach_volume = load("attach-volume")
aws_request = module("airflow_node.aws_request")
boot_step = module("airflow_node.boot_step")
retry = module("airflow_node.retry")

VOLUME, INSTANCE = "vol-0a1b2c3d4e5f60718", "i-0123456789abcdef0"
DESCRIBED = (
    f"<volumeSet><item><volumeId>{VOLUME}</volumeId><attachmentSet><volumeId>{VOLUME}</volumeId></attachmentSet>"
)

needs_ext4 = pytest.mark.skipif(not (shutil.which("mkfs.ext4") and shutil.which("blkid")), reason="no e2fsprogs here")


class Ec2:
    """EC2 with one volume, which appears as a device when it is attached, and the refusals that come before that."""

    def __init__(self, devices: Path, *refusals: Exception) -> None:
        self.devices, self.refusals, self.calls = devices, list(refusals), []
        self.described = DESCRIBED

    def call(self, action: str, **parameters: str) -> str:
        self.calls.append(action)
        if action == "DescribeVolumes":
            return self.described
        assert parameters == {"VolumeId": VOLUME, "InstanceId": INSTANCE, "Device": "/dev/sdf"}
        if self.refusals:
            raise self.refusals.pop(0)
        self.appear("xvdf")
        return "<attachVolumeResponse/>"

    def appear(self, name: str) -> Path:
        device = self.devices / name
        device.parent.mkdir(parents=True, exist_ok=True)
        with device.open("wb") as file:
            file.truncate(16 << 20)
        return device


@pytest.fixture
def ec2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ec2:
    fake = Ec2(tmp_path / "dev")
    fake.devices.mkdir()
    monkeypatch.setattr(attach_volume, "_call", fake.call)
    monkeypatch.setattr(retry, "wait", lambda _: None)
    return fake


def attach(ec2: Ec2) -> str:
    return attach_volume.attach(
        "airflow-prod-metrics", INSTANCE, devices=ec2.devices, link=ec2.devices.parent / "device"
    )


def refusal(code: str) -> Exception:
    return aws_request.AwsError(code, "", 400)


@needs_ext4
def test_a_new_volume_gets_a_file_system_and_the_next_node_finds_what_is_on_it(ec2: Ec2):
    assert "with a new file system" in attach(ec2)
    link = ec2.devices.parent / "device"
    assert link.resolve() == ec2.devices / "xvdf"
    before = link.read_bytes()
    assert "new file system" not in attach(ec2), "a reboot"
    assert link.read_bytes() == before
    assert ec2.calls.count("AttachVolume") == 1


@needs_ext4
def test_a_volume_that_the_node_before_still_has_is_waited_for(ec2: Ec2):
    ec2.refusals += [
        refusal("VolumeInUse"),
        refusal("IncorrectState"),
        refusal("RequestLimitExceeded"),
        OSError("reset"),
    ]
    attach(ec2)
    assert ec2.calls.count("AttachVolume") == 5


def test_a_refusal_that_no_retry_can_change_ends_the_step(ec2: Ec2):
    ec2.refusals.append(refusal("InvalidVolume.ZoneMismatch"))
    with pytest.raises(aws_request.AwsError):
        attach(ec2)


def test_a_nitro_instance_finds_the_device_by_the_volumes_id_whatever_its_name_is(ec2: Ec2):
    other = ec2.appear("nvme2n1")
    by_id = ec2.devices / "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0a1b2c3d4e5f60718"
    by_id.parent.mkdir(parents=True)
    by_id.symlink_to(other)
    assert attach_volume.find_device(VOLUME, ec2.devices) == other


@pytest.mark.parametrize(
    ("described", "said"), [("<volumeSet/>", "0 volumes"), (DESCRIBED.replace("0718<", "0719<", 1), "2 volumes")]
)
def test_a_name_that_is_not_that_of_exactly_one_volume_ends_the_step(ec2: Ec2, described: str, said: str):
    ec2.described = described
    with pytest.raises(boot_step.StepFailedError, match=said):
        attach(ec2)


def test_a_device_that_cannot_be_read_is_not_formatted(ec2: Ec2, monkeypatch: pytest.MonkeyPatch):
    device, ran = ec2.appear("xvdf"), []

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        ran.append(command[0])
        return subprocess.CompletedProcess(command, 4, "", "Input/output error")

    monkeypatch.setattr(attach_volume, "_run", run)
    with pytest.raises(boot_step.StepFailedError, match="Input/output error"):
        attach_volume.make_file_system(device)
    assert ran == ["blkid"]


def test_a_volume_without_a_device_ends_the_step(ec2: Ec2, monkeypatch: pytest.MonkeyPatch):
    seconds = iter(range(0, 10_000, 50))
    monkeypatch.setattr(retry, "clock", lambda: next(seconds))
    monkeypatch.setattr(ec2, "appear", lambda _: None)
    with pytest.raises(boot_step.StepFailedError, match="has no device"):
        attach(ec2)
