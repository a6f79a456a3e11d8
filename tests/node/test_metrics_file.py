from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge

from tests.node.programs import module

metrics_file = module("airflow_node.metrics_file")
MONITORED = {"NODE_METRICS_URL": "http://monitor:8428/api/v1/write"}


def _file(directory: Path, environment: dict[str, str] = MONITORED):
    return metrics_file.MetricsFile.of("scaling", environment, directory)


def test_another_user_can_read_the_present_values(tmp_path: Path):
    file = _file(tmp_path)
    Gauge("airflow_passes_seconds", "How long a pass takes", registry=file.registry).set(1.5)
    mask = os.umask(0o077)
    try:
        file.write()
    finally:
        os.umask(mask)
    [written] = tmp_path.glob("*/*.prom")
    assert written.stat().st_mode & 0o777 == 0o644, "the node exporter is another user"
    assert written.read_text().splitlines()[-2:] == [
        "# TYPE airflow_passes_seconds gauge",
        "airflow_passes_seconds 1.5",
    ]


def test_a_counter_is_one_series(tmp_path: Path):
    file = _file(tmp_path)
    Counter("airflow_passes", "Passes", registry=file.registry).inc()
    file.write()
    [written] = tmp_path.glob("*/*.prom")
    series = [line for line in written.read_text().splitlines() if not line.startswith("#")]
    assert series == ["airflow_passes_total 1.0"]


def test_without_a_monitor_nothing_is_written(tmp_path: Path):
    _file(tmp_path, {}).write()
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_keeps_its_age_and_stops_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = _file(tmp_path)
    file.write()
    [written] = tmp_path.glob("*/*.prom")
    os.utime(written, (1000, 1000))

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(metrics_file.files, "write", fail)
    file.write()
    assert written.stat().st_mtime == 1000
