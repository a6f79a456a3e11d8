"""The timers of nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.environment import ENVIRONMENT_FILE
from node.roles import Role
from tests.node import node_root
from tests.node.programs import load


@pytest.mark.parametrize("role", Role)
def test_no_timer_waits_for_a_service(roots: dict[Role, Path], role: Role):
    """Services wait for basic.target, which waits for all timers: systemd would break the cycle by dropping a job."""
    for timer in (roots[role] / node_root.UNITS).glob("*.timer"):
        assert not re.search(r"^After=.*\.service", timer.read_text(), re.MULTILINE), timer.name


def test_a_changed_password_is_used_within_two_minutes(roots: dict[Role, Path]):
    target = (roots[Role.MASTER] / node_root.UNITS / "airflow-node.target").read_text()
    assert re.search(r"^Wants=.*\bairflow-renew-secrets\.timer\b", target, re.MULTILINE)
    timer = (roots[Role.MASTER] / node_root.UNITS / "airflow-renew-secrets.timer").read_text()
    assert "OnCalendar=minutely" in timer
    assert "AccuracySec=1s" in timer, "systemd's default is a minute more"
    assert "RandomizedDelaySec=30s" in timer, "not all masters restart their services at once"
    settings = node_root.settings(roots[Role.MASTER], "airflow-renew-secrets.service")
    assert not {"Requires", "BindsTo", "PartOf"} & settings.keys(), (
        "it would be stopped by the restart that it asks for"
    )
    assert settings["Environment"] == ["HOME=/opt/airflow"], "libpq may not look for a client certificate in /root"
    assert "/opt/airflow/venv/.lock-sha256" in settings["ConditionPathExists"], "it would fail while the node boots"


@pytest.mark.parametrize("role", Role)
def test_a_node_shows_every_day_on_its_console_which_updates_it_lacks(roots: dict[Role, Path], role: Role):
    target = (roots[role] / node_root.UNITS / "airflow-node.target").read_text()
    assert re.search(r"^Wants=.*\bairflow-updates\.timer\b", target, re.MULTILINE)
    timer = (roots[role] / node_root.UNITS / "airflow-updates.timer").read_text()
    assert "OnCalendar=*-*-* 08:00" in timer
    settings = node_root.settings(roots[role], "airflow-updates.service")
    assert settings["StandardOutput"] == ["journal+console"], "there is no login to read the journal"
    assert settings["User"] == ["airflow"]


def test_masters_clean_the_database_every_night_when_they_have_nothing_else_to_do(roots: dict[Role, Path]):
    units = roots[Role.MASTER] / node_root.UNITS
    target = (units / "airflow-node.target").read_text()
    assert re.search(r"^Wants=.*\bairflow-cleanup\.timer\b", target, re.MULTILINE)
    timer = (units / "airflow-cleanup.timer").read_text()
    assert "OnCalendar=*-*-* 04:00" in timer
    assert "RandomizedDelaySec=2h" in timer
    settings = node_root.settings(roots[Role.MASTER], "airflow-cleanup.service")
    assert (settings["CPUSchedulingPolicy"], settings["IOSchedulingClass"]) == (["idle"], ["idle"])
    assert settings["User"] == ["airflow"]
    assert settings["EnvironmentFile"] == [ENVIRONMENT_FILE, "/run/airflow/secrets.env"], "no admin's secrets"
    assert settings["StandardOutput"] == ["journal+console"], "there is no login to read the journal"
    assert settings["KillSignal"] == ["SIGINT"], "Airflow tidies up after itself at no other signal"
    assert settings["TimeoutStartSec"] == ["75min"]
    program = load("clean-database")
    longest = program.RESULTS_SECONDS + 2 * 60 + program.METADATA_SECONDS + program.END_SECONDS
    assert longest < 75 * 60, "it ends by itself"
    assert not (roots[Role.WORKER] / node_root.UNITS / "airflow-cleanup.service").exists()


@pytest.mark.parametrize("role", Role)
def test_security_updates_are_installed_every_day_and_never_reboot_a_node(roots: dict[Role, Path], role: Role):
    """By a file that comes after Debian's own, 20auto-upgrades and 50unattended-upgrades."""
    given = (roots[role] / "etc/apt/apt.conf.d/60airflow").read_text()
    assert 'APT::Periodic::Update-Package-Lists "1";' in given
    assert 'APT::Periodic::Unattended-Upgrade "1";' in given
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in given
