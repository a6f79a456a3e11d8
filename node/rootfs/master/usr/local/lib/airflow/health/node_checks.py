"""Checks of a master besides its services: what it depends on, and the machine. Only for the stack's monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import redis
from airflow_node import broker_client, log, server_certificate
from airflow_node.health_report import HealthReport
from airflow_node.metrics_file import MetricsFile
from airflow_node.resources import read_resources
from prometheus_client import Gauge

BROKER_TIMEOUT_SECONDS = 2.0
BROKER_PERIOD_SECONDS = 15.0
CERTIFICATE_PERIOD_SECONDS = 3600.0
# Tokens of tasks are valid from the second in which an api-server makes them.
MOST_CLOCK_SECONDS = 5.0
SECRETS = Path("/run/airflow/secrets.env")


class Broker:
    """The broker, and this node's clock compared with the broker's."""

    def __init__(self, url: str) -> None:
        self._client = broker_client.connect(url, timeout_seconds=BROKER_TIMEOUT_SECONDS)
        self._next = float("-inf")
        self._troubles: dict[str, str | None] = {}

    def troubles(self, now: float) -> Mapping[str, str | None]:
        """What is wrong with the broker, and with the clock. It asks only if that is some seconds ago."""
        if now >= self._next:
            self._next = now + BROKER_PERIOD_SECONDS
            self._troubles = self._ask()
        return self._troubles

    def _ask(self) -> dict[str, str | None]:
        try:
            seconds, micros = self._client.time()
        except redis.RedisError as error:
            # The clock cannot be compared: as before.
            return {"clock": self._troubles.get("clock"), "broker": log.one_line(error)}
        ahead = time.time() - (seconds + micros / 1e6)
        wrong = abs(ahead) > MOST_CLOCK_SECONDS
        return {"broker": None, "clock": f"differs from the broker's by {ahead:+.0f} s" if wrong else None}


class NodeReport:
    """Adds the checks of the node to those of its services, and shows them all."""

    def __init__(self, file: MetricsFile, *, broker_url: str, database_url: str, authorities: str) -> None:
        """`authorities`: the file with the database's certificate authorities."""
        self._report = HealthReport(file)
        self._broker = Broker(broker_url)
        broker, database = urlsplit(broker_url), urlsplit(database_url)
        self._expiries: dict[str, Callable[[], float]] = {
            "broker": lambda: server_certificate.expiry(broker.hostname or "", broker.port or 6379),
            "database": lambda: server_certificate.expiry(
                database.hostname or "", database.port or 5432, authorities=authorities, postgresql=True
            ),
        }
        self._next_certificates = float("-inf")
        self._heartbeats = Gauge(
            "airflow_service_heartbeat_age_seconds",
            "Age of the newest heartbeat by the database's clock; negative: in the future",
            ["service"],
            registry=file.registry,
        )
        self._certificates = Gauge(
            "airflow_certificate_expiry_timestamp_seconds",
            "When the certificate of the server expires that this node connects to",
            ["server"],
            registry=file.registry,
        )
        self._secrets = Gauge(
            "airflow_secrets_timestamp_seconds", "When this node fetched its secrets", registry=file.registry
        )

    def serve(self) -> None:
        """Answer requests on this machine. OSError if another program uses the port."""
        self._report.serve()

    def show(
        self, now: float, services: Mapping[str, str | None], *, database: str | None, ages: Mapping[str, float]
    ) -> None:
        """Check the node, and show that with what is wrong with each service and with the database.

        `ages`: the ages of the services' heartbeats.
        """
        for service, age in ages.items():
            self._heartbeats.labels(service).set(age)
        if SECRETS.exists():
            self._secrets.set(SECRETS.stat().st_mtime)
        if now >= self._next_certificates:
            self._next_certificates = now + CERTIFICATE_PERIOD_SECONDS
            self._read_certificates()
        short = "; ".join(str(each) for each in read_resources() if each.free < each.reserve)
        self._report.show({**services, "database": database, **self._broker.troubles(now), "resources": short or None})

    def _read_certificates(self) -> None:
        for server, expiry in self._expiries.items():
            try:
                self._certificates.labels(server).set(expiry())
            except OSError:
                # What is wrong with the server itself shows in its check.
                self._certificates.remove(server)
