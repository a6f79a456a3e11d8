"""The bundle on Airflow's base class where Airflow is installed, elsewhere on one that does the same."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from node.roles import Role
from node.rootfs import PROGRAMS, files_for
from tests.node.programs import load, module
from tests.node.published_releases import BUCKET, BUNDLE, dag_release, point_to, publish, upload

release_store = load("python/release_store.py")
AIRFLOW = importlib.util.find_spec("airflow") is not None
OPTIONS = {"stale_bundle_cleanup_min_versions": 10, "stale_bundle_cleanup_age_threshold": 0, "refresh_interval": 0}


class _BaseDagBundle:
    """What Airflow's class of this name does for its children."""

    storage = Path()

    def __init__(self, *, name: str, refresh_interval: int = 0, version: str | None = None) -> None:
        self.name, self.refresh_interval, self.version = name, refresh_interval, version
        self.base_dir = self.storage / name
        self.is_initialized = False

    def initialize(self) -> None:
        self.is_initialized = True


def _stand_in(storage: Path) -> dict[str, ModuleType]:
    modules = {
        name: ModuleType(name)
        for name in (
            "airflow",
            "airflow.configuration",
            "airflow.dag_processing",
            "airflow.dag_processing.bundles",
            "airflow.dag_processing.bundles.base",
        )
    }
    _BaseDagBundle.storage = storage
    vars(modules["airflow.configuration"])["conf"] = SimpleNamespace(getint=lambda _section, option: OPTIONS[option])
    vars(modules["airflow.dag_processing.bundles.base"]).update(
        BaseDagBundle=_BaseDagBundle,
        BundleVersion=lambda version: SimpleNamespace(version=version, data=None),
        get_bundle_tracking_dir=lambda name: storage / "_tracking" / name,
    )
    return modules


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with its bundles below a folder of the test's own."""
    if AIRFLOW:
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path))
        for option, value in OPTIONS.items():
            monkeypatch.setenv(f"AIRFLOW__DAG_PROCESSOR__{option.upper()}", str(value))
    else:
        for name, stand_in in _stand_in(tmp_path).items():
            monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setitem(sys.modules, "release_store", release_store)
    return load("python/release_bundle.py")


@pytest.fixture
def s3(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = aws.client("s3")
    # To make one takes a second.
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def clock(bundles: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(bundles, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def _bundle(bundles: Any, version: str | None = None) -> Any:
    return bundles.ReleaseDagBundle(name=BUNDLE, bucket_name=BUCKET, version=version)


def _started(bundles: Any, version: str | None = None) -> Any:
    bundle = _bundle(bundles, version)
    bundle.initialize()
    assert bundle.is_initialized
    return bundle


def _lose_s3(bundle: Any) -> None:
    def away(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    vars(bundle._store)["_s3"] = SimpleNamespace(get_object=away, list_objects_v2=away)


def test_the_current_release_changes_with_a_refresh_and_its_folder_with_it(s3: Any, bundles: Any):
    first = publish(s3, a="1")
    bundle = _started(bundles)
    assert bundle.get_current_version().version == first
    old = bundle.path
    second = publish(s3, b="2")
    assert bundle.get_current_version().version == first, "not before the refresh"
    bundle.refresh()
    assert bundle.get_current_version().version == second
    assert [path.name for path in bundle.path.iterdir()] == ["b.py"]
    assert [path.name for path in old.iterdir()] == ["a.py"], "whoever still parses it finds it as it was"


def test_an_older_release_that_becomes_the_current_one_again_is_fetched(s3: Any, bundles: Any):
    first = publish(s3, a="1")
    bundle = _started(bundles)
    publish(s3, a="2")
    bundle.refresh()
    point_to(s3, first, sequence=3)
    bundle.refresh()
    assert bundle.get_current_version().version == first


def test_a_run_keeps_its_release(s3: Any, bundles: Any):
    first = publish(s3, a="1")
    publish(s3, a="2")
    task = _started(bundles, first)
    assert (task.path / "a.py").read_text() == "1"
    assert task.get_current_version().version == first
    with pytest.raises(ValueError, match="never changes"):
        task.refresh()


def test_a_task_on_a_release_that_is_there_asks_s3_nothing(s3: Any, bundles: Any):
    version = publish(s3, a="1")
    _started(bundles, version)
    later = _bundle(bundles, version)
    _lose_s3(later)
    later.initialize()
    assert (later.path / "a.py").read_text() == "1"


def test_before_the_first_release_the_dag_folder_is_empty(s3: Any, bundles: Any):  # noqa: ARG001
    bundle = _started(bundles)
    assert bundle.get_current_version() is None
    assert list(bundle.path.iterdir()) == []


def test_while_s3_is_away_the_release_stays(s3: Any, bundles: Any, caplog: pytest.LogCaptureFixture):
    version = publish(s3, a="1")
    bundle = _started(bundles)
    _lose_s3(bundle)
    for _ in range(3):
        bundle.refresh()
    assert bundle.get_current_version().version == version
    assert len([line for line in caplog.messages if "stays the current one" in line]) == 1, "at most once a minute"


def test_a_node_that_starts_while_s3_is_away_uses_the_release_that_it_has(s3: Any, bundles: Any):
    version = publish(s3, a="1")
    _started(bundles)
    again = _bundle(bundles)
    _lose_s3(again)
    again.initialize()
    assert again.get_current_version().version == version
    assert (again.path / "a.py").read_text() == "1"


def test_a_new_node_that_starts_while_s3_is_away_has_an_error_and_tries_again(s3: Any, bundles: Any):
    publish(s3, a="1")
    bundle = _bundle(bundles)
    client = bundle._store._s3
    _lose_s3(bundle)
    with pytest.raises(release_store.ReleaseUnavailableError):
        bundle.initialize()
    assert not bundle.is_initialized
    vars(bundle._store)["_s3"] = client
    bundle.initialize()
    assert (bundle.path / "a.py").read_text() == "1"


def test_a_release_that_cannot_be_used_leaves_the_current_one_and_is_not_fetched_every_five_seconds(
    s3: Any, bundles: Any, clock: SimpleNamespace
):
    version = publish(s3, a="1")
    bundle = _started(bundles)
    broken = upload(s3, a="2")
    archive = s3.get_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, broken))["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, broken), Body=archive[:-4])
    point_to(s3, broken)
    fetched: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        unpack = dag_release.unpack

        def seen(*arguments: Any) -> None:
            fetched.append(arguments[2])
            unpack(*arguments)

        patch.setattr(release_store.dag_release, "unpack", seen)
        for _ in range(12):
            bundle.refresh()
            clock.seconds += 5
        assert fetched == [broken] * 2
    assert bundle.get_current_version().version == version
    s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, broken), Body=archive)
    clock.seconds += 30
    bundle.refresh()
    assert bundle.get_current_version().version == broken


@pytest.mark.parametrize("also", ["pointer alone", "releases too"])
def test_a_deleted_pointer_makes_no_dag_disappear(s3: Any, bundles: Any, also: str):
    version = publish(s3, a="1")
    bundle = _started(bundles)
    s3.delete_object(Bucket=BUCKET, Key=dag_release.pointer_key(BUNDLE))
    if also == "releases too":
        s3.delete_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, version))
    bundle.refresh()
    assert bundle.get_current_version().version == version
    assert _started(bundles).get_current_version().version == version


def test_the_current_release_stays_on_the_node_while_it_is_used(s3: Any, bundles: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(OPTIONS, "stale_bundle_cleanup_min_versions", 0)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_MIN_VERSIONS", "0")
    publish(s3, a="1")
    bundle = _started(bundles)
    first = bundle.path
    publish(s3, a="2")
    bundle.refresh()
    _started(bundles, upload(s3, a="of a run"))
    assert not first.exists()
    assert bundle.path.exists()


def test_the_folder_is_known_to_processes_that_fetch_nothing(s3: Any, bundles: Any):
    publish(s3, a="1")
    assert _bundle(bundles).path.name == "empty"
    path = _started(bundles).path
    stranger = _bundle(bundles)
    _lose_s3(stranger)
    assert stranger.path == path


def test_it_is_the_newest_as_long_as_the_pointer_names_it(s3: Any, bundles: Any):
    publish(s3, a="1")
    bundle = _started(bundles)
    assert bundle.is_newest()
    publish(s3, a="2")
    assert not bundle.is_newest()
    _lose_s3(bundle)
    assert not bundle.is_newest()


def test_the_packages_of_the_node_are_not_on_the_path_of_dags(tmp_path: Path):
    """`import database` in a DAG must find the DAG author's module."""
    for file in files_for(Role.WORKER):
        if file.path.startswith(f"{PROGRAMS}/"):
            placed = tmp_path / file.path.lstrip("/")
            placed.parent.mkdir(parents=True, exist_ok=True)
            placed.write_bytes(file.content)
    folder = tmp_path / PROGRAMS.lstrip("/") / "python"
    code = "import sys, release_store; print([p for p in sys.path if p.endswith('lib/airflow')])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert module("airflow_node.dag_release") is dag_release
