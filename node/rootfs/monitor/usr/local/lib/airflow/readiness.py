"""Whether this monitor stores metrics and sends alerts, for `complete-launch`."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence

SERVICES = (
    "http://127.0.0.1:8428/health",  # VictoriaMetrics
    "http://127.0.0.1:8880/health",  # vmalert
    "http://127.0.0.1:9093/-/ready",  # Alertmanager
)
TIMEOUT_SECONDS = 5


def is_ready(urls: Sequence[str] = SERVICES) -> bool:
    """Whether all three services respond."""
    return not _silent(urls)


def describe() -> str:
    """Which services do not respond."""
    return f"These do not respond: {', '.join(_silent(SERVICES)) or 'none'}. The journal of airflow-* shows why."


def _silent(urls: Sequence[str]) -> list[str]:
    return [url for url in urls if not _responds(url)]


def _responds(url: str) -> bool:
    # Not through a proxy that the operator may have set for the node.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=TIMEOUT_SECONDS) as response:
            return response.status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
