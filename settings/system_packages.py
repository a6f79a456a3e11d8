"""Debian packages that a stack file lists for its nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from settings.types import Allowed

# https://www.debian.org/doc/debian-policy/ch-controlfields.html#source
# apt would remove a package whose name is given with a hyphen at its end; no package has such a name.
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")


def _remedy(packages: Sequence[str]) -> str:
    """What to correct: every entry that is not a name, and every name that is there twice."""
    wrong = [name for name in packages if not _NAME.fullmatch(name)]
    repeated = sorted({name for name in packages if packages.count(name) > 1})
    remedies = [f"correct {', '.join(map(_corrected, wrong))}"] if wrong else []
    remedies += [f"keep only one of each: {', '.join(repeated)}"] if repeated else []
    return "; ".join(remedies)


def _corrected(name: str) -> str:
    """The entry, with the name that is probably meant: apt's `git=1:2.47` and `git/trixie` choose a version."""
    plain = re.sub(r"[^a-z0-9+.-]+", "-", re.split("[=/:]", name.strip().lower())[0]).strip("-.")
    return f'"{name}" (perhaps {plain})' if _NAME.fullmatch(plain) else f'"{name}"'


SystemPackages = Annotated[
    tuple[str, ...],
    Allowed(
        "a list of names of Debian packages, without duplicates, versions and options: two or more lower-case letters, "
        "digits, and +-. inside; packages of Debian 13 are listed at https://packages.debian.org/trixie/",
        lambda packages: all(map(_NAME.fullmatch, packages)) and len(set(packages)) == len(packages),
        _remedy,
    ),
]
