"""What a check is, what it finds, and how checks are run: each on its own, so that one that fails hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from preflight.account import Account, CannotTellError
from preflight.needs import Needs

Verdict = Literal["pass", "will fail", "cannot tell"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check looked at. The text says what was found and, unless it passes, what to do."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Check:
    """A question to AWS about what the plan needs; it finds nothing where the plan needs nothing of the kind."""

    title: str
    run: Callable[[Needs, Account], Iterable[Finding]]


@dataclass(frozen=True)
class Answer:
    """What a check has found."""

    title: str
    findings: Sequence[Finding]


def passed(text: str) -> Finding:
    """The account has what is needed."""
    return Finding("pass", text)


def will_fail(text: str) -> Finding:
    """`pulumi up`, or the start of a node, would fail at this."""
    return Finding("will fail", text)


def cannot_tell(text: str) -> Finding:
    """AWS gave no clear answer."""
    return Finding("cannot tell", text)


def answered(check: Check, needs: Needs, account: Account) -> Answer:
    """Run one check; an answer that AWS denies makes it undecided. Raises CredentialsError."""
    findings: list[Finding] = []
    try:
        findings.extend(check.run(needs, account))
    except CannotTellError as error:
        findings.append(cannot_tell(str(error)))
    return Answer(check.title, findings)
