"""Debian packages, installed by apt while the node boots."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from airflow_node import log, retry
from airflow_node.boot_step import StepFailedError

# For unattended upgrades, which may hold dpkg's lock for minutes.
LOCK_SECONDS = 300
# Of one attempt: apt itself ends only a download that stands still.
LIMIT_SECONDS = 480
# apt runs in a unit of its own, because a boot step's sandbox may not write to the system, and after cloud-init's
# stage that writes apt's list of sources.
IN_ITS_OWN_UNIT = (
    *("systemd-run", "--quiet", "--wait", "--collect", "--pipe", "--property=After=cloud-config.service"),
    f"--property=RuntimeMaxSec={LIMIT_SECONDS}",
    *("--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=LC_ALL=C.UTF-8"),
)
# For what nobody waits for.
AT_IDLE_PRIORITY = ("--property=CPUSchedulingPolicy=idle", "--property=IOSchedulingClass=idle")
# - Error-Mode: otherwise apt reports success when a mirror does not answer, and uses the lists of the image.
# - force-conf*: an existing configuration file stays as it is. Nobody can answer dpkg's question.
# - Pattern-Only: otherwise apt takes a name that it does not know, such as python3.99, for a regular expression.
COMMANDS = (
    "apt-get update --quiet --option=APT::Update::Error-Mode=any"
    " && apt-get install --quiet --yes --no-install-recommends"
    f" --option=DPkg::Lock::Timeout={LOCK_SECONDS} --option=APT::Cmd::Pattern-Only=true"
    " --option=Dpkg::Options::=--force-confdef --option=Dpkg::Options::=--force-confold"
    ' -- "$@"'
)
# A retry does not help: the name is wrong, or the archive has no such package for this architecture.
_NO_SUCH_PACKAGE = re.compile(r"Unable to locate package (\S+)|Package '(\S+)' has no installation candidate")


class AptError(Exception):
    """apt has failed; the message is its output."""


def install(packages: Sequence[str], *, idle: bool = False) -> None:
    """Install the packages that are missing from the archives that the image knows. Raises StepFailedError.

    With `idle`, everything else on the node has priority.

    Faults of the mirrors and of the network are retried, and so is a lock that another apt holds.
    """
    try:
        retry.call(
            lambda: _attempt(packages, idle=idle), what="Debian's packages", may_pass=_may_pass, pauses=retry.backoff()
        )
    except (AptError, OSError) as error:
        raise StepFailedError(_explained(str(error))) from error


def missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", "--", *packages]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    installed = {line.split()[0] for line in shown if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def _attempt(packages: Sequence[str], *, idle: bool) -> None:
    command = [*IN_ITS_OWN_UNIT, *(AT_IDLE_PRIORITY if idle else ()), "sh", "-c", COMMANDS, "sh", *packages]
    result = subprocess.run(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        raise AptError(_errors(result.stdout) or f"exit code {result.returncode}")


def _errors(output: str) -> str:
    """The lines of apt's output that say what is wrong; its last lines if none is marked as an error."""
    lines = output.strip().splitlines()
    return "\n".join([line for line in lines if line.startswith(("E: ", "Error: ", "Err:"))] or lines[-5:])


def _may_pass(error: Exception) -> bool:
    return isinstance(error, AptError | OSError) and not _NO_SUCH_PACKAGE.search(str(error))


def _explained(output: str) -> str:
    unknown = sorted({first or second for first, second in _NO_SUCH_PACKAGE.findall(output)})
    if unknown:
        return (
            f"Debian 13's archive has no package {', '.join(unknown)} for this node. "
            "Correct systemPackages in the stack file."
        )
    return f"apt cannot install: {log.one_line(output)}. Check the network path to Debian's mirror."
