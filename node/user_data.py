"""User data: the cloud-config that turns a plain Debian 13 image into a node of the cluster."""

from __future__ import annotations

import base64
import gzip
import json
import re

from node import systemd_dropins
from node.environment import ENVIRONMENT_FILE, NodeEnvironment
from node.roles import Role
from node.rootfs import files_for

# EC2 counts the bytes before base64:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
LIMIT_BYTES = 16_384

# cloud-init itself may hang, and then nothing below is ever started. So this timer is set before anything else, long
# before its program is due. Without default dependencies, timer and service alike: those wait for sysinit.target, which
# waits for cloud-init, while systemd-run waits for the timer to be started (--no-block is not for timers): a boot with
# them stands still here for ever. python3: systemd-run wants its program to exist, and cloud-init writes files later.
# A node that cannot even report itself is turned off.
FIRST_BOOT_DEADLINE = (
    "cloud-init-per instance airflow-first-boot systemd-run --unit=airflow-first-boot --on-active=45min"
    " --timer-property=DefaultDependencies=no --property=DefaultDependencies=no"
    " --property=FailureAction=poweroff --property=EnvironmentFile=-/etc/airflow/airflow.env"
    " --property=StandardOutput=journal+console /usr/bin/python3 /usr/local/lib/airflow/report-failed-boot --deadline"
)

# Which instance this is: cloud-init knows it when bootcmd runs. Written at each boot: an image may be made of a disk.
INSTANCE_FILE = "/etc/airflow/instance.env"
NOTE_INSTANCE = f'mkdir -p /etc/airflow && echo "NODE_INSTANCE_ID=$INSTANCE_ID" >{INSTANCE_FILE}'

# Debian 13 mounts a tmpfs of half of the memory at /tmp (tmp.mount). From the next boot on, /tmp is the directory that
# lies beneath, on the disk. In this boot that directory is mounted over the tmpfs: if /tmp were only unmounted, the
# first service with a /tmp of its own (PrivateTmp=) would have systemd mount the tmpfs again.
TMP_ON_DISK = (
    "systemctl --root=/ mask tmp.mount",
    "mount --bind / /mnt",
    "mount --bind /mnt/tmp /tmp",
    "umount /mnt",
)

# What makes a node of the written files. systemd reads unit files that are new to it when they are asked for: a
# daemon-reload, and an `enable` with one, would only run all generators again. Each step of the boot reports its own
# failure, so the last command does not wait.
STEPS = (
    *TMP_ON_DISK,
    "systemd-sysusers /etc/sysusers.d/airflow.conf",
    "systemd-tmpfiles --create /etc/tmpfiles.d/airflow.conf",
    "systemctl --root=/ enable airflow-node.target",
    "systemctl start --no-block airflow-node.target",
)
# As soon as the files are there: the same stage of cloud-init that runs bootcmd writes them. runcmd would be its last
# stage, when all else of the image has started. No dependency but this order: see above.
START_NODE = (
    "cloud-init-per instance airflow-start systemd-run --no-block --unit=airflow-start --property=Type=oneshot"
    " --property=DefaultDependencies=no --property=After=cloud-init-network.service"
    " --property=OnFailure=airflow-boot-failed@airflow-start.service"
    f" /bin/sh -c '{' && '.join(STEPS)}'"
)


# What JSON lets stand but YAML takes for a line break or refuses.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class UserDataTooLarge(ValueError):  # noqa: N818 - reads as a fact where it is caught
    """The packed user data is over EC2's limit."""

    def __init__(self, role: Role, size: int) -> None:
        self.size = size
        super().__init__(f"user data for {role} is {size:,} bytes gzipped; EC2 takes {LIMIT_BYTES:,}")


def user_data(environment: NodeEnvironment) -> str:
    """The launch template's user data: base64 of a gzipped cloud-config. Equal settings give equal bytes."""
    packed = gzip.compress(cloud_config(environment).encode(), compresslevel=9, mtime=0)
    if len(packed) > LIMIT_BYTES:
        raise UserDataTooLarge(environment.role, len(packed))
    return base64.b64encode(packed).decode()


def cloud_config(environment: NodeEnvironment) -> str:
    """The cloud-config, as JSON: cloud-init reads YAML, and JSON is the part of it that leaves no quoting to guess."""
    document = {
        "bootcmd": [FIRST_BOOT_DEADLINE, NOTE_INSTANCE, START_NODE],
        "write_files": [
            {"path": path, "permissions": f"{mode:04o}", "content": content}
            for path, mode, content in _written_files(environment)
        ],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return f"#cloud-config\n{_NOT_IN_YAML.sub(_escape, text)}\n"


def decode(packed: str) -> dict[str, str]:
    """What rendered user data holds: the content of each file by its path, and of each other key by its name."""
    document = json.loads(gzip.decompress(base64.b64decode(packed)).decode().removeprefix("#cloud-config\n"))
    files = {file["path"]: file["content"] for file in document.pop("write_files")}
    return files | {key: json.dumps(value, indent=1) for key, value in document.items()}


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def _written_files(environment: NodeEnvironment) -> list[tuple[str, int, str]]:
    fixed = [(file.path, file.mode, file.content.decode()) for file in files_for(environment.role) if file.in_user_data]
    rendered = {ENVIRONMENT_FILE: environment.render()}
    if environment.pool is not None:
        rendered[systemd_dropins.DROP_IN] = systemd_dropins.render(environment.pool.drain_limit_seconds)
    return sorted([*fixed, *((path, 0o644, content) for path, content in rendered.items())])
