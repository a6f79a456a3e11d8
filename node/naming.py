"""Names of a cluster's parts that follow from its settings alone, so that nodes know them before anything is made."""

from __future__ import annotations

API_SERVER_PORT = 8080

# The groups' lifecycle hooks: registered by the program, and named by the nodes when they answer to them.
LAUNCHING_HOOK = "role-is-ready"
TERMINATING_HOOK = "worker-is-drained"


def bucket_name(cluster: str, account_id: str, region: str, purpose: str) -> str:
    """The name of a bucket: with account and region in it, for bucket names are unique in the world."""
    return f"{cluster}-{account_id}-{region}-{purpose}"


def private_zone_name(cluster: str) -> str:
    """The name under which nodes reach the api-servers: known before anything is created, and for ever the same."""
    return f"{cluster}.internal"


def api_server_url(cluster: str) -> str:
    """Where nodes find the api-servers, without a slash at its end."""
    return f"http://{private_zone_name(cluster)}:{API_SERVER_PORT}"


def web_url(cluster: str, domain: str | None) -> str:
    """Where a browser finds Airflow."""
    return f"https://{domain}" if domain else api_server_url(cluster)
