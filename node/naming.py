"""Names that follow from the settings alone, so that nodes have them before anything is created."""

from __future__ import annotations

API_SERVER_PORT = 8080
METRICS_PORT = 8428
METRICS_PATH = "/api/v1/write"

# The groups' lifecycle hooks: registered by the program, completed by the nodes.
LAUNCHING_HOOK = "role-is-ready"
TERMINATING_HOOK = "worker-is-drained"

POOL_LOCKS = "pool-locks"
"""The object of the artifacts bucket that lists the locks from which masters build environments for worker pools."""


def bucket_name(cluster: str, account_id: str, region: str, purpose: str) -> str:
    """The name of a bucket: with account and region in it, because bucket names are unique worldwide."""
    return f"{cluster}-{account_id}-{region}-{purpose}"


def private_zone_name(cluster: str) -> str:
    """The name under which nodes reach the api-servers: known before anything is created, and never changed."""
    return f"{cluster}.internal"


def api_server_url(cluster: str) -> str:
    """The URL of the api-servers for nodes, without a trailing slash."""
    return f"http://{private_zone_name(cluster)}:{API_SERVER_PORT}"


def web_url(cluster: str, domain: str | None) -> str:
    """The URL of Airflow's web interface."""
    return f"https://{domain}" if domain else api_server_url(cluster)


def metrics_url(cluster: str) -> str:
    """Where nodes send their metrics, by Prometheus's remote write: the monitor, behind the internal load balancer."""
    return f"http://{private_zone_name(cluster)}:{METRICS_PORT}{METRICS_PATH}"


def metrics_volume_name(cluster: str) -> str:
    """The tag `Name` by which the monitor finds its volume."""
    return f"{cluster}-metrics"


def alert_topic_name(cluster: str, severity: str) -> str:
    """The SNS topic to which alerts of a severity are published."""
    return f"{cluster}-alerts-{severity}"
