"""Records that the node programs of one release write and those of another read, exactly as they are written.

`python -m tests.support.records` stores this release's records in tests/golden/records.json. Run it for each
release: its workers drain for up to two days beside masters of the next one, and test_records.py reads their records.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from airflow_node.worker_registry import WorkerRegistry

from tests.node import redis_server
from tests.node.programs import module
from tests.support.state_keys import GOLDEN

RECORDS = GOLDEN / "records.json"
INSTANCE = "i-0123456789abcdef0"

venv_archive = module("airflow_node.venv_archive")
persisted_state = module("lifecycle.persisted_state")
worker_registry = module("airflow_node.worker_registry")


def written(server: redis_server.Server) -> dict[str, str | list[str]]:
    """One record of each kind, by its key in the worker registry, its name in S3 or its file's name."""
    registry = WorkerRegistry.connect(server.url, timeout_seconds=5)
    registry.report(
        worker_registry.Report(instance=INSTANCE, pool="default", state="retired", slots=16, active=3, idle_seconds=0.0)
    )
    registry.publish_group("default", worker_registry.GroupSizes(minimum=1, maximum=8, desired=3))
    registry.cordon("default", [INSTANCE])
    registry.record_boot("default", 41.52)
    registry.close()
    with server.client(worker_registry.REGISTRY_DATABASE) as client:
        found = {str(key): _value(client, str(key)) for key in sorted(client.keys())}
    return found | {"manifest": _manifest(), "memory.json": _persisted_state()}


def _value(client: Any, key: str) -> str | list[str]:
    return client.lrange(key, 0, -1) if client.type(key) == "list" else client.get(key)


def _manifest() -> str:
    part = venv_archive.Part(key="environments/ab/cd.tar", sha256="cd" * 32, size=12_345_678)
    return venv_archive.Manifest(made_for="layout 1, lock ab, Python 3.13.5, x86_64", parts=(part,)).to_json().decode()


def _persisted_state() -> str:
    state = (
        persisted_state.PersistedState()
        .with_draining_since(12.5)
        .with_boot_noted()
        .with_termination(terminating=True, spot_end=None)
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "memory.json")
        state.write(file)
        return file.read_text()


def main() -> None:
    """Store the records of this release."""
    if redis_server.program() is None:
        raise SystemExit("neither redis-server nor valkey-server is installed here")
    with redis_server.running() as server:
        RECORDS.write_text(json.dumps(written(server), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
