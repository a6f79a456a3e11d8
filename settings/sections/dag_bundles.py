"""`airflow:dagBundles`: where DAGs come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from node.dag_bundles import DagBundle, GitSource
from settings.errors import Fault, FaultyValue, shown
from settings.section import Section
from settings.sections.package_index import SecretName
from settings.types import Allowed, Number, matching, name_remedy, whole_number

BundleName = Annotated[
    str,
    matching(
        r"(?=.{1,63}$)[a-z](?:-?[a-z0-9])*",
        "lower-case letters, digits and single hyphens, at most 63 characters; starts with a letter, ends with a "
        "letter or digit",
        lambda text: name_remedy(text[:63]),
    ),
]


_REPOSITORY = re.compile(
    r"(?:https://|ssh://[A-Za-z0-9_][A-Za-z0-9._-]*@)[A-Za-z0-9][A-Za-z0-9.-]*(?::(\d{1,5}))?/[A-Za-z0-9._~%+/-]+"
)
RepositoryUrl = Annotated[
    str,
    Allowed(
        "the https:// or ssh://user@ address of a Git repository, without a password in it",
        lambda text: (match := _REPOSITORY.fullmatch(text)) is not None and 1 <= int(match[1] or 22) <= 65535,
        "write it like https://git.example.com/team/dags.git or ssh://git@git.example.com/team/dags.git; credentials "
        "belong in credentialsSecret",
    ),
]
TrackingRef = Annotated[
    str,
    matching(
        # https://git-scm.com/docs/git-check-ref-format, without the characters that nobody uses.
        r"(?![0-9a-f]{40}$)(?!.*(?:\.\.|//|/\.|\.lock$|[/.]$))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}",
        "the name of a branch or tag, at most 200 characters; a commit would never change",
        "give a branch or tag as Git knows it, without refs/heads/, for example main",
    ),
]
Subdirectory = Annotated[
    str,
    matching(
        r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*",
        "a folder in the repository: letters, digits and ._-, separated by single slashes",
        "write it like team/dags, without a slash at its ends",
    ),
]
KnownHost = Annotated[
    str,
    matching(
        # sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Hashed names could not be compared with the repository's host.
        r"[\w.\[\]:,-]+ (?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{40,}={0,2}",
        "a line of known_hosts with a plain name: the host, the type of its key, and the key",
        "print the lines with `ssh-keyscan -t ed25519 <host>`, and compare them with what the host publishes",
    ),
]


class GitSettings(Section):
    """A Git repository whose commits are the versions of the bundle, through Airflow's own Git bundle. Nodes of such a
    stack install git when they boot. When releases are the better choice: `docs/authoring.md`."""

    repository: RepositoryUrl
    """Its address: `https://git.example.com/team/dags.git`, or `ssh://git@git.example.com/team/dags.git`. Masters and
    workers fetch from it, through NAT."""

    tracking_ref: TrackingRef
    """The branch or tag that is followed. Runs that have begun stay on their commit."""

    subdirectory: Subdirectory | None = None
    """The folder with the DAGs. Without it, the whole repository is searched for DAGs."""

    refresh_seconds: Annotated[Number, whole_number(10, 86_400, "seconds")] = 60
    """How often the host is asked for new commits; each master then has them within a few seconds."""

    credentials_secret: SecretName | None = None
    """Name of a secret that you create in Secrets Manager, in this account and region, encrypted with the default key.
    For SSH: a private key without a passphrase, as `ssh-keygen` writes it. For HTTPS: JSON with `username` and
    `password`, which is a token at most hosts; without this key, a public repository. Every node, and therefore every
    task, can read it: use a deploy key or a token that may only read this repository."""

    known_hosts: tuple[KnownHost, ...] = ()
    """For SSH, the host's public keys, as lines of known_hosts. A host with any other key is refused."""

    def for_nodes(self) -> GitSource:
        """The repository in the form that the nodes use."""
        return GitSource(
            repository=self.repository,
            tracking_ref=self.tracking_ref,
            subdirectory=self.subdirectory,
            refresh_seconds=self.refresh_seconds,
            credentials_secret=self.credentials_secret,
            known_hosts=self.known_hosts,
        )


class DagBundleSettings(Section):
    """A DAG bundle: the DAGs of one team, which are published together. Its name is that of the bundle in Airflow, and
    the first part of its keys in the bucket for DAGs. `{}` is a bundle of releases. If the section is left out, there
    is one such bundle, `dags`. Changing the section replaces the nodes. When a bundle is removed, its DAGs disappear
    from Airflow, its runs fail, and its releases stay in the bucket."""

    git: GitSettings | None = None

    def for_nodes(self, name: str) -> DagBundle:
        """The bundle in the form that the nodes use."""
        return DagBundle(name=name, git=self.git.for_nodes() if self.git else None)


DagBundles = Mapping[BundleName, DagBundleSettings]


def there_is_a_bundle(dag_bundles: DagBundles) -> Iterator[Fault]:
    """A stack has at least one DAG bundle."""
    if not dag_bundles:
        yield Fault(
            key="airflow:dagBundles",
            given="no bundle",
            allowed="at least one: without a bundle there are no DAGs",
            remedy="leave airflow:dagBundles out for one bundle named dags, or add one below it, for example dags: {}",
        )


def repositories_can_be_reached(dag_bundles: DagBundles) -> Iterator[Fault]:
    """A repository over SSH has a key in `credentialsSecret` and its host in `knownHosts`; one over HTTPS has no
    `knownHosts`."""
    for name, bundle in dag_bundles.items():
        try:
            if bundle.git is not None:
                yield from _transport(f"airflow:dagBundles.{name}.git", bundle.git)
        except FaultyValue:
            continue


def _transport(key: str, git: GitSettings) -> Iterator[Fault]:
    url, hosts = urlsplit(git.repository), git.known_hosts
    if url.scheme == "https":
        if hosts:
            yield Fault(
                key=f"{key}.knownHosts",
                given=f"{len(hosts)} host keys for {git.repository}",
                allowed="none: HTTPS uses certificates, and nodes trust the authorities that Debian trusts",
                remedy="remove knownHosts, or write the repository as ssh://",
            )
        return
    if git.credentials_secret is None:
        yield Fault(
            key=f"{key}.credentialsSecret",
            given="nothing",
            allowed="the name of a secret with a private key: SSH has no access without one",
            remedy="store a deploy key with `aws secretsmanager create-secret`, and give the secret's name",
        )
    host = url.hostname if url.port in (None, 22) else f"[{url.hostname}]:{url.port}"
    if not any(host in line.split()[0].lower().split(",") for line in hosts):
        yield Fault(
            key=f"{key}.knownHosts",
            given=shown([line.split()[0] for line in hosts]),
            allowed=f"at least one key of {host}: nodes connect to no host that they do not know",
            remedy=f"add the line that `ssh-keyscan -t ed25519 {'-p ' + str(url.port) + ' ' if url.port else ''}"
            f"{url.hostname}` prints, if its key is the one that the host publishes",
        )


RULES = (there_is_a_bundle, repositories_can_be_reached)
