from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from node.roles import Role
from tests.node import node_root
from tests.node.programs import module, program_path

systemd = module("airflow_node.systemd")

WATCHED = [
    (Role.MASTER, "airflow-scaling.service"),
    (Role.MASTER, "airflow-lost-tasks.service"),
    (Role.MASTER, "airflow-health.service"),
    (Role.WORKER, "airflow-lifecycle.service"),
]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the shell commands that run in place of `systemctl`."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(commands: str) -> None:
        (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{commands}\n")
        (tmp_path / "systemctl").chmod(0o755)

    return put


def test_units_are_shown_in_the_order_in_which_they_were_named(systemctl: Callable[[str], None]):
    systemctl("printf 'Job=\\nId=b.service\\nActiveState=active\\n\\nId=a.service\\nActiveState=failed\\n'")
    shown = systemd.show("a.service", "b.service", properties=["ActiveState", "Job"])
    assert shown == ({"ActiveState": "failed", "Job": ""}, {"ActiveState": "active", "Job": ""})


def test_a_unit_that_is_not_shown_is_named(systemctl: Callable[[str], None]):
    systemctl("echo Id=b.service")
    with pytest.raises(systemd.SystemdError, match=r"does not show a\.service$"):
        systemd.show("a.service", "b.service", properties=["ActiveState"])


def test_a_failed_command_is_an_error_with_the_message_of_systemd(systemctl: Callable[[str], None]):
    systemctl("printf 'Failed to start: Transaction is\\ndestructive.\\n' >&2; exit 1")
    with pytest.raises(systemd.SystemdError, match=r"^Failed to start: Transaction is destructive\.$"):
        systemd.systemctl("start", "a.service")


def test_a_command_that_does_not_end_in_time_is_an_error(systemctl: Callable[[str], None]):
    systemctl("exec sleep 60")
    with pytest.raises(systemd.SystemdError, match="does not answer"):
        systemd.systemctl("start", "a.service", timeout_seconds=0.2)


def test_a_command_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def run(*_: object, **__: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(systemd.subprocess, "run", run)
    with pytest.raises(systemd.SystemdError, match="does not answer"):
        systemd.systemctl("start", "a.service")


def test_a_notification_is_sent_to_an_abstract_socket(monkeypatch: pytest.MonkeyPatch):
    name = f"notify-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.settimeout(10)
        systemd.notify("READY=1")
        assert channel.recv(100) == b"READY=1"


def test_nothing_is_sent_if_systemd_expects_no_notification(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")


@pytest.mark.parametrize(("role", "unit"), WATCHED)
def test_a_service_that_hangs_is_killed_and_logs_its_traceback(role: Role, unit: str, tmp_path: Path):
    settings = node_root.settings(node_root.build(tmp_path, role), unit)
    assert settings["Type"] == ["notify"]
    assert int(settings["WatchdogSec"][0]) > 0
    (limit,) = settings.get("TimeoutAbortSec") or settings["TimeoutStopSec"]
    assert int(limit) <= 20, "what takes no signal is killed soon"
    program = program_path(Path(settings["ExecStart"][0]).name)
    shebang = program.read_text().partition("\n")[0]
    assert shebang.endswith(" -Xfaulthandler"), "SIGABRT puts the traceback into the journal"
