from __future__ import annotations

import os
import socket
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


def test_systemd_is_told_by_a_name_that_is_no_file(monkeypatch: pytest.MonkeyPatch):
    name = f"notify-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.settimeout(10)
        systemd.notify("READY=1")
        assert channel.recv(100) == b"READY=1"


def test_nobody_is_told_where_systemd_does_not_ask(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")


@pytest.mark.parametrize(("role", "unit"), WATCHED)
def test_a_service_that_hangs_is_ended_and_says_where_it_hung(role: Role, unit: str, tmp_path: Path):
    settings = node_root.settings(node_root.build(tmp_path, role), unit)
    assert settings["Type"] == ["notify"]
    assert int(settings["WatchdogSec"][0]) > 0
    (limit,) = settings.get("TimeoutAbortSec") or settings["TimeoutStopSec"]
    assert int(limit) <= 20, "what takes no signal is killed soon"
    program = program_path(Path(settings["ExecStart"][0]).name)
    shebang = program.read_text().partition("\n")[0]
    assert shebang.endswith(" -Xfaulthandler"), "SIGABRT puts the traceback into the journal"
