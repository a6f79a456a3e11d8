"""Task logs on a fake S3: nothing is lost, and no log is too large."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.node.programs import module, python_path

task_logs = module("task_logs")

BUCKET, BASE = "task-logs", "s3://task-logs/airflow"
PATH = "dag_id=d/run_id=r/task_id=t/attempt=1.log"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def s3(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setattr(task_logs, "s3", lambda: client)
    return client


def _node(folder: Path, text: str | bytes = "", path: str = PATH) -> Any:
    """A node with this log."""
    file = folder / path
    file.parent.mkdir(parents=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return task_logs.TaskLogs(BASE, folder)


def _stored(s3: Any, path: str = PATH) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=f"airflow/{path}")["Body"].read()


def _shown(logs: Any) -> list[str]:
    return [line for stream in logs.stream(PATH)[1] for line in stream]


def test_an_uploaded_log_is_in_s3_and_no_longer_on_the_node(s3: Any, tmp_path: Path):
    _node(tmp_path, "one\n").upload(PATH)
    assert _stored(s3) == b"one\n"
    assert not (tmp_path / PATH).parent.exists()


def test_the_next_attempts_log_beside_it_stays(tmp_path: Path):
    logs = _node(tmp_path, "one\n")
    other = tmp_path / PATH.replace("attempt=1", "attempt=2")
    other.write_text("two\n")
    logs.upload(PATH)
    assert other.read_text() == "two\n"


def test_a_task_that_resumes_on_another_worker_appends_to_its_log(s3: Any, tmp_path: Path):
    for worker, text in {"a": "before", "b": "after\n"}.items():
        _node(tmp_path / worker, text).upload(PATH)
    assert _stored(s3) == b"before\nafter\n"


@pytest.mark.parametrize("old", [None, "older\n"])
def test_two_workers_that_upload_to_the_same_log_at_once_lose_nothing(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str | None
):
    if old:
        _node(tmp_path / "old", old).upload(PATH)
    slow, fast = _node(tmp_path / "slow", "slow\n"), _node(tmp_path / "fast", "fast\n")
    put = s3.put_object

    def overtaken(**arguments: Any) -> Any:
        monkeypatch.setattr(s3, "put_object", put)
        fast.upload(PATH)
        return put(**arguments)

    monkeypatch.setattr(s3, "put_object", overtaken)
    slow.upload(PATH)
    assert _stored(s3).decode() == f"{old or ''}fast\nslow\n"


def test_a_log_of_many_parts_arrives_whole_and_can_be_appended_to(s3: Any, tmp_path: Path):
    pieces = [(f"{name}{number}\n" for number in range(1_200_000)) for name in "ab"]
    texts = ["".join(piece).encode() for piece in pieces]
    for number, text in enumerate(texts):
        _node(tmp_path / str(number), text).upload(PATH)
    assert _stored(s3) == b"".join(texts)
    assert s3.head_object(Bucket=BUCKET, Key=f"airflow/{PATH}", PartNumber=1)["PartsCount"] == 3


def test_the_part_that_ends_a_log_may_be_full(s3: Any, tmp_path: Path):
    text = b"x" * (2 * task_logs.PART_BYTES - 1) + b"\n"
    _node(tmp_path, text).upload(PATH)
    assert _stored(s3) == text


def test_a_log_that_s3_does_not_take_stays_on_the_node(s3: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    s3.delete_bucket(Bucket=BUCKET)
    _node(tmp_path, "one\n").upload(PATH)
    assert (tmp_path / PATH).read_text() == "one\n"
    assert f"{tmp_path / PATH} stays on this node" in caplog.text


def test_a_file_that_is_no_log_of_this_node_is_not_uploaded(s3: Any, tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    logs = _node(tmp_path / "logs", "one\n")
    logs.upload("../secret")
    logs.upload(tmp_path / "secret")
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    assert (tmp_path / "secret").exists()


def test_a_task_without_a_log_in_s3_has_none(tmp_path: Path):
    assert _node(tmp_path).stream(PATH) == ([], [])


def test_an_empty_log_has_no_lines(tmp_path: Path):
    logs = _node(tmp_path)
    logs.upload(PATH)
    assert _shown(logs) == []


def test_a_log_is_shown_with_those_of_its_triggers(tmp_path: Path):
    logs = _node(tmp_path, "worker\n")
    logs.upload(PATH)
    _node(tmp_path, "trigger\n", f"{PATH}.trigger.7.log").upload(f"{PATH}.trigger.7.log")
    sources, _ = logs.stream(PATH)
    assert sources == [f"{BASE}/{PATH}", f"{BASE}/{PATH}.trigger.7.log"]
    assert _shown(logs) == ["worker", "trigger"]


def test_lines_end_only_where_airflow_ended_them(tmp_path: Path):
    lines = ['{"event": "a\u2028b\x0bc"}', "", '{"event": "d"}']
    logs = _node(tmp_path, "\n".join(lines) + "\n")
    logs.upload(PATH)
    assert _shown(logs) == lines


def test_the_end_of_a_long_log_is_shown_after_a_line_that_says_how_to_get_the_whole(tmp_path: Path):
    lines = [f"line {number}" for number in range(500_000)]
    _node(tmp_path, "\n".join(lines))
    logs = task_logs.TaskLogs(BASE, tmp_path)
    logs.upload(PATH)
    first, *shown = _shown(logs)
    left_out = len("\n".join(lines)) - task_logs.SHOWN_BYTES
    assert json.loads(first) == {
        "event": f"The first {left_out / MIB:.1f} MiB of this log are not shown. The whole log: "
        f"aws s3 cp '{BASE}/{PATH}' .",
        "level": "warning",
    }
    assert shown == lines[-len(shown) :]
    assert 0 <= task_logs.SHOWN_BYTES - len("\n".join(shown)) <= len("line 499999\n")


def test_the_end_of_a_line_that_is_too_long_is_shown(tmp_path: Path):
    logs = _node(tmp_path, "ä" * task_logs.SHOWN_BYTES)
    logs.upload(PATH)
    _, line = _shown(logs)
    assert set(line) == {"ä"}


def test_an_object_that_cannot_be_read_is_named(s3: Any, tmp_path: Path):
    logs = _node(tmp_path, "one\n")
    logs.upload(PATH)
    _, streams = logs.stream(PATH)
    s3.delete_object(Bucket=BUCKET, Key=f"airflow/{PATH}")
    [line] = streams[0]
    assert f"{BASE}/{PATH} cannot be read" in json.loads(line)["event"]


LONG = """
import resource, sys
from pathlib import Path
import task_logs

folder, path = Path(sys.argv[1]), sys.argv[2]
logs = task_logs.TaskLogs("s3://task-logs/airflow", folder)
task_logs.s3().list_buckets()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
logs.upload(path)
lines = sum(1 for stream in logs.stream(path)[1] for line in stream)
print(lines, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, (folder / path).exists())
"""


def test_a_log_of_100_mib_is_uploaded_and_shown_in_less_than_64_mib_of_memory(aws_server: str, tmp_path: Path):
    logs = tmp_path / "logs"
    _node(logs)
    with (logs / PATH).open("wb") as file:
        file.truncate(100 * MIB)
        file.seek(0, io.SEEK_END)
        file.write(b"\nthe end\n")
    environment = {"PYTHONPATH": python_path(), "AWS_ENDPOINT_URL": aws_server}
    environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "eu-west-1"}
    command = [sys.executable, "-c", LONG, str(logs), PATH]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    lines, mib, left = done.stdout.split()
    assert (lines, left) == ("2", "False")
    assert int(mib) < 64
