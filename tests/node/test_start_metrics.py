from __future__ import annotations

import pytest

from tests.node.programs import load, module

start_metrics = load("start-metrics")
install_packages = load("install-packages")
systemd, apt = module("airflow_node.systemd"), module("airflow_node.apt")
boot_step = module("airflow_node.boot_step")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done on a node without the packages, in its order."""
    found: list[str] = []

    def systemctl(*arguments: str) -> str:
        found.append(" ".join(arguments))
        return ""

    def install(packages: list[str], *, idle: bool) -> None:
        found.append(f"install {' '.join(packages)}{' when idle' if idle else ''}")

    monkeypatch.setattr(systemd, "systemctl", systemctl)
    monkeypatch.setattr(apt, "missing", lambda packages: list(packages))
    monkeypatch.setattr(apt, "install", install)
    return found


def test_debians_own_units_never_start(done: list[str]):
    start_metrics.start()
    assert done == [
        "mask prometheus-node-exporter.service victoria-metrics.service",
        "install prometheus-node-exporter victoria-metrics when idle",
        "start --no-block airflow-metrics.target",
    ]


def test_after_a_reboot_nothing_is_installed_again(done: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(apt, "missing", lambda _packages: [])
    assert start_metrics.start() == "This node's metrics are delivered; installed for it: nothing"
    assert done == ["start --no-block airflow-metrics.target"]


def test_what_systemd_refuses_is_said_on_the_console(monkeypatch: pytest.MonkeyPatch, done: list[str]):
    def refuse(*_: str) -> str:
        raise systemd.SystemdError("Unit airflow-metrics.target not found")

    monkeypatch.setattr(systemd, "systemctl", refuse)
    with pytest.raises(boot_step.StepFailedError, match=r"airflow-metrics\.target not found"):
        start_metrics.start()
    assert done == []


def test_the_boot_starts_them_only_if_there_is_a_monitor(done: list[str], monkeypatch: pytest.MonkeyPatch):
    install_packages.step()
    assert done == []
    monkeypatch.setenv("NODE_METRICS_URL", "http://monitor:8428/api/v1/write")
    install_packages.step()
    assert done == ["start --no-block airflow-metrics.service"]


def test_a_boot_does_not_fail_because_of_metrics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def refuse(*_: str) -> str:
        raise systemd.SystemdError("systemd does not answer")

    monkeypatch.setattr(systemd, "systemctl", refuse)
    monkeypatch.setenv("NODE_METRICS_URL", "http://monitor:8428/api/v1/write")
    assert install_packages.step() == "No Debian package has to be installed"
    assert "airflow-metrics.service cannot be started: systemd does not answer" in capsys.readouterr().out


def test_masters_look_for_environments_to_build_only_if_a_pool_has_requirements(
    done: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NODE_POOL_LOCKS", "pool-locks")
    install_packages.step()
    assert done == ["start --no-block airflow-pool-environment.timer"]
