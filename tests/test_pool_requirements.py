"""Requirements of a worker pool are locked on top of the lock of all nodes: real uv, with an index on this machine."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from node import lock, lock_inputs
from node.artifacts import AIRFLOW_LOCK
from node.environment import PackageIndex
from node.lock import LockError, PoolRequirements, UvIndex
from node.roles import MASTERS, worker_group
from package_lock import pool_requirements
from settings import repository_file
from tests.node.fake_server import serving
from tests.node.package_indexes import serving_packages
from tests.node.programs import module
from tests.stack_file import changed, content, load, the_fault

package_index = module("airflow_node.package_index")
HEAVY = "airflow:workerPools.heavy.requirements"
VERSIONS = {"engine": ("1.0", "2.0"), "shared": ("1.0", "2.0"), "model": "1.0", "tool": "1.0"}
REQUIRES = {"engine": "shared>=1", "model": "shared>=1", "tool": "shared>=2"}


@pytest.fixture
def index() -> Iterator[UvIndex]:
    """The packages of the tests. The nodes' lock has the older versions of two of them."""
    with serving(serving_packages(VERSIONS, requires=REQUIRES)) as server:
        url = f"{server.url}/simple/"
        yield UvIndex(
            PackageIndex(url=url, credentials_secret=None, pypi=False),
            package_index.variables(url, pypi=False, credentials=None),
        )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose nodes have engine 1.0 and shared 1.0."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "repository"
    (root / "node/locks").mkdir(parents=True)
    (root / "node/locks/airflow.in").write_text("engine\n")
    (root / "airflow-requirements.txt").write_text("# ours\nshared  # for all\n")
    for place, name in ((lock, "ROOT"), (lock_inputs, "ROOT"), (repository_file, "ROOT")):
        monkeypatch.setattr(place, name, root)
    sources = (root / "node/locks/airflow.in", root / "airflow-requirements.txt")
    monkeypatch.setattr(lock_inputs, "AIRFLOW_SOURCES", sources)
    monkeypatch.setattr(lock_inputs, "LOCKS", root / "node/locks")
    return root


@pytest.fixture
def base(root: Path, index: UvIndex) -> Path:
    """The lock of all nodes."""
    target = root / "node/locks" / AIRFLOW_LOCK
    target.write_text("engine==1.0\nshared==1.0\n")  # pins that still fit are kept
    lock.compile_lock(lock_inputs.AIRFLOW_SOURCES, target, upgrade=False, index=index)
    return target


def _lock_heavy(root: Path, base: Path, index: UvIndex, *requirements: str, upgrade: bool = False) -> str:
    (root / "heavy.txt").write_text("\n".join(requirements) + "\n")
    target = lock_inputs.pool_lock("heavy.txt")
    sources = lock_inputs.pool_sources("heavy.txt")
    lock.compile_lock(sources, target, upgrade=upgrade, index=index, base=base)
    return target.read_text()


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_pool_gets_its_packages_on_top_of_those_of_all_nodes_in_the_same_versions(
    root: Path, base: Path, index: UvIndex, upgrade: bool
):
    locked = _lock_heavy(root, base, index, "model", upgrade=upgrade)
    assert lock_inputs.pins(locked) == {"engine": {"1.0"}, "shared": {"1.0"}, "model": {"1.0"}}
    assert "--hash=sha256:" in locked
    assert str(root) not in locked, "a place of the machine that made it"
    assert lock_inputs.pool_lock_fault("heavy.txt") is None


def test_a_conflict_is_told_with_what_each_file_asks_for(root: Path, base: Path, index: UvIndex):
    with pytest.raises(LockError, match=r"heavy\.txt cannot be resolved") as conflict:
        _lock_heavy(root, base, index, "model", "shared>=2  # newer")
    _, told = str(conflict.value).split("What asks for these packages:\n")
    assert told.splitlines() == [
        "  airflow-requirements.txt:2: shared",
        "  heavy.txt:2: shared>=2",
        "  node/locks/airflow.txt: shared==1.0, which all nodes have",
    ]


def test_a_conflict_of_what_a_package_needs_names_the_package_that_was_asked_for(
    root: Path, base: Path, index: UvIndex
):
    with pytest.raises(LockError) as conflict:
        _lock_heavy(root, base, index, "tool")
    assert "  heavy.txt:1: tool\n" in str(conflict.value)
    assert "  node/locks/airflow.txt: shared==1.0, which all nodes have" in str(conflict.value)


def test_a_conflict_within_the_packages_of_all_nodes_names_both_files(root: Path, index: UvIndex):
    (root / "node/locks/airflow.in").write_text("engine\nshared<2\n")
    (root / "airflow-requirements.txt").write_text("shared>=2\n")
    with pytest.raises(LockError) as conflict:
        lock.compile_lock(lock_inputs.AIRFLOW_SOURCES, root / "lock", upgrade=False, index=index)
    assert "  node/locks/airflow.in:2: shared<2\n  airflow-requirements.txt:1: shared>=2" in str(conflict.value)


def test_a_lock_that_was_not_made_or_does_not_match_any_more_fails_the_plan(root: Path, base: Path, index: UvIndex):
    (root / "heavy.txt").write_text("model\n")
    assert the_fault({HEAVY: "heavy.txt"}).given == '"heavy.txt", which is not locked'
    _lock_heavy(root, base, index, "model")
    load(changed({HEAVY: "heavy.txt"}))
    (root / "heavy.txt").write_text("model\ntool\n")
    assert "has changed since it was locked" in the_fault({HEAVY: "heavy.txt"}).given
    (root / "heavy.txt").write_text("model\n")
    base.write_text(base.read_text().replace("engine==1.0", "engine==2.0"))
    fault = the_fault({HEAVY: "heavy.txt"})
    assert fault.given == '"heavy.txt", whose lock has other versions of engine than all nodes'
    assert fault.remedy == "run `make lock` and commit the changes"


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("missing.txt", "there is no such file"),
        ("../outside.txt", "copy the file into this repository"),
        ("airflow-requirements.txt", "remove the key"),
    ],
)
def test_a_file_that_cannot_be_locked_is_refused(root: Path, path: str, remedy: str):
    assert root
    assert the_fault({HEAVY: path}).remedy.startswith(remedy)


def test_only_the_workers_of_the_pool_fetch_its_lock_and_in_the_place_of_the_other(
    root: Path, base: Path, index: UvIndex
):
    text = _lock_heavy(root, base, index, "model")
    settings = load(changed({HEAVY: "heavy.txt"}))

    def locks(group: object) -> list[str]:
        variables = settings.node_environment(group).variables()  # ty: ignore[invalid-argument-type]
        return [key for key in variables["NODE_ARTIFACTS"].split() if key.endswith("/airflow.txt")]

    assert locks(worker_group("heavy")) == [f"{hashlib.sha256(text.encode()).hexdigest()}/airflow.txt"]
    other = worker_group("default")
    assert settings.node_environment(other) == load(content()).node_environment(other)


def _masters(config: dict[str, Any]) -> dict[str, str]:
    return load(config).node_environment(MASTERS).variables()


def test_masters_are_replaced_by_the_first_pool_with_requirements_and_not_by_a_new_lock(
    root: Path, base: Path, index: UvIndex
):
    without, config = _masters(content()), changed({HEAVY: "heavy.txt"})
    _lock_heavy(root, base, index, "model")
    first = _masters(config)
    assert dict(first.items() - without.items()) == {"NODE_POOL_LOCKS": "pool-locks"}
    _lock_heavy(root, base, index, "model", "engine")
    assert _masters(config) == first
    assert _masters(changed({HEAVY: "heavy.txt", "airflow:workerPools.default.requirements": "heavy.txt"})) == first


def test_the_list_for_masters_has_the_locks_of_pools_with_their_architecture(root: Path, base: Path, index: UvIndex):
    text = _lock_heavy(root, base, index, "model")
    [lock] = load(changed({HEAVY: "heavy.txt"})).pool_locks
    assert lock.content.decode() == text
    types = {"airflow:workerPools.heavy.instanceTypes": ["r7g.xlarge"]}
    elsewhere = load(changed({HEAVY: "heavy.txt", **types}))
    assert elsewhere.pool_locks == (), "a master cannot build for another architecture"
    assert "NODE_POOL_LOCKS" not in elsewhere.node_environment(MASTERS).variables()


def test_make_lock_finds_the_requirements_of_all_stacks_with_their_platforms(root: Path):
    shutil.copy(Path(__file__).parent.parent / "Pulumi.yaml", root)
    for stack, types in (("prod", ["r7i.xlarge"]), ("dev", ["t4g.medium"])):
        config = changed({HEAVY: "heavy.txt", "airflow:workerPools.heavy.instanceTypes": types})
        (root / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
    assert pool_requirements(root) == [], "there is no such file: a fault of the plan"
    (root / "heavy.txt").write_text("model\n")
    assert pool_requirements(root) == [PoolRequirements("heavy.txt", tuple(sorted(lock.PLATFORMS)))]
