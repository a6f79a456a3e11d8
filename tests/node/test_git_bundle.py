"""The Git bundle on Airflow's class where it is installed, elsewhere on one that does the same. Git is real."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.node.programs import load, program_path

AIRFLOW = importlib.util.find_spec("airflow") is not None
OPTIONS = {"stale_bundle_cleanup_min_versions": 10, "stale_bundle_cleanup_age_threshold": 0}
NAME = "team"
REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class _GitError(Exception):
    """GitPython's error of a command."""

    stderr = ""


class _InvalidRepositoryError(Exception):
    """GitPython's error of a folder."""


def _git(*arguments: str, at: Path | None = None) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=at, capture_output=True, text=True, check=False)
    if done.returncode:
        error = _GitError(done.stderr)
        error.stderr = done.stderr
        raise error
    return done.stdout.strip()


class _Repo:
    """GitPython's view of a repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def remotes(self) -> list[str]:
        return _git("remote", at=self.path).split()

    @property
    def head(self) -> Any:
        return SimpleNamespace(commit=SimpleNamespace(hexsha=_git("rev-parse", "HEAD", at=self.path)))


class _GitDagBundle:
    """What Airflow's class of this name does for its children, as far as they rely on it."""

    storage = Path()

    def __init__(self, *, name: str, tracking_ref: str, repo_url: str, version: str | None = None, **_: Any) -> None:
        self.name, self.tracking_ref, self.repo_url, self.version = name, tracking_ref, repo_url, version
        self.base_dir = self.storage / name
        self.bare_repo_path = self.base_dir / "bare"
        self.repo_path = self.base_dir / "versions" / version if version else self.base_dir / "tracking_repo"
        self.is_initialized = False

    @property
    def path(self) -> Path:
        return self.repo_path

    def initialize(self) -> None:
        for attempt in (1, 2):
            try:
                if not self.bare_repo_path.exists():
                    _git("clone", "--bare", self.repo_url, str(self.bare_repo_path))
                self.bare_repo = _Repo(self.bare_repo_path)
                self._fetch_bare_repo()
            except (_GitError, _InvalidRepositoryError):
                shutil.rmtree(self.bare_repo_path, ignore_errors=True)
                if attempt == 2:
                    raise RuntimeError("Error cloning repository") from None
            else:
                break
        if not self.repo_path.exists():
            _git("clone", str(self.bare_repo_path), str(self.repo_path))
        self.repo = _Repo(self.repo_path)
        if self.version:
            _git("reset", "--hard", self.version, at=self.repo_path)
            shutil.rmtree(self.repo_path / ".git")
        else:
            self.refresh()
        self.is_initialized = True

    def refresh(self) -> None:
        self._fetch_bare_repo()
        _git("fetch", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", at=self.repo_path)
        branches = _git("branch", "--remotes", "--format=%(refname:short)", at=self.repo_path).split()
        branch = f"origin/{self.tracking_ref}"
        _git("reset", "--hard", branch if branch in branches else self.tracking_ref, at=self.repo_path)

    def _fetch_bare_repo(self) -> None:
        _git("fetch", "origin", *REFS, at=self.bare_repo_path)

    @staticmethod
    def _has_version(repo: _Repo, version: str) -> bool:
        try:
            return bool(_git("rev-parse", "--verify", "--quiet", f"{version}^{{commit}}", at=repo.path))
        except _GitError:
            return False


def _stand_in(storage: Path) -> dict[str, ModuleType]:
    contents: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow.configuration": {"conf": SimpleNamespace(getint=lambda _, option: OPTIONS[option])},
        "airflow.dag_processing": {},
        "airflow.dag_processing.bundles": {},
        "airflow.dag_processing.bundles.base": {"get_bundle_tracking_dir": lambda name: storage / "_tracking" / name},
        "airflow.providers": {},
        "airflow.providers.git": {},
        "airflow.providers.git.bundles": {},
        "airflow.providers.git.bundles.git": {"GitDagBundle": _GitDagBundle},
        "git": {},
        "git.exc": {"GitCommandError": _GitError, "InvalidGitRepositoryError": _InvalidRepositoryError},
    }
    modules = {name: ModuleType(name) for name in contents}
    for name, content in contents.items():
        vars(modules[name]).update(content)
    _GitDagBundle.storage = storage
    return modules


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with its bundles below a folder of the test's own."""
    storage = tmp_path / "bundles"
    if AIRFLOW:
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(storage))
        for option, value in OPTIONS.items():
            monkeypatch.setenv(f"AIRFLOW__DAG_PROCESSOR__{option.upper()}", str(value))
        monkeypatch.setenv("AIRFLOW_CONN_GIT_TEAM", json.dumps({"conn_type": "git"}))
    else:
        for name, stand_in in _stand_in(storage).items():
            monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setitem(sys.modules, "version_store", load("python/version_store.py"))
    return load("python/git_bundle.py")


@pytest.fixture
def clock(bundles: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(bundles, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


class _Host:
    """A Git host with one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "host"
        self.folder.mkdir()
        _git("init", "--quiet", "--initial-branch=main", at=self.folder)

    def commit(self, word: str, *, also: str = "") -> str:
        """Add a commit in which dags/a.py has this word; its hash."""
        (self.folder / "a.py").write_text(word)
        if also:
            (self.folder / also).write_text("")
        _git("add", "--all", at=self.folder)
        _git("commit", "--quiet", "--message", word, at=self.folder)
        return _git("rev-parse", "HEAD", at=self.folder)

    @contextmanager
    def away(self) -> Generator[None]:
        """The host does not answer."""
        elsewhere = self.folder.with_name("unplugged")
        self.folder.rename(elsewhere)
        try:
            yield
        finally:
            elsewhere.rename(self.folder)


@pytest.fixture
def host(tmp_path: Path) -> _Host:
    return _Host(tmp_path)


Make = Callable[..., Any]


@pytest.fixture
def make(bundles: Any, host: _Host) -> Make:
    """A bundle as a new process has it."""

    def make(version: str | None = None, ref: str = "main") -> Any:
        return bundles.CommitDagBundle(
            name=NAME,
            tracking_ref=ref,
            repo_url=f"file://{host.folder}",
            git_conn_id="git_team",
            version=version,
        )

    return make


def _started(bundle: Any) -> Any:
    bundle.initialize()
    assert bundle.is_initialized
    return bundle


def _word(bundle: Any) -> str:
    return (bundle.path / "a.py").read_text()


def test_the_newest_commit_becomes_the_current_one_with_a_refresh(make: Make, host: _Host):
    first = host.commit("one")
    bundle = _started(make())
    assert (bundle.version_here, _word(bundle)) == (first, "one")
    second = host.commit("two")
    assert bundle.version_here == first, "not before the refresh"
    bundle.refresh()
    assert (bundle.version_here, _word(bundle)) == (second, "two")


def test_a_branch_that_was_rewritten_is_followed(make: Make, host: _Host):
    first = host.commit("one")
    host.commit("two")
    bundle = _started(make())
    _git("reset", "--quiet", "--hard", first, at=host.folder)
    third = host.commit("three")
    bundle.refresh()
    assert bundle.version_here == third


def test_a_tag_that_moves_is_followed(make: Make, host: _Host):
    first = host.commit("one")
    _git("tag", "live", at=host.folder)
    second = host.commit("two")
    bundle = _started(make(ref="live"))
    assert bundle.version_here == first
    _git("tag", "--force", "live", second, at=host.folder)
    bundle.refresh()
    assert bundle.version_here == second


def test_a_run_keeps_its_commit_as_a_plain_folder(make: Make, host: _Host):
    first = host.commit("one", also="gone.py")
    (host.folder / "gone.py").unlink()
    host.commit("two")
    task = _started(make(first))
    assert sorted(path.name for path in task.path.iterdir()) == ["a.py", "gone.py"]
    assert task.version_here == first


def test_a_task_whose_commit_is_there_asks_nobody(make: Make, host: _Host, monkeypatch: pytest.MonkeyPatch):
    first = host.commit("one")
    _started(make(first))
    monkeypatch.setenv("PATH", "")
    assert _word(_started(make(first))) == "one"


def test_while_the_host_is_away_the_commit_stays_also_for_a_process_that_starts(make: Make, host: _Host):
    first = host.commit("one")
    bundle = _started(make())
    with host.away():
        bundle.refresh()
        again = _started(make())
        assert [each.version_here for each in (bundle, again)] == [first, first]
        assert _word(_started(make(first))) == "one", "a run on it can still begin"
    assert bundle.base_dir.joinpath("bare").exists()


def test_a_commit_that_the_node_lacks_is_an_error_while_the_host_is_away_and_none_after_that(
    bundles: Any, make: Make, host: _Host
):
    host.commit("one")
    _started(make())
    second = host.commit("two")
    with host.away(), pytest.raises(bundles.CommitUnavailableError, match=second):
        make(second).initialize()
    assert _word(_started(make(second))) == "two"


def test_a_host_that_is_away_is_not_asked_with_each_refresh(
    make: Make, host: _Host, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
):
    host.commit("one")
    bundle = _started(make())
    with host.away():
        for _ in range(12):
            bundle.refresh()
            clock.seconds += 5
    assert len([line for line in caplog.messages if "cannot be reached" in line]) == 2, "in a minute"
    second = host.commit("two")
    clock.seconds += 30
    bundle.refresh()
    assert bundle.version_here == second


def test_a_repository_that_cannot_be_cloned_is_tried_again_after_a_pause(
    bundles: Any, make: Make, host: _Host, clock: SimpleNamespace
):
    first = host.commit("one")
    bundle = make()
    with host.away(), pytest.raises(RuntimeError, match="Error cloning"):
        bundle.initialize()
    assert not bundle.is_initialized
    assert bundle.version_here is None
    with pytest.raises(bundles.CommitUnavailableError, match="not asked again yet"):
        bundle.initialize()
    clock.seconds += 30
    assert _started(bundle).version_here == first


def test_it_is_the_newest_as_long_as_the_host_says_so(make: Make, host: _Host, clock: SimpleNamespace):
    host.commit("one")
    bundle = _started(make())
    assert bundle.is_newest()
    second = host.commit("two")
    assert not bundle.is_newest()
    assert bundle.version_here == second
    with host.away():
        assert not bundle.is_newest()
    clock.seconds += 30
    assert bundle.is_newest()


def test_commits_that_nobody_uses_leave_the_disk(make: Make, host: _Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(OPTIONS, "stale_bundle_cleanup_min_versions", 1)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_MIN_VERSIONS", "1")
    commits = [host.commit(word) for word in ("one", "two", "three", "four")]
    running = _started(make(commits[0]))
    for commit in commits[1:]:
        _started(make(commit))
    there = {path.name for path in (running.base_dir / "versions").iterdir()}
    assert there == {commits[0], commits[3]}, "the one in use, and the one that was used last"
    assert _word(running) == "one"
    assert _word(_started(make(commits[1]))) == "two", "it can be had again"


@pytest.mark.parametrize("left", ["a folder of the clone", "half a commit"])
def test_what_a_killed_process_has_left_is_not_used(make: Make, host: _Host, left: str):
    first = host.commit("one")
    bundle = make(first)
    if left == "half a commit":
        (bundle.base_dir / "temporary/tmp123" / first).mkdir(parents=True)
    else:
        bundle.bare_repo_path.parent.mkdir(parents=True)
        _git("init", "--quiet", "--bare", str(bundle.bare_repo_path))
    assert _word(_started(bundle)) == "one"
    assert not list((bundle.base_dir / "temporary").iterdir())


def test_git_ends_in_time_with_all_that_it_has_started(tmp_path: Path):
    """As GitPython starts it in the DAG processor, with a transport that never answers."""
    short = tmp_path / "git-within-limit"
    short.write_text(program_path("git-within-limit").read_text().replace("SECONDS = 40", "SECONDS = 1"))
    short.chmod(0o755)
    transport = tmp_path / "ssh"
    transport.write_text("#!/bin/sh\nexec sleep 600\n")
    transport.chmod(0o755)
    environment = os.environ | {"GIT_SSH_COMMAND": str(transport)}
    command = [str(short), "ls-remote", "ssh://git@git.example.com/team/dags.git"]
    # It also waits until nobody has the other end of its pipes.
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 124
