from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.node.programs import load, module

worker_file = module("lifecycle.worker_file")
TASK = {"pid": 77, "since": 1.0, "task": "etl manual__1 load try 1"}

EMPTY = '{"at": 1, "connected": true, "queues": [], "reserved": 0, "active": []}'


def _write(path: Path, at: float, **said: object) -> None:
    fields = {"at": at, "connected": True, "queues": ["default"], "reserved": 1, "active": [TASK]}
    path.write_text(json.dumps(fields | said))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_it_is_where_the_worker_writes():
    assert worker_file.PATH == load("python/worker_report.py").STATE_FILE


def test_a_worker_says_what_it_has(path: Path):
    _write(path, 1000.0)
    worker = worker_file.WorkerFile(path).read(5.0)
    assert (worker.connected, worker.queues, worker.load) == (True, ("default",), 2)
    assert worker.tasks == ("etl manual__1 load try 1",)


def test_a_worker_is_as_old_as_its_last_word_is_known(path: Path):
    file = worker_file.WorkerFile(path)
    _write(path, 1000.0)
    file.read(5.0)
    _write(path, 999.0)
    assert file.read(6.0).is_fresh, "a clock that is set back makes nobody silent"
    assert file.read(20.5).is_fresh
    assert not file.read(21.5).is_fresh


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"at": 1}',
        '{"at": 1, "connected": true, "queues": 3}',
        '{"at": 1, "connected": true, "queues": [], "reserved": 1e999, "active": []}',
        "null",
        pytest.param("[" * 100_000, id="very deep"),
        pytest.param(EMPTY + " " * 1_000_000, id="very long"),
    ],
)
def test_a_file_that_cannot_be_read_is_none(path: Path, text: str):
    path.write_text(text)
    assert worker_file.WorkerFile(path).read(1.0) is None


def test_a_pipe_in_the_files_place_holds_nobody_up(path: Path):
    os.mkfifo(path)
    assert worker_file.WorkerFile(path).read(1.0) is None
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    assert worker_file.WorkerFile(path).read(1.0) is None, "nor one that somebody has opened"
    os.close(writer)


def test_the_last_words_outlive_the_worker(path: Path):
    file = worker_file.WorkerFile(path)
    _write(path, 1000.0)
    file.read(5.0)
    path.unlink()
    assert file.read(6.0) is None
    assert file.said["active"] == [TASK], "the tasks that are ended while it stops have names"
