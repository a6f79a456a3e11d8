from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import pytest

from tests.node.programs import module

service_health = module("health.verdict")
services_module = module("health.services")
STEADY, START = service_health.STEADY_SECONDS, service_health.START_SECONDS
AFTER_RESTART = service_health.STEADY_SECONDS_AFTER_RESTART
THRESHOLD = 30.0
HUNG = THRESHOLD * service_health.THRESHOLDS_UNTIL_RESTART
LOST = service_health.LOST_SECONDS
PERIOD = 5.0
AWAY = "the metadata database does not answer"


class _Master:
    """Two services whose signals a test stops, checked every five seconds."""

    def __init__(self) -> None:
        self.names = ("scheduler", "triggerer")
        services = [services_module.Service(name=name, threshold=THRESHOLD) for name in self.names]
        self.health = service_health.ServiceHealth(services)
        self.now = 1000.0
        self.units: dict[str, dict[str, Any]] = {
            name: {"active_state": "active", "since": self.now, "restarts": 0, "notified": 0.0} for name in self.names
        }
        self.silent: set[str] = set()
        self.signs: dict[str, Hashable] = {}
        self.obstacle: str | None = None
        self.restarted: list[tuple[str, float]] = []
        self.troubles: Mapping[str, str] = {}
        self.lost: Collection[str] = ()

    def live(self, seconds: float, *, step: float = PERIOD) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.signs |= {name: self.now for name in self.names if name not in self.silent}
            units = {name: service_health.Unit(**unit) for name, unit in self.units.items()}
            seen = {} if self.obstacle else self.signs
            verdict = self.health.look(self.now, units=units, signs=seen, obstacle=self.obstacle)
            self.troubles, self.lost = verdict.troubles, verdict.lost
            for name in verdict.hung:
                self.restarted.append((name, self.now))
                self.units[name]["since"] = self.now


@pytest.fixture
def master() -> _Master:
    """A master that has been running for a while."""
    found = _Master()
    found.live(60)
    assert not found.troubles
    return found


@pytest.mark.parametrize("silent", ["scheduler", "triggerer"])
def test_a_master_is_healthy_when_every_service_gives_its_signal(silent: str):
    master = _Master()
    master.silent.add(silent)
    master.live(STEADY + 60)
    assert master.troubles.keys() == {silent}
    assert "no signal since its start" in master.troubles[silent]
    master.silent.clear()
    master.live(2 * PERIOD)
    assert not master.troubles


def test_the_last_heartbeat_of_an_ended_process_is_no_signal():
    master = _Master()
    master.signs["scheduler"] = (1, "the last one before a reboot")
    master.silent.add("scheduler")
    master.live(STEADY + 10)
    assert master.troubles.keys() == {"scheduler"}


def test_a_service_that_has_just_started_does_not_count_yet():
    master = _Master()
    master.live(STEADY - PERIOD)
    assert master.troubles.keys() == set(master.names)


def test_a_service_in_a_restart_loop_is_not_healthy(master: _Master):
    for count in range(1, 12):
        master.units["triggerer"] |= {"active_state": "activating", "restarts": count}
        master.live(PERIOD)
        assert master.troubles.keys() == {"triggerer"}
        master.units["triggerer"] |= {"active_state": "active", "since": master.now}
        master.live(AFTER_RESTART - 2 * PERIOD)
        assert "after" in master.troubles["triggerer"], "its heartbeats are new each time"
    assert not master.restarted, "systemd does it"
    master.live(3 * PERIOD)
    assert not master.troubles


def test_a_late_heartbeat_is_reported_and_causes_no_restart(master: _Master):
    master.silent.add("scheduler")
    master.live(THRESHOLD + 2 * PERIOD)
    assert master.troubles.keys() == {"scheduler"}
    master.silent.clear()
    master.live(PERIOD)
    assert not master.troubles
    assert not master.restarted


def test_a_service_that_hangs_is_restarted_in_time(master: _Master):
    master.silent.add("scheduler")
    stopped = master.now
    master.live(HUNG + 60)
    [(name, at)] = master.restarted
    assert (name, at - stopped) == ("scheduler", pytest.approx(HUNG, abs=PERIOD))
    assert not master.troubles.keys() - {"scheduler"}


def test_a_restarted_service_gets_the_time_that_a_start_takes(master: _Master):
    master.silent.add("scheduler")
    master.live(HUNG + PERIOD)
    master.live(START - 3 * PERIOD)
    assert len(master.restarted) == 1
    master.live(4 * PERIOD)
    assert len(master.restarted) == 2


def test_nothing_is_restarted_during_an_outage_of_the_database_or_right_after(master: _Master):
    master.obstacle = AWAY
    master.silent = set(master.names)
    master.live(3600)
    assert all(AWAY in trouble for trouble in master.troubles.values())
    assert master.troubles.keys() == set(master.names)
    master.obstacle = None
    master.live(HUNG - 2 * PERIOD)
    assert not master.restarted, "they need a moment to reconnect"
    master.live(4 * PERIOD)
    assert {name for name, _ in master.restarted} == set(master.names), "they had the moment"


def test_a_flapping_database_causes_no_restart(master: _Master):
    master.silent = set(master.names)
    for _ in range(20):
        master.obstacle = AWAY
        master.live(PERIOD)
        master.obstacle = None
        master.live(HUNG - 2 * PERIOD)
    assert not master.restarted


def test_nothing_is_restarted_when_the_whole_machine_was_paused(master: _Master):
    master.silent = set(master.names)
    master.live(10 * HUNG, step=10 * HUNG)
    assert not master.restarted


def test_a_service_that_an_operator_has_stopped_stays_stopped(master: _Master):
    master.units["triggerer"]["active_state"] = "inactive"
    master.silent.add("triggerer")
    master.live(10 * HUNG)
    assert "inactive" in master.troubles["triggerer"]
    assert not master.restarted


def test_a_service_is_lost_when_restarts_do_not_help(master: _Master):
    master.silent.add("triggerer")
    master.live(LOST)
    assert len(master.restarted) > 1
    assert not master.lost
    master.live(THRESHOLD + 2 * PERIOD)
    assert master.lost == ["triggerer"]
    master.silent.clear()
    master.live(STEADY + 2 * PERIOD)
    assert not master.lost


def test_no_service_is_lost_to_an_outage_of_the_database(master: _Master):
    master.silent = set(master.names)
    master.obstacle = AWAY
    master.live(2 * LOST)
    master.obstacle = None
    master.live(LOST - 2 * PERIOD)
    assert not master.lost


def test_no_service_is_lost_that_an_operator_has_stopped(master: _Master):
    master.units["triggerer"]["active_state"] = "inactive"
    master.silent.add("triggerer")
    master.live(2 * LOST)
    assert not master.lost
