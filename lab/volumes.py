"""The program's EBS volumes: files with loop devices, which a node sees while it has the volume attached."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

from engine.recording import Recording
from lab import host
from lab.aws.account import VOLUME
from lab.namespace import Namespace
from lab.progress import say

DIRECTORY = host.DISKS / "volumes"

# Prints the device's name and its number. The process that keeps it open ends with the lab's namespace, however the
# lab ends, and with it the device: `losetup --detach` takes effect when nothing has it open any more.
_MAKE = """
mkdir -p "${1%/*}"
truncate --size="$2" "$1"
device=$(losetup --find --show "$1")
exec 3<"$device"
sleep infinity >/dev/null 2>&1 &
losetup --detach "$device"
stat --format "%n %Hr:%Lr" "$device"
"""
# The name that Linux gives to the attachment on instances that are not of the Nitro system; a container has no NVMe
# devices of its own. systemd opens the device by the kernel's own name.
_ATTACH = """
mknod --mode=0660 "$2" b "${3%:*}" "${3#*:}"
ln -s "$2" "$1"
"""


class Volumes:
    """Connects volumes to nodes as their attachments in the account say. Their content stays until the lab ends."""

    def __init__(self, namespace: Namespace, recording: Recording, ec2: Any) -> None:
        self._namespace, self._ec2 = namespace, ec2
        self._sizes: dict[str, int] = {volume.id: volume.inputs["size"] for volume in recording.of_type(VOLUME)}
        self._devices: dict[str, list[str]] = {}
        self._connected: dict[str, str] = {}

    def connect(self, leaders: Mapping[str, int]) -> None:
        """Give each node the devices of its volumes. `leaders` are the nodes' init processes, by instance id."""
        if not self._sizes:
            return
        for volume in self._ec2.describe_volumes(VolumeIds=list(self._sizes))["Volumes"]:
            id_ = volume["VolumeId"]
            for attachment in volume["Attachments"]:
                instance = attachment["InstanceId"]
                if instance in leaders and id_ not in self._connected:
                    self._connected[id_] = instance
                    device = attachment["Device"].replace("/dev/sd", "/dev/xvd")
                    enter = ["nsenter", "--target", str(leaders[instance]), "--mount"]
                    add = ["sh", "-ec", _ATTACH, "sh", device, *self._device(id_)]
                    subprocess.run([*enter, *add], env=host.ENVIRONMENT, check=True)
                    say(f"{id_}: attached to {instance} as {device}")

    def release(self, instance: str) -> None:
        """Free the volumes of an instance whose node is gone; moto has detached them at the instance's termination."""
        for volume in [volume for volume, holder in self._connected.items() if holder == instance]:
            del self._connected[volume]

    def _device(self, volume: str) -> list[str]:
        """Make the volume's device, unless it is there, and return its name and its number."""
        if volume not in self._devices:
            size = f"{self._sizes[volume]}G"
            made = self._namespace.run("sh", "-ec", _MAKE, "sh", DIRECTORY / volume, size)
            self._devices[volume] = made.split()
        return self._devices[volume]
