"""Whether this master is ready, for `complete-launch`."""

from __future__ import annotations

from health import state_file


def is_ready() -> bool:
    """Whether all services work, according to a recent report."""
    return not state_file.read()


def describe() -> str:
    """What is wrong with the services, in sentences."""
    return " ".join(f"airflow-{service} {trouble}." for service, trouble in state_file.read().items())
