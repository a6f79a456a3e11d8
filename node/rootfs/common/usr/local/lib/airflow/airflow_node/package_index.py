"""The stack's own package index as environment variables of uv and pip: unlike arguments, `ps` does not show them.

`make lock` also calls this, so it uses the same indexes in the same order as the nodes.
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
        """Raises ValueError, without quoting the text, unless it is JSON with `username` and `password`."""
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

    With `pypi`, a package comes from the stack's index if it has that name, and from PyPI otherwise: this is uv's
    strategy `first-index`, so a package published on PyPI cannot shadow a private one. pip only installs uv, by hash,
    and uses the stack's index only without `pypi`.
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
    """The same for a node, from its environment file; empty if only PyPI is used."""
    url = environment.get("NODE_PACKAGE_INDEX")
    return variables(url, pypi=environment["NODE_PYPI"] == "true", credentials=credentials) if url else {}


def _with_credentials(url: str, credentials: Credentials | None) -> str:
    if credentials is None:
        return url
    parts = urlsplit(url)
    user = f"{quote(credentials.username, safe='')}:{quote(credentials.password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
