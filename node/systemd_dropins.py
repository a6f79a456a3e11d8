"""Drop-ins with what depends on the stack file in a unit: a worker's stop time-out, and Airflow's metrics."""

from __future__ import annotations

from collections.abc import Mapping

DROP_IN = "/etc/systemd/system/airflow-worker.service.d/20-drain-limit.conf"

# Tasks that reach the limit are ended and report it: systemd must not kill the worker before that.
MARGIN_SECONDS = 120


# vmagent's on the node: airflow-vmagent.service.
OTLP_ENDPOINT = "http://127.0.0.1:8429/opentelemetry/v1/metrics"
EXPORT_MILLISECONDS = 30_000


def metrics_path(service: str) -> str:
    """The drop-in that has one of Airflow's services send its metrics."""
    return f"/etc/systemd/system/airflow-{service}.service.d/20-metrics.conf"


def render_metrics(service: str, options: Mapping[str, str]) -> str:
    """Its text. `options`: variables of Airflow options; those of the node's environment file come before them."""
    variables = {
        **options,
        "OTEL_SERVICE_NAME": f"airflow-{service}",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": OTLP_ENDPOINT,
        "OTEL_METRIC_EXPORT_INTERVAL": str(EXPORT_MILLISECONDS),
    }
    lines = "".join(f"Environment={name}={value}\n" for name, value in variables.items())
    return f"# Rendered, because the stack has a monitor.\n[Service]\n{lines}"


def render(drain_limit_seconds: int) -> str:
    """The text of the drop-in with the stop time-out."""
    return (
        "# Rendered from the pool's drainLimitHours, and two minutes for what comes after the last task.\n"
        f"[Service]\nTimeoutStopSec={drain_limit_seconds + MARGIN_SECONDS}\n"
    )
