from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.node.programs import load, module, python_path
from tests.node.published_releases import BUCKET, BUNDLE, archive_of, dag_release, point_to, publish, upload

release_store = load("python/release_store.py")
version_store = module("version_store")


@pytest.fixture
def s3(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = aws.client("s3")
    # To make one takes a second.
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def _store(folder: Path, **arguments: Any) -> Any:
    values = {"bucket": BUCKET, "bundle": BUNDLE, "folder": folder / BUNDLE, "tracking": folder / "_tracking" / BUNDLE}
    return release_store.ReleaseStore(**values, **({"keep": 10, "keep_seconds": 0} | arguments))


@pytest.fixture
def store(s3: Any, tmp_path: Path) -> Any:  # noqa: ARG001 - the store finds the bucket by itself
    return _store(tmp_path)


def _content(store: Any, version: str) -> dict[str, str]:
    folder = store.path(version)
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.py"))}


def _versions(store: Any) -> set[str]:
    return {path.name for path in (store.folder / "versions").iterdir()}


class _Counting:
    """A client of S3 that counts the requests for objects, and fails where the test says so."""

    def __init__(self, client: Any, fault: Callable[[], None] = lambda: None) -> None:
        self.client, self.fault, self.calls = client, fault, 0

    def get_object(self, **arguments: Any) -> Any:
        self.calls += 1
        self.fault()
        return self.client.get_object(**arguments)

    def list_objects_v2(self, **arguments: Any) -> Any:
        return self.client.list_objects_v2(**arguments)


def _use(store: Any, client: Any) -> None:
    store.__dict__["_s3"] = client


def test_a_release_is_fetched_once_and_held_without_a_request_after_that(s3: Any, store: Any):
    version = upload(s3, a="1", team__b="2")
    counting = _Counting(s3)
    _use(store, counting)
    with store.hold(version), store.hold(version):
        assert _content(store, version) == {"a.py": "1", "team/b.py": "2"}
    assert counting.calls == 1


def test_tasks_cannot_change_a_file_of_a_release(s3: Any, store: Any):
    with store.hold(version := upload(s3, a="1")):
        assert (store.path(version) / "a.py").stat().st_mode & 0o777 == 0o444


def test_what_is_not_what_its_name_says_is_never_used(s3: Any, store: Any):
    version, _ = archive_of(a="1")
    s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, version), Body=archive_of(a="2")[1])
    with pytest.raises(release_store.ReleaseError, match="has the content of"):
        store.hold(version)
    assert not store.path(version).exists()


@pytest.mark.parametrize("part", [0, 1, 20, -1])
def test_half_a_download_is_never_used(s3: Any, store: Any, part: int):
    version, archive = archive_of(a="1" * 1000, b="2" * 1000)
    s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, version), Body=archive[:part])
    with pytest.raises(release_store.ReleaseError):
        store.hold(version)
    assert not store.path(version).exists()
    assert not list((store.folder / "temporary").glob("*"))


def test_a_release_that_is_gone_from_s3_is_an_error_that_says_what_to_do(store: Any):
    version, _ = archive_of(a="1")
    with pytest.raises(release_store.ReleaseGoneError, match="Publish the release again"):
        store.hold(version, seconds=100)


@pytest.mark.parametrize("version", ["", "v1", "../../etc", "A" * 64])
def test_what_is_no_version_is_refused_without_a_request(store: Any, version: str):
    with pytest.raises(release_store.ReleaseGoneError, match="64 hexadecimal digits"):
        store.hold(version)


def test_a_task_waits_while_s3_is_away(s3: Any, store: Any, monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []
    monkeypatch.setattr(release_store.retry, "wait", waits.append)

    def away() -> None:
        if len(waits) < 3:
            raise EndpointConnectionError(endpoint_url="https://s3")

    _use(store, _Counting(s3, away))
    with store.hold(version := upload(s3, a="1"), seconds=60):
        assert _content(store, version) == {"a.py": "1"}
    assert len(waits) == 3


def test_a_refusal_by_s3_is_told_in_one_sentence(s3: Any, store: Any):
    def refuse() -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    _use(store, _Counting(s3, refuse))
    with pytest.raises(release_store.ReleaseUnavailableError, match="AccessDenied"):
        store.hold(upload(s3, a="1"))


def test_a_full_disk_costs_the_releases_that_nobody_uses(s3: Any, store: Any, monkeypatch: pytest.MonkeyPatch):
    used = store.hold(upload(s3, a="used"))
    store.hold(unused := upload(s3, a="unused")).close()
    unpack = dag_release.unpack

    def full(archive: Any, target: Path, version: str) -> None:
        unpack(archive, target, version)
        if store.path(unused).exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(release_store.dag_release, "unpack", full)
    with used, store.hold(version := upload(s3, a="new")):
        assert _versions(store) == {Path(used.name).name, version}


def test_a_disk_that_stays_full_is_an_error_and_leaves_nothing(s3: Any, store: Any, monkeypatch: pytest.MonkeyPatch):
    def full(_archive: Any, target: Path, _version: str) -> None:
        target.mkdir()
        (target / "a.py").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(release_store.dag_release, "unpack", full)
    with pytest.raises(release_store.ReleaseUnavailableError, match="No space left on device"):
        store.hold(upload(s3, a="1"))
    assert not list((store.folder / "temporary").glob("*"))


def test_releases_beyond_the_ones_to_keep_are_removed_unless_in_use_or_current(s3: Any, tmp_path: Path):
    store = _store(tmp_path, keep=2)
    publish(s3, a="current")
    store.hold(current := store.newest().current.version).close()
    store.remember(store.newest())
    used = store.hold(upload(s3, a="used"))
    (store.tracking).mkdir(parents=True)
    gone = upload(s3, a="gone")
    (store.tracking / gone).write_text("2026-11-27T12:00:00")
    kept = []
    for version in (gone, upload(s3, a="older"), upload(s3, a="newer")):
        time.sleep(0.01)  # the order of their use is that of their locks' times
        store.hold(version).close()
        kept.append(version)
    assert _versions(store) == {current, Path(used.name).name, *kept[1:]}
    assert {path.name for path in (store.folder / "in-use").iterdir()} == _versions(store)
    assert not list(store.tracking.iterdir())
    used.close()


def test_a_release_stays_for_as_long_as_it_was_used_recently(s3: Any, tmp_path: Path):
    store = _store(tmp_path, keep=0, keep_seconds=600)
    store.hold(old := upload(s3, a="old")).close()
    store.hold(recent := upload(s3, a="recent")).close()
    os.utime(store.folder / "in-use" / old, (0, time.time() - 700))
    store.hold(new := upload(s3, a="new")).close()
    assert _versions(store) == {recent, new}


def test_a_release_that_is_removed_while_a_task_waits_for_it_is_fetched_again(s3: Any, store: Any):
    version = upload(s3, a="1")
    store.hold(version).close()
    flock = version_store.fcntl.flock
    removed: list[bool] = []

    def late(file: Any, how: int) -> None:
        if how == version_store.fcntl.LOCK_SH and not removed:
            removed.append(True)
            assert store._remove(version)
        flock(file, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(version_store.fcntl, "flock", late)
        held = store.hold(version)
    with held:
        assert _content(store, version) == {"a.py": "1"}
        assert os.path.samestat(os.fstat(held.fileno()), (store.folder / "in-use" / version).stat())


def test_the_newest_release_is_the_one_that_the_pointer_names(s3: Any, store: Any):
    assert store.newest() is None
    first = publish(s3, a="1")
    publish(s3, a="2")
    point_to(s3, first, sequence=3)
    assert store.newest().current.version == first


def test_of_a_pointer_that_is_too_large_no_more_is_read_than_a_pointer_can_have(s3: Any, store: Any):
    version = publish(s3, example="1")
    key = dag_release.pointer_key(BUNDLE)
    pointer = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=key, Body=pointer + b" " * dag_release.MAX_POINTER_BYTES)
    assert store.newest().current.version == version
    s3.put_object(Bucket=BUCKET, Key=key, Body=b" " * dag_release.MAX_POINTER_BYTES + pointer)
    with pytest.raises(dag_release.BrokenReleaseError):
        store.newest()


def test_a_deleted_pointer_is_not_the_same_as_no_release(s3: Any, store: Any):
    publish(s3, a="1")
    s3.delete_object(Bucket=BUCKET, Key=dag_release.pointer_key(BUNDLE))
    with pytest.raises(release_store.ReleaseGoneError, match=r"current\.json does not exist"):
        store.newest()


@pytest.fixture
def elsewhere(aws: boto3.Session, aws_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """S3 over HTTP, for other processes than this one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_server)
    monkeypatch.setenv("PYTHONPATH", python_path())
    client = aws.client("s3", endpoint_url=aws_server)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


PROCESS = """
import sys
from pathlib import Path
import release_store, version_store
folder, version, stop_at = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if stop_at:
    where, name = {
        "unpacking": (version_store.shutil, "copyfileobj"),
        "unpacked": (version_store.os, "sync"),
        "renamed": (version_store.shutil, "rmtree"),
    }[stop_at]
    go_on = getattr(where, name)

    def stop(*arguments, **named):
        begun = list((folder / "dags/temporary").glob("*/*/a.py"))
        renamed = (folder / "dags/versions" / version).exists()
        if (stop_at == "renamed" and not renamed) or (stop_at == "unpacking" and not begun):
            return go_on(*arguments, **named)
        print("stopped", flush=True)
        sys.stdin.read()

    setattr(where, name, stop)
store = release_store.ReleaseStore(
    bucket="prod-dags", bundle="dags", folder=folder / "dags", tracking=folder / "t", keep=10, keep_seconds=0
)
with store.hold(version):
    print("holds", sorted(path.name for path in store.path(version).iterdir()), flush=True)
    sys.stdin.read()
"""


def _process(folder: Path, version: str, stop_at: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(folder), version, stop_at]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_several_tasks_that_start_at_once_fetch_a_release_once(elsewhere: Any, tmp_path: Path):
    version = upload(elsewhere, a="1", b="2")
    processes = [_process(tmp_path, version) for _ in range(3)]
    try:
        assert [_line(process) for process in processes] == ["holds ['a.py', 'b.py']\n"] * 3
        assert not list((tmp_path / BUNDLE / "temporary").glob("*"))
    finally:
        _end(*processes)


@pytest.mark.parametrize("stop_at", ["unpacking", "unpacked", "renamed"])
def test_a_task_that_is_killed_while_it_fetches_leaves_nothing_that_another_uses(
    elsewhere: Any, tmp_path: Path, stop_at: str
):
    version = upload(elsewhere, a="1", b="2")
    killed = _process(tmp_path, version, stop_at)
    assert _line(killed) == "stopped\n"
    assert list((tmp_path / BUNDLE / "temporary").glob("*")), "it was killed too late"
    _end(killed)
    store = _store(tmp_path)
    with store.hold(version), store.hold(upload(elsewhere, a="another")):
        assert _content(store, version) == {"a.py": "1", "b.py": "2"}
        assert not list((store.folder / "temporary").glob("*"))


def test_a_release_is_not_removed_while_another_process_uses_it(elsewhere: Any, tmp_path: Path):
    version = upload(elsewhere, a="1")
    store, user = _store(tmp_path, keep=0), _process(tmp_path, version)
    try:
        assert _line(user).startswith("holds")
        store.hold(second := upload(elsewhere, a="2")).close()
        assert _versions(store) == {version, second}
    finally:
        _end(user)
    store.hold(third := upload(elsewhere, a="3")).close()
    assert _versions(store) == {third}


def test_a_release_whose_removal_was_killed_halfway_is_whole_or_gone(s3: Any, tmp_path: Path):
    store = _store(tmp_path)
    version = upload(s3, a="1", b="2")
    store.hold(version).close()

    def killed(*_arguments: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(version_store.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            store._remove(version)
    assert not store.path(version).exists()
    with store.hold(version):
        assert _content(store, version) == {"a.py": "1", "b.py": "2"}
