"""User data: the cloud-config that turns a plain Debian 13 image into a node of the cluster."""

from __future__ import annotations

import base64
import gzip
import json
import re
from functools import lru_cache

from node import systemd_dropins
from node.dag_bundles import KNOWN_HOSTS_FILE, known_hosts
from node.environment import ENVIRONMENT_FILE, NodeEnvironment
from node.roles import Role
from node.rootfs import files_for

# EC2 counts the bytes before base64:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
LIMIT_BYTES = 16_384

# cloud-init itself may hang, and then nothing below would ever start. So this timer is set first, long before its
# program has to run. Neither timer nor service has default dependencies: with them, both would wait for sysinit.target,
# which waits for cloud-init, which waits for systemd-run, which waits until the timer is active (--no-block does not
# apply to timers), and the boot would hang for ever. The command is python3 because systemd-run requires its command to
# exist, and cloud-init writes the program's file later. A node that cannot report its failure is powered off.
FIRST_BOOT_DEADLINE = (
    "cloud-init-per instance airflow-first-boot systemd-run --unit=airflow-first-boot --on-active=45min"
    " --timer-property=DefaultDependencies=no --property=DefaultDependencies=no"
    " --property=FailureAction=poweroff --property=EnvironmentFile=-/etc/airflow/airflow.env"
    " --property=StandardOutput=journal+console /usr/bin/python3 /usr/local/lib/airflow/report-failed-boot --deadline"
)

# cloud-init passes the instance's id to bootcmd. It is written at each boot, because the disk may be a copy of another
# instance's.
INSTANCE_FILE = "/etc/airflow/instance.env"
NOTE_INSTANCE = f'mkdir -p /etc/airflow && echo "NODE_INSTANCE_ID=$INSTANCE_ID" >{INSTANCE_FILE}'

# Debian 13 mounts a tmpfs of half of the memory at /tmp (tmp.mount). From the next boot on, /tmp is the directory
# underneath, on the disk. In this boot, that directory is mounted over the tmpfs: if the tmpfs were only unmounted,
# systemd would mount it again for the first service with a private /tmp (PrivateTmp=).
TMP_ON_DISK = (
    "systemctl --root=/ mask tmp.mount",
    "mount --bind / /mnt",
    "mount --bind /mnt/tmp /tmp",
    "umount /mnt",
)

# The commands that start a node from the written files. systemd loads new unit files on demand: a daemon-reload, which
# `enable` includes unless it has --root, would only run all generators again. Each step of the boot reports its own
# failure, so the last command does not wait.
STEPS = (
    *TMP_ON_DISK,
    "systemd-sysusers /etc/sysusers.d/airflow.conf",
    "systemd-tmpfiles --create /etc/tmpfiles.d/airflow.conf",
    "systemctl --root=/ enable airflow-node.target",
    "systemctl start --no-block airflow-node.target",
)
# Runs as soon as cloud-init has written the files, which it does in the same stage as bootcmd. runcmd would run in its
# last stage, after everything else in the image has started. It has no default dependencies, for the reason above.
START_NODE = (
    "cloud-init-per instance airflow-start systemd-run --no-block --unit=airflow-start --property=Type=oneshot"
    " --property=DefaultDependencies=no --property=After=cloud-init-network.service"
    " --property=OnFailure=airflow-boot-failed@airflow-start.service"
    f" /bin/sh -c '{' && '.join(STEPS)}'"
)


# Characters that JSON allows unescaped, but that YAML reads as line breaks or refuses.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class UserDataTooLarge(ValueError):  # noqa: N818 - says what happened, where it is caught
    """The packed user data is over EC2's limit."""

    def __init__(self, role: Role, size: int) -> None:
        self.size = size
        super().__init__(f"user data for {role} is {size:,} bytes gzipped; EC2 allows {LIMIT_BYTES:,}")


def user_data(environment: NodeEnvironment) -> str:
    """The launch template's user data: base64 of a gzipped cloud-config. Equal settings give equal bytes."""
    packed = _packed(cloud_config(environment))
    if len(packed) > LIMIT_BYTES:
        raise UserDataTooLarge(environment.role, len(packed))
    return base64.b64encode(packed).decode()


@lru_cache(maxsize=32)  # a run of the program needs each at least twice: to check its size, and in the launch template
def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def cloud_config(environment: NodeEnvironment) -> str:
    """The cloud-config, as JSON: cloud-init reads YAML, and JSON is a subset of it without ambiguous quoting."""
    document = {
        "bootcmd": [FIRST_BOOT_DEADLINE, NOTE_INSTANCE, START_NODE],
        "write_files": [
            {"permissions": f"{mode:04o}", "path": path, "content": content}
            for path, mode, content in _written_files(environment)
        ],
    }
    # Without indentation and spaces, because the size is limited; `decode` and the plan lay it out.
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return f"#cloud-config\n{_NOT_IN_YAML.sub(_escape, text)}\n"


def decode(packed: str) -> dict[str, str]:
    """The content of rendered user data: of each file by its path, and of each other key by its name."""
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
    for service in environment.role.definition.metered_services if environment.metrics_url else ():
        rendered[systemd_dropins.metrics_path(service)] = systemd_dropins.render_metrics(
            service, environment.service_variables()
        )
    if hosts := known_hosts(environment.dag_bundles):
        rendered[KNOWN_HOSTS_FILE] = hosts
    return sorted([*fixed, *((path, 0o644, content) for path, content in rendered.items())])
