"""What works on this node, for people and alerts: as JSON with 200 or 503, and as metrics."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import Gauge

from airflow_node.metrics_file import MetricsFile

ADDRESS = "127.0.0.1"
PORT = 9106
# It is renewed every few seconds. An older one means that the program hangs which renews it.
VALID_SECONDS = 60.0
NO_REPORT = {"report": "there is no recent one: the program that checks this node hangs"}


class HealthReport:
    """The result of the node's last checks."""

    def __init__(self, file: MetricsFile, now: Callable[[], float] = time.monotonic) -> None:
        self._file, self._now = file, now
        self._at = float("-inf")
        self._troubles: Mapping[str, str | None] = {}
        self._healthy = Gauge("airflow_node_healthy", "1 if every check of this node passes", registry=file.registry)
        self._checks = Gauge(
            "airflow_node_check", "1 if the check passes, 0 if it fails", ["check"], registry=file.registry
        )

    def show(self, troubles: Mapping[str, str | None]) -> None:
        """Show the result: what is wrong, or None, by check."""
        self._troubles, self._at = dict(troubles), self._now()
        self._healthy.set(not any(self._troubles.values()))
        for check, trouble in self._troubles.items():
            self._checks.labels(check).set(trouble is None)
        self._file.write()

    def answer(self) -> tuple[HTTPStatus, bytes]:
        """The answer to a request."""
        troubles = self._troubles if self._now() - self._at < VALID_SECONDS else NO_REPORT
        healthy = not any(troubles.values())
        checks = {check: trouble or "ok" for check, trouble in troubles.items()}
        status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return status, json.dumps({"healthy": healthy, "checks": checks}, ensure_ascii=False).encode() + b"\n"

    def serve(self, port: int = PORT) -> ThreadingHTTPServer:
        """Answer requests on this machine, in a thread. OSError if another program uses the port."""
        report = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, body = report.answer()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: object = "-", size: object = "-") -> None:
                """Not a line for each request."""

        server = ThreadingHTTPServer((ADDRESS, port), Handler)
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        return server
