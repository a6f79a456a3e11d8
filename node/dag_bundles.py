"""The DAG bundles of a cluster, as Airflow's option `dag_bundle_config_list` describes them to the nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_BUNDLE = "dags"
KNOWN_HOSTS_FILE = "/etc/ssh/ssh_known_hosts"


@dataclass(frozen=True, kw_only=True)
class GitSource:
    """A Git repository from which a bundle's DAGs come.

    Attributes:
        tracking_ref: the branch or tag that is followed.
        subdirectory: the folder of the DAGs; None for the whole repository.
        credentials_secret: name of the operator's secret with the key or the token; None if there is none.
        known_hosts: the SSH host keys, in the format of known_hosts.
    """

    repository: str
    tracking_ref: str
    subdirectory: str | None
    refresh_seconds: int
    credentials_secret: str | None
    known_hosts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DagBundle:
    """A bundle of DAGs: releases in the bucket for DAGs, below its name, or a Git repository."""

    name: str
    git: GitSource | None = None

    @property
    def connection_id(self) -> str:
        """Airflow's connection to the repository. It is in an environment variable, whose name has no hyphens."""
        return f"git_{self.name.replace('-', '_')}"

    @property
    def connection_variable(self) -> str:
        """The variable with the connection."""
        return f"AIRFLOW_CONN_{self.connection_id.upper()}"

    def config(self, dags_bucket: str) -> Mapping[str, Any]:
        """The bundle's entry in the option."""
        if self.git is None:
            classpath, arguments = "release_bundle.ReleaseDagBundle", {"bucket_name": dags_bucket}
        else:
            classpath, arguments = "git_bundle.CommitDagBundle", self._git_arguments(self.git)
        return {"name": self.name, "classpath": classpath, "kwargs": arguments}

    def _git_arguments(self, git: GitSource) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "repo_url": git.repository,
            "tracking_ref": git.tracking_ref,
            "git_conn_id": self.connection_id,
            "refresh_interval": git.refresh_seconds,
        }
        return arguments | ({"subdir": git.subdirectory} if git.subdirectory else {})


def config_list(bundles: Iterable[DagBundle], dags_bucket: str) -> str:
    """The option's value. The order of the bundles in the stack file does not matter."""
    return json.dumps([bundle.config(dags_bucket) for bundle in sorted(bundles, key=lambda bundle: bundle.name)])


def git_secrets(bundles: Iterable[DagBundle]) -> dict[str, str]:
    """The operator's secrets with the credentials of repositories, by the variables of the connections."""
    return {
        bundle.connection_variable: bundle.git.credentials_secret
        for bundle in bundles
        if bundle.git and bundle.git.credentials_secret
    }


def known_hosts(bundles: Iterable[DagBundle]) -> str:
    """The file with the host keys of all repositories; empty if there are none."""
    return "".join(
        f"{line}\n" for line in sorted({line for each in bundles if each.git for line in each.git.known_hosts})
    )


def git_packages(bundles: Iterable[DagBundle]) -> tuple[str, ...]:
    """The Debian packages that a node needs for the bundles."""
    repositories = [bundle.git.repository for bundle in bundles if bundle.git]
    over_ssh = any(repository.startswith("ssh:") for repository in repositories)
    return (("git", "openssh-client") if over_ssh else ("git",)) if repositories else ()
