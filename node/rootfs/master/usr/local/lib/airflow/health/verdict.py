"""Decides whether the services of a master work. Pure: observations are passed in.

Each service has a liveness signal: a value that changes as long as the service works, such as the time of a heartbeat.
Times are seconds of CLOCK_MONOTONIC, which systemd uses as well; the wall clock may be set.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from health.services import Service

# By Airflow's thresholds a service is unhealthy; after four times as long it is restarted. Airflow's Helm chart
# restarts after five failed checks, a minute apart: its scheduler.livenessProbe.
THRESHOLDS_UNTIL_RESTART = 4
# A process without a signal may still be starting, on a machine that starts others at the same time.
START_SECONDS = 600.0
# How long a unit must have been running to count as running: after its first start, and after a restart by systemd.
STEADY_SECONDS = 20.0
STEADY_SECONDS_AFTER_RESTART = 40.0
# A service that has not worked for this long, in spite of restarts, will not recover by itself.
LOST_SECONDS = 1800.0
# If more time passes between two checks, the whole machine was paused, and its services may have to recover.
GAP_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A service as systemd sees it.

    Attributes:
        since: when it became active.
        restarts: how often systemd has started it again after it ended by itself.
        notified: when it last notified systemd's watchdog.
    """

    active_state: str
    since: float
    restarts: int
    notified: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of one check.

    Attributes:
        troubles: what is wrong with a service, by its name. A service without an entry works.
        hung: the services that have to be restarted, and why.
        lost: the services for which restarts have not helped.
    """

    troubles: Mapping[str, str]
    hung: Mapping[str, str]
    lost: Collection[str]


@dataclass
class _Pulse:
    """The latest signal of a service, when it changed, and when the service last worked."""

    sign: Hashable = None
    changed: float = -math.inf
    well: float = -math.inf


class ServiceHealth:
    """Remembers each service's signal."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._pulses = {service.name: _Pulse() for service in services}
        self._sound_since: float | None = None
        self._last_look: float | None = None

    def look(
        self,
        now: float,
        *,
        units: Mapping[str, Unit],
        signs: Mapping[str, Hashable],
        obstacle: str | None,
    ) -> Verdict:
        """Check every service by its unit and its latest signal.

        `obstacle`: why services may not work, or their signals may not be visible, for example because the database
        does not respond. No service is restarted meanwhile, nor before it has had time to recover.
        """
        if self._last_look is not None and now - self._last_look > GAP_SECONDS:
            self._sound_since = None
        self._last_look = now
        if obstacle is not None:
            self._sound_since = None
        elif self._sound_since is None:
            self._sound_since = now
        troubles, hung = {}, {}
        for service in self._services:
            unit, pulse = units[service.name], self._pulses[service.name]
            sign = signs.get(service.name)
            if sign is not None and sign != pulse.sign:
                # The first signal that is seen may be the last one of a process that has ended.
                pulse.changed = now if pulse.sign is not None else -math.inf
                pulse.sign = sign
            trouble = _trouble(now, service, unit, pulse)
            # An operator has stopped it.
            if trouble is None or unit.active_state == "inactive":
                pulse.well = now
            if trouble is not None:
                troubles[service.name] = trouble if obstacle is None else f"{trouble}; {obstacle}"
            if self._sound_since is not None and (why := _hung(now, service, unit, pulse, self._sound_since)):
                hung[service.name] = why
        return Verdict(troubles=troubles, hung=hung, lost=self._lost(now))

    def _lost(self, now: float) -> list[str]:
        if self._sound_since is None:
            return []
        since = self._sound_since
        return [name for name, pulse in self._pulses.items() if now - max(pulse.well, since) >= LOST_SECONDS]


def _trouble(now: float, service: Service, unit: Unit, pulse: _Pulse) -> str | None:
    if unit.active_state != "active":
        return f"is {unit.active_state}, after {unit.restarts} restarts"
    up = now - unit.since
    if up < (STEADY_SECONDS_AFTER_RESTART if unit.restarts else STEADY_SECONDS):
        return f"has been running for {up:.0f} s only, after {unit.restarts} restarts"
    if pulse.changed <= unit.since:
        return f"has given no signal since its start {up:.0f} s ago"
    silent = now - pulse.changed
    return f"has given no signal for {silent:.0f} s" if silent > service.threshold else None


def _hung(now: float, service: Service, unit: Unit, pulse: _Pulse, sound_since: float) -> str | None:
    """Why the service has to be restarted; None if it need not."""
    if unit.active_state != "active":
        return None
    has_worked = pulse.changed > unit.since
    silent = now - max(unit.since, sound_since, pulse.changed)
    limit = service.threshold * THRESHOLDS_UNTIL_RESTART if has_worked else START_SECONDS
    if silent < limit:
        return None
    return f"no signal for {silent:.0f} s{'' if has_worked else ', none since its start'}"
