"""Publishers that are really killed, at each request that they make."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow_node import dag_release

from dags.archive import packed_folder
from dags.bucket import ReleaseBucket
from dags.publication import publish
from tests.dags.conftest import BUCKET, MakeFolder
from tests.stack_file import ROOT

# Each line is a publisher, in a process of its own.
PUBLISHERS = """
import itertools, os, signal, sys
from pathlib import Path
import boto3
from dags.archive import packed_folder
from dags.bucket import ReleaseBucket
from dags.publication import publish

s3 = boto3.client("s3")
for line in sys.stdin:
    moment, number, folder = line.split()
    publisher = os.fork()
    if not publisher:
        requests = itertools.count(1)

        def count(**_):
            if next(requests) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

        s3.meta.events.register(f"{moment}-call.s3", count)
        with packed_folder(Path(folder)) as archive:
            publish(ReleaseBucket(s3, sys.argv[1], "dags"), archive, by="ann")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(publisher, 0)[1]), flush=True)
"""
Publisher = Callable[[str, int, Path], int]


@pytest.fixture
def bucket(aws: boto3.Session, aws_server: str) -> ReleaseBucket:
    client = aws.client("s3", endpoint_url=aws_server)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return ReleaseBucket(client, BUCKET, "dags")


@pytest.fixture
def publisher(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Publishes a folder, and is killed before or after a request; returns how it ended."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_server)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'node/rootfs/common/usr/local/lib/airflow'}")
    command = [sys.executable, "-c", PUBLISHERS, BUCKET]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:

        def run(moment: str, number: int, folder: Path) -> int:
            stdin, stdout = process.stdin, process.stdout
            assert stdin is not None
            assert stdout is not None
            print(moment, number, folder, file=stdin, flush=True)
            return int(stdout.readline())

        yield run


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_publisher_that_is_killed_at_any_request_leaves_the_old_or_the_new_release_whole(
    bucket: ReleaseBucket, publisher: Publisher, make_folder: MakeFolder, tmp_path: Path, moment: str
):
    old = _publish(bucket, make_folder("old"))
    seen: list[bool] = []
    for number in itertools.count(1):
        folder = make_folder(f"new-{number}", {"number.py": str(number)})
        ended = publisher(moment, number, folder)
        current = _current(bucket)
        dag_release.unpack(bucket.open_archive(current), tmp_path / f"node-{number}", current)
        new = _publish(bucket, folder)
        assert current in (old, new)
        assert _current(bucket) == new, "the same command again succeeds"
        seen.append(current == new)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        old = new
    assert len(seen) > 5, "hardly any request was made"
    assert seen == sorted(seen), "once it is the current one, it stays"
    assert seen[0] is False


def _publish(bucket: ReleaseBucket, folder: Path) -> str:
    with packed_folder(folder) as archive:
        return publish(bucket, archive, by="ann").version


def _current(bucket: ReleaseBucket) -> str:
    pointer: Any = bucket.read_pointer().pointer
    return pointer.current.version
