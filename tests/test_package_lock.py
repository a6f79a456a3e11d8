"""`make lock` uses the stack's package index and ignores the operator's shell: real uv, indexes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import yaml

import package_lock
from node import lock
from node.environment import PackageIndex
from node.lock import LockError, UvIndex
from package_lock import stack_index
from settings.rules import warnings
from tests.node.fake_server import FakeServer, serving
from tests.node.package_indexes import PASSWORD, USERNAME, serving_packages
from tests.node.programs import module
from tests.stack_file import ROOT, changed, load

package_index = module("airflow_node.package_index")
CREDENTIALS = package_index.Credentials(username=USERNAME, password=PASSWORD)


@pytest.fixture
def private() -> Iterator[FakeServer]:
    """A package index with a private package, which requires credentials."""
    with serving(serving_packages({"ours": "1.0"}, private=True)) as server:
        yield server


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """The index in place of PyPI, which has a newer package with the private one's name."""
    with serving(serving_packages({"ours": "9.0", "theirs": "2.0"})) as server:
        clean = lock.clean_environment

        def with_public(index: Mapping[str, str]) -> dict[str, str]:
            return {"UV_DEFAULT_INDEX": f"{server.url}/simple/"} | clean(index)

        monkeypatch.setattr(lock, "clean_environment", with_public)
        yield server


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose nodes need `ours`, and a shell without this machine's credentials."""
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "requirements.txt").write_text("ours\n")
    return tmp_path / "requirements.txt"


def _locked(sources: Path, index: UvIndex) -> str:
    target = sources.with_name("lock.txt")
    lock.compile_lock([sources], target, upgrade=False, index=index)
    return target.read_text()


def _index(server: FakeServer, *, pypi: bool, credentials: Any = CREDENTIALS) -> UvIndex:
    url = f"{server.url}/simple/"
    index = PackageIndex(url=url, credentials_secret=None, pypi=pypi)
    return UvIndex(index, package_index.variables(url, pypi=pypi, credentials=credentials))


def test_a_package_in_the_stacks_index_is_locked_by_hash(sources: Path, private: FakeServer):
    locked = _locked(sources, _index(private, pypi=False))
    assert "ours==1.0 \\\n    --hash=sha256:" in locked
    assert PASSWORD not in locked


def test_the_lock_says_which_indexes_it_was_made_with(sources: Path, private: FakeServer, public: FakeServer):
    assert public.url
    for pypi, name in ((False, f"{private.url}/simple/"), (True, f"{private.url}/simple/, then PyPI")):
        _, second, *_ = _locked(sources, _index(private, pypi=pypi)).splitlines()
        assert second == f"# Package index: {name}"


def test_a_package_of_the_same_name_on_pypi_is_not_used(sources: Path, private: FakeServer, public: FakeServer):
    sources.write_text("ours\ntheirs\n")
    locked = _locked(sources, _index(private, pypi=True))
    assert "ours==1.0" in locked
    assert "theirs==2.0" in locked, "packages that the index lacks come from PyPI"
    assert not [request.path for request in public.requests if "ours" in request.path]


@pytest.mark.parametrize("variable", ["UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS"])
def test_an_index_of_the_operators_shell_is_ignored(
    sources: Path, private: FakeServer, monkeypatch: pytest.MonkeyPatch, variable: str
):
    with serving(serving_packages({"ours": "3.0"})) as operators:
        place = "/simple/ours/" if variable == "UV_FIND_LINKS" else "/simple/"
        monkeypatch.setenv(variable, f"{operators.url}{place}")
        assert "ours==1.0" in _locked(sources, _index(private, pypi=False))
        assert not operators.requests


@pytest.mark.parametrize("place", [".config/uv/uv.toml", "uv.toml"])
def test_an_index_in_a_uv_toml_is_ignored(
    sources: Path, private: FakeServer, monkeypatch: pytest.MonkeyPatch, place: str
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(sources.parent / ".config"))
    with serving(serving_packages({"ours": "3.0"})) as operators:
        configuration = sources.parent / place
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(f'extra-index-url = ["{operators.url}/simple/"]\n')
        assert "ours==1.0" in _locked(sources, _index(private, pypi=False))
        assert not operators.requests


def test_credentials_in_the_operators_netrc_are_ignored(sources: Path, private: FakeServer):
    host = urlsplit(private.url).hostname
    netrc = sources.parent / ".netrc"
    netrc.write_text(f'machine {host} login {USERNAME} password "{PASSWORD}"\n')
    netrc.chmod(0o600)
    with pytest.raises(LockError, match="cannot be resolved"):
        _locked(sources, _index(private, pypi=False, credentials=None))


def test_the_error_does_not_show_a_refused_password(sources: Path, private: FakeServer):
    wrong = package_index.Credentials(username=USERNAME, password="not-the-one")
    with pytest.raises(LockError, match="cannot be resolved") as failure:
        _locked(sources, _index(private, pypi=False, credentials=wrong))
    assert "not-the-one" not in str(failure.value)


@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-url https://packages.example.com/simple/",
        "-r more.txt",
        "-e .",
        "./ours",
        "~/ours-1.0-py3-none-any.whl",
        "wheels/ours-1.0-py3-none-any.whl",
        "ours @ ./wheels/ours-1.0-py3-none-any.whl",
        "ours @ file:///tmp/ours-1.0-py3-none-any.whl",
    ],
)
def test_a_line_that_works_only_on_this_machine_is_refused(line: str):
    with pytest.raises(LockError, match=r"lines that do not work on a node: 2\.\n"):
        lock.check_requirements(f"pandas  # for the reports\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# From the old Dockerfile: pandas",
        "pandas>=3,<4",
        "pandas[excel]==3.0 ; python_version > '3.12'",
        "pandas\t# file: the old one",
        "ours @ https://packages.example.com/ours-1.0-py3-none-any.whl#sha256=00",
    ],
)
def test_a_requirement_and_a_comment_are_accepted(line: str):
    lock.check_requirements(f"{line}\n")


@pytest.mark.parametrize("option", ["--index-url ", "--index-url=", ""])
def test_a_refused_line_is_not_printed_because_it_may_contain_a_password(option: str):
    with pytest.raises(LockError) as refused:
        lock.check_requirements(f"{option}https://reader:hush@packages.example.com/simple/\n")
    assert "hush" not in str(refused.value)
    assert "airflow:packageIndex" in str(refused.value)


INDEX = {"url": "https://packages.example.com/simple/", "credentialsSecret": "package-index"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: airflow\nruntime: python\n")
    return tmp_path


def _stack(repository: Path, index: Any, *, key: str = "airflow:packageIndex") -> None:
    content = {"config": {"aws:region": "eu-west-1", key: index}}
    (repository / "Pulumi.prod.yaml").write_text(yaml.safe_dump(content))


def test_a_stack_without_an_index_adds_no_variables(repository: Path):
    (repository / "Pulumi.prod.yaml").write_text("config:\n  aws:region: eu-west-1\n")
    assert stack_index(repository, "prod") == lock.PYPI


@pytest.mark.parametrize("key", ["airflow:packageIndex", "packageIndex"])
def test_the_credentials_come_from_secrets_manager(aws: boto3.Session, repository: Path, key: str):
    """The second key is valid too: the CLI prefixes it with the project's name."""
    secret = json.dumps({"username": USERNAME, "password": PASSWORD})
    aws.client("secretsmanager").create_secret(Name="package-index", SecretString=secret)
    _stack(repository, INDEX, key=key)
    index = stack_index(repository, "prod")
    assert index.variables == package_index.variables(INDEX["url"], pypi=True, credentials=CREDENTIALS)
    assert index.package_index == PackageIndex(url=INDEX["url"], credentials_secret="package-index", pypi=True)


@pytest.mark.usefixtures("aws")
def test_a_secret_that_cannot_be_read_is_named(repository: Path):
    _stack(repository, INDEX)
    with pytest.raises(LockError, match="The secret package-index of the package index cannot be read in eu-west-1"):
        stack_index(repository, "prod")


@pytest.mark.parametrize("value", ["hush", "[]", '{"username": "hush"}', '{"username": "hush", "password": 1}'])
def test_the_error_for_a_secret_in_another_format_names_it_without_its_value(
    aws: boto3.Session, repository: Path, value: str
):
    aws.client("secretsmanager").create_secret(Name="package-index", SecretString=value)
    _stack(repository, INDEX)
    with pytest.raises(LockError, match="The secret package-index cannot be used") as refused:
        stack_index(repository, "prod")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("index", ["https://x/", {"url": "http://x/"}, {"url": "https://x/", "pypy": False}])
def test_the_error_for_a_faulty_section_refers_to_the_plan(repository: Path, index: Any):
    _stack(repository, index)
    with pytest.raises(LockError, match="make plan STACK=prod"):
        stack_index(repository, "prod")


def test_a_stack_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]):
    assert package_lock.main(["--stack", "nowhere"]) == 1
    assert "There is no Pulumi.nowhere.yaml" in capsys.readouterr().err


def test_an_index_with_which_the_lock_was_not_made_causes_a_warning():
    (warning,) = warnings(load(changed({"airflow:packageIndex": {"url": INDEX["url"], "pypi": False}})))
    assert "nodes install from https://packages.example.com/simple/, but the lock was made with PyPI" in warning
    assert "make lock" in warning


def test_the_lock_and_the_nodes_use_the_same_code_for_the_index():
    assert package_lock.package_index is package_index


def test_the_programs_own_requirements_are_locked_without_the_operators_variables():
    environment = os.environ | {"UV_EXTRA_INDEX_URL": "https://packages.example.com/simple/"}
    printed = subprocess.run(
        ["make", "--dry-run", "requirements"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert "-u UV_EXTRA_INDEX_URL" in printed.stdout
    assert "--no-config" in printed.stdout
