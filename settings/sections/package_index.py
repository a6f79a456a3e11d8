"""`airflow:packageIndex`: a Python package index of your own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from node import lock_inputs
from node.environment import PackageIndex
from settings.section import Section
from settings.types import Flag, matching

PackageIndexUrl = Annotated[
    str,
    matching(
        r"https://[A-Za-z0-9.-]+(?::\d{1,5})?/[A-Za-z0-9._~%+:/-]*",
        "the https:// address of a package index (its simple API), without a user name or password in it",
        "write it like https://packages.example.com/simple/; credentials belong in credentialsSecret",
    ),
]


def _secret_name_remedy(text: str) -> str:
    """An ARN ends in a hyphen and six characters that Secrets Manager has added to the name."""
    if name := re.fullmatch(r"arn:aws:secretsmanager:[^:]*:[^:]*:secret:([A-Za-z0-9/_+=.@-]+)-[A-Za-z0-9]{6}", text):
        return f"give its name, not its ARN: {name[1]}"
    return "check the name with `aws secretsmanager list-secrets`"


SecretName = Annotated[
    str,
    matching(
        # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html: Name
        r"[A-Za-z0-9/_+=.@-]{1,512}",
        "the name of a secret in Secrets Manager: letters, digits and /_+=.@-, at most 512 characters",
        _secret_name_remedy,
    ),
]


class PackageIndexSettings(Section):
    """A Python package index of your own, for both `make lock` and the nodes."""

    url: PackageIndexUrl
    """Address of its simple API (PEP 503), for example `https://packages.example.com/simple/`. It is part of user data,
    so it must not contain credentials. Nodes reach it through NAT, and trust the certificate authorities that Debian
    trusts. Changing it replaces the nodes."""

    credentials_secret: SecretName | None = None
    """Name of a secret that you create in Secrets Manager, in this account and region, encrypted with the default key:
    JSON with `username` and `password`. Every node, and therefore every task, can read it, so give these credentials
    read-only access to the index. `make lock` reads the secret with your own AWS credentials. Without this key, the
    index is used without credentials."""

    pypi: Flag = True
    """Whether packages that the index lacks come from PyPI. A package that is in the index never comes from PyPI. Set
    it to false if the index mirrors PyPI."""

    def for_nodes(self) -> PackageIndex:
        """The index in the form that the nodes and the lock use."""
        return PackageIndex(url=self.url, credentials_secret=self.credentials_secret, pypi=self.pypi)


def lock_is_of_this_index(package_index: PackageIndexSettings | None) -> Iterator[str]:
    """A warning if the lock was made with another index."""
    used = lock_inputs.index_name(package_index.for_nodes() if package_index else None)
    locked = lock_inputs.locked_index()
    if used != locked:
        yield (
            f"airflow:packageIndex: nodes install from {used}, but the lock was made with {locked}. Unless both have "
            "the same files, new nodes fail: run `make lock` for this stack (STACK=) and commit the changes."
        )


WARNINGS = (lock_is_of_this_index,)
