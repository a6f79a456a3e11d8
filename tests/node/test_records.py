"""Programs of two releases read each other's records: those of the last release, and those of the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from airflow_node.worker_registry import GroupSizes, WorkerRegistry

from tests.node import redis_server
from tests.node.lifecycle.node_of import PersistedState
from tests.node.programs import module
from tests.support.records import INSTANCE, RECORDS

venv_archive = module("airflow_node.venv_archive")
worker_registry = module("airflow_node.worker_registry")
worker_service = module("lifecycle.worker_service")

STORED: dict[str, Any] = json.loads(RECORDS.read_text(encoding="utf-8"))
REPORT = f"worker:default:{INSTANCE}"
# Names that no release uses.
ADDED = {"added_text": "new", "added_number": 7, "added_list": [{"deep": [1]}], "added_nothing": None}


def added_to(text: str) -> str:
    """The record as a later release may write it."""
    return json.dumps(json.loads(text) | ADDED)


def without(text: str, field: str) -> str:
    """The record as an earlier release may have written it."""
    return json.dumps({name: value for name, value in json.loads(text).items() if name != field})


@pytest.fixture
def store(broker: redis_server.Server) -> Iterator[redis.Redis]:
    with broker.client(worker_registry.REGISTRY_DATABASE) as client:
        client.flushall()
        yield client


@pytest.fixture
def board(broker: redis_server.Server, store: redis.Redis) -> Iterator[WorkerRegistry]:
    for key, value in STORED.items():
        if isinstance(value, list):
            store.rpush(key, *value)
        elif ":" in key:
            store.set(key, value)
    found = WorkerRegistry.connect(broker.url, timeout_seconds=5)
    yield found
    found.close()


def test_what_the_last_release_wrote_to_the_worker_registry_is_read(board: WorkerRegistry):
    (report,) = board.reports("default", [INSTANCE])
    assert (report.instance, report.pool, report.state) == (INSTANCE, "default", "retired")
    assert (report.slots, report.active, report.idle_seconds) == (16, 3, 0.0)
    assert board.group("default") == GroupSizes(minimum=1, maximum=8, desired=3)
    assert board.is_cordoned("default", INSTANCE)
    assert board.cordoned("default", [INSTANCE]) == {INSTANCE}
    assert board.boot_seconds("default") == 41.5


def test_a_report_with_unknown_fields_is_read(board: WorkerRegistry, store: redis.Redis):
    before = board.reports("default", [INSTANCE])
    store.set(REPORT, added_to(STORED[REPORT]))
    assert board.reports("default", [INSTANCE]) == before


@pytest.mark.parametrize(
    ("field", "read_as"), [("state", "unknown"), ("slots", 0), ("active", 0), ("idle_seconds", 0.0)]
)
def test_a_report_without_one_of_the_fields_is_read(
    board: WorkerRegistry, store: redis.Redis, field: str, read_as: object
):
    store.set(REPORT, without(STORED[REPORT], field))
    (report,) = board.reports("default", [INSTANCE])
    assert getattr(report, field) == read_as


def test_a_report_belongs_to_the_worker_of_its_key(board: WorkerRegistry, store: redis.Redis):
    store.set(REPORT, without(without(STORED[REPORT], "instance"), "pool"))
    (report,) = board.reports("default", [INSTANCE])
    assert (report.instance, report.pool) == (INSTANCE, "default")


def test_a_report_with_a_state_of_a_later_release_is_read(board: WorkerRegistry, store: redis.Redis):
    store.set(REPORT, json.dumps(json.loads(STORED[REPORT]) | {"state": "hibernating"}))
    assert [report.state for report in board.reports("default", [INSTANCE])] == ["hibernating"]


def test_group_sizes_with_more_fields_are_read(board: WorkerRegistry, store: redis.Redis):
    store.set("group:default", added_to(STORED["group:default"]))
    assert board.group("default") == GroupSizes(minimum=1, maximum=8, desired=3)


@pytest.mark.parametrize("add", [False, True])
def test_a_manifest_of_another_release_names_the_same_archives(add: bool):
    document = json.loads(STORED["manifest"])
    if add:
        document = {**document, **ADDED, "parts": [part | ADDED for part in document["parts"]]}
    manifest = venv_archive.Manifest.from_json(json.dumps(document).encode())
    (part,) = manifest.parts
    assert (part.key, part.size) == ("environments/ab/cd.tar", 12_345_678)
    assert (part.sha256, manifest.made_for[:8]) == ("cd" * 32, "layout 1")


def test_a_manifest_may_lack_its_description():
    manifest = venv_archive.Manifest.from_json(without(STORED["manifest"], "made_for").encode())
    assert len(manifest.parts) == 1


PERSISTED = PersistedState(draining_since=12.5, terminating=True, boot_noted=True)


def test_the_persisted_state_is_read_also_with_unknown_fields(tmp_path: Path):
    path = tmp_path / "memory.json"
    for text in (STORED["memory.json"], added_to(STORED["memory.json"])):
        path.write_text(text)
        assert PersistedState.read(path) == PERSISTED


@pytest.mark.parametrize("field", ["stopping_since", "spot_end"])
def test_a_drain_is_read_from_a_state_that_lacks_another_field(tmp_path: Path, field: str):
    path = tmp_path / "memory.json"
    path.write_text(without(STORED["memory.json"], field))
    assert PersistedState.read(path) == PERSISTED


def test_a_state_file_with_unknown_fields_is_read(tmp_path: Path):
    path = tmp_path / "state.json"
    task = {"pid": 77, "since": 1.0, "task": "etl r load try 1"}
    said = {"at": 1.0, "connected": True, "queues": ["default"], "reserved": 0, "active": [task | ADDED]}
    path.write_text(json.dumps(said | ADDED))
    worker = worker_service.StateFile(path).read(5.0)
    assert (worker.queues, worker.tasks) == (("default",), ("etl r load try 1",))
