"""The api-server's processes, for gunicorn's `worker_class`."""

from __future__ import annotations

import asyncio
from typing import Any

# Airflow is installed only on nodes.
from airflow.api_fastapi.gunicorn_app import AirflowUvicornWorker  # ty: ignore[import-not-found]

ANY_REQUEST = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [],
}


class Worker(AirflowUvicornWorker):
    """A process that responds to the first request of a task as fast as to any other.

    By default, Airflow builds the execution API in each process at the first request. That takes seconds, during which
    the process responds to no other request, and clients time out and retry.
    """

    @classmethod
    def setup(cls) -> None:
        """Build it before the port opens, in the process from which gunicorn forks all others."""
        from airflow.api_fastapi.main import app  # ty: ignore[import-not-found]
        from node_secrets import CachedSecretsBackend

        # Tasks do. Triggers and DAG files look up without this server, and their processes would stand still meanwhile.
        CachedSecretsBackend.retried = True
        (execution_api,) = [route.app for route in app.routes if route.path == "/execution"]
        asyncio.run(_call(execution_api))


async def _call(application: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(_: dict[str, Any]) -> None:
        pass  # the response does not matter; it is "not found"

    await application(ANY_REQUEST, receive, send)
