from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.node import redis_server
from tests.node.metadata import Metadata
from tests.node.programs import load, module, program_path

scale_pools = load("scale-pools")
boot_step = module("airflow_node.boot_step")
scaling_log = module("scaling.decision_log")
scaling_metrics = module("scaling.metrics")

POOLS = {
    "default": {
        "group": "airflow-prod-pool-default",
        "queues": ["default"],
        "concurrency": 16,
        "idleSeconds": 180,
        "bootLeadSeconds": 180,
        "workersAhead": 8,
    }
}
SETTINGS = {
    "NODE_POOLS": json.dumps(POOLS),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://u:p@127.0.0.1:1/airflow",
    "AIRFLOW__CELERY__BROKER_URL": "redis://:p@127.0.0.1:1/0",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "NODE_GROUP": "airflow-prod-masters",
    "NODE_INSTANCE_ID": "i-0123456789abcdef0",
}


def start(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """The program as its unit starts it."""
    library = program_path("airflow_node").parent
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG", "AIRFLOW", "NODE_"))
    }
    own = {
        "PYTHONPATH": str(library),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    return subprocess.Popen(
        [sys.executable, str(program_path("scale-pools"))], env=variables | own | environment, stdout=log.open("w")
    )


def end(process: subprocess.Popen[bytes]) -> int:
    """Stop it as systemd does; returns its exit code. On a busy machine a process needs seconds to end."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(60)
    finally:
        process.kill()
        process.wait()


def test_the_service_is_ready_runs_passes_and_ends_on_sigterm(
    systemd: socket.socket, tmp_path: Path, metadata: Metadata, broker: redis_server.Server
):
    urls = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url,
        "AIRFLOW__CELERY__BROKER_URL": broker.url,
    }
    process = start(SETTINGS | urls, tmp_path / "log")
    heard = [systemd.recv(100), systemd.recv(100)]
    assert end(process) == 0
    assert heard == [b"READY=1", b"WATCHDOG=1"]
    assert '"event": "Auto Scaling failed"' in (tmp_path / "log").read_text(), (
        "there is none here, and the service continues"
    )


def test_the_service_ends_at_once_in_the_middle_of_a_pass(systemd: socket.socket, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql+psycopg2://u:p@127.0.0.1:{mute.getsockname()[1]}/airflow"
        process = start(SETTINGS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}, tmp_path / "log")
        assert systemd.recv(100) == b"READY=1"
        mute.settimeout(60)
        mute.accept()
        assert end(process) == 0
    assert "failed" not in (tmp_path / "log").read_text(), "it waited until the connection failed"


@pytest.mark.parametrize("name", ["NODE_POOLS", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__BROKER_URL"])
def test_a_setting_that_is_missing_is_named(name: str):
    with pytest.raises(boot_step.StepFailedError, match=f"^{name} is missing"):
        scale_pools.build(
            {key: value for key, value in SETTINGS.items() if key != name},
            scaling_log.ScalingLog(),
            scaling_metrics.ScalingMetrics(),
        )


def test_a_setting_that_is_wrong_is_named():
    for name, value in {"NODE_POOLS": "{", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://"}.items():
        with pytest.raises(boot_step.StepFailedError, match=name):
            scale_pools.build(SETTINGS | {name: value}, scaling_log.ScalingLog(), scaling_metrics.ScalingMetrics())


def test_an_error_in_a_pass_does_not_end_the_service(monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    metrics = scaling_metrics.ScalingMetrics()
    passes = iter([KeyError("surprise"), None])

    def run_pass() -> None:
        fault = next(passes, SystemExit(0))
        if fault is not None:
            raise fault

    monkeypatch.setattr(scale_pools.time, "sleep", lambda _: None)
    with pytest.raises(SystemExit):
        scale_pools.scale_for_ever(SimpleNamespace(run_pass=run_pass), scaling_log.ScalingLog(lines.append), metrics)
    assert len(lines) == 1
    assert "KeyError('surprise')" in lines[0]
    assert metrics.registry.get_sample_value("airflow_scaling_errors_total", {"what": "a pass"}) == 1


def test_passes_start_every_ten_seconds_however_long_they_take(monkeypatch: pytest.MonkeyPatch):
    now, starts = [0.0], []

    def run_pass() -> None:
        starts.append(now[0])
        if len(starts) == 4:
            raise SystemExit(0)
        now[0] += [3.0, 9.0, 25.0][len(starts) - 1]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(scale_pools, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    with pytest.raises(SystemExit):
        scale_pools.scale_for_ever(
            SimpleNamespace(run_pass=run_pass), scaling_log.ScalingLog(), scaling_metrics.ScalingMetrics()
        )
    assert starts == [0, 10, 20, 45]


def test_the_metrics_are_read_on_this_machine(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(scaling_metrics, "PORT", port)
    metrics = scaling_metrics.ScalingMetrics()
    metrics.show_unserved({"defualt": 2})
    metrics.serve()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert 'airflow_unserved_queue_tasks{queue="defualt"} 2.0' in answer.read().decode()
