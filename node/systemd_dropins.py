"""The drop-in with the stop time-out of the worker's unit, the one setting of a unit that depends on the stack file."""

from __future__ import annotations

DROP_IN = "/etc/systemd/system/airflow-worker.service.d/20-drain-limit.conf"

# Tasks that reach the limit are ended and report it: systemd must not kill the worker before that.
MARGIN_SECONDS = 120


def render(drain_limit_seconds: int) -> str:
    """The drop-in's text."""
    return (
        "# Rendered from the pool's drainLimitHours, and two minutes for what comes after the last task.\n"
        f"[Service]\nTimeoutStopSec={drain_limit_seconds + MARGIN_SECONDS}\n"
    )
