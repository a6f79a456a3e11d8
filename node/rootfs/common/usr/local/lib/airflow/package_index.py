"""The stack's own package index, as uv and pip are told of it: by variables, which no list of processes shows.

`make lock` asks the same indexes in the same order as the nodes do, because it calls this too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

# uv finds the credentials of an index by its name.
NAME = "private"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """User name and password of the index."""

    username: str
    password: str

    @classmethod
    def from_secret(cls, text: str) -> Credentials:
        """Raises ValueError, which quotes nothing of the text, unless it is JSON with `username` and `password`."""
        try:
            document = json.loads(text)
            username, password = document["username"], document["password"]
        except (ValueError, KeyError, TypeError):
            raise ValueError("it must be JSON with username and password") from None
        if not (isinstance(username, str) and isinstance(password, str)):
            raise ValueError("username and password must be strings")
        return cls(username=username, password=password)


def variables(url: str, *, pypi: bool, credentials: Credentials | None) -> dict[str, str]:
    """The environment of uv and pip.

    With `pypi`, a package comes from the stack's index if that knows its name, and from PyPI otherwise: uv's
    `first-index`, so that nobody can shadow a private package by publishing its name. pip only installs uv, by hash:
    from the index where PyPI may not be asked.
    https://docs.astral.sh/uv/concepts/indexes/
    """
    found = {"UV_INDEX" if pypi else "UV_DEFAULT_INDEX": f"{NAME}={url}"}
    if credentials is not None:
        found[f"UV_INDEX_{NAME.upper()}_USERNAME"] = credentials.username
        found[f"UV_INDEX_{NAME.upper()}_PASSWORD"] = credentials.password
    if not pypi:
        found["PIP_INDEX_URL"] = _with_credentials(url, credentials)
    return found


def of_node(environment: Mapping[str, str], credentials: Credentials | None) -> dict[str, str]:
    """The same for a node, from what its stack file says; empty where PyPI alone is asked."""
    url = environment.get("NODE_PACKAGE_INDEX")
    return variables(url, pypi=environment["NODE_PYPI"] == "true", credentials=credentials) if url else {}


def _with_credentials(url: str, credentials: Credentials | None) -> str:
    if credentials is None:
        return url
    parts = urlsplit(url)
    user = f"{quote(credentials.username, safe='')}:{quote(credentials.password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
