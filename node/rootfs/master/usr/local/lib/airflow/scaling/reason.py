"""The sentence with which a decision goes into the log."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_node.worker_registry import GroupSizes

from scaling.pool import Pool

# More instances are only counted here; the log line lists them in a field of their own.
NAMED_AT_MOST = 3


def need(pool: Pool, group: GroupSizes, *, running: int, queued: int, expected: int, wanted: int) -> str:
    """Why so many workers are needed, and what limits them."""
    text = f"{running} running and {queued} queued tasks fill {workers(pool.workers_for(running + queued))}"
    ahead = pool.workers_for(running + queued + expected) - pool.workers_for(running + queued)
    if ahead:
        allowed = "" if ahead <= pool.workers_ahead else f", of which workersAhead allows {pool.workers_ahead}"
        text += f", {expected} expected tasks {ahead} more{allowed}"
    if wanted > group.maximum:
        return f"{text}; the maximum is {group.maximum}"
    return f"{text}; the minimum is {group.minimum}" if wanted < group.minimum else text


def ending(count: int) -> str:
    """How many workers of the group take no more tasks and finish their last ones."""
    return f"{workers(count)} in service {'takes' if count == 1 else 'take'} no more tasks" if count else ""


def unavailable(instances: Sequence[str]) -> str:
    """Which workers report that tasks would fail on them."""
    return f"{named(instances)} cannot take tasks" if instances else ""


def launch(group: GroupSizes, desired: int, *, target: int, failure: str | None, wait_seconds: float) -> str:
    """The size that the group is raised to, or why it is not raised."""
    refused = f"launches fail ({failure})" if failure else ""
    if desired > group.desired:
        return f"asking for {desired} instead of {group.desired}" + (f" once more, {refused}" if failure else "")
    if failure and target > group.desired:
        return f"{refused}: not asking for {target} instead of {group.desired} for another {wait_seconds:.0f} s"
    return refused


def moves(uncordoned: Sequence[str], cordoned: Sequence[str], window_seconds: float) -> str:
    """Which workers start or stop consuming."""
    parts = [f"uncordoning {named(uncordoned)}"] if uncordoned else []
    if cordoned:
        parts.append(f"cordoning {named(cordoned)}, surplus for {window_seconds:.0f} s")
    return "; ".join(parts)


def workers(count: int) -> str:
    """The number with its noun."""
    return f"{count} worker{'' if count == 1 else 's'}"


def named(instances: Sequence[str]) -> str:
    """The instances, or their number."""
    return ", ".join(instances) if len(instances) <= NAMED_AT_MOST else workers(len(instances))


def boots(count: int, boot_seconds: float | None) -> str:
    """How many workers are not ready yet."""
    if count <= 0:
        return ""
    return f"{workers(count)} not ready" + ("" if boot_seconds is None else f", a boot takes {boot_seconds:.0f} s")
