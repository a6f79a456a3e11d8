"""How nodes ended."""

from __future__ import annotations

from dataclasses import dataclass

from lab.aws.fleet import Ending
from lab.node import Node


@dataclass(frozen=True, kw_only=True)
class Termination:
    """The end of one node.

    Attributes:
        pool: the name of a worker's pool; None for a master.
        cause: why it ended: the cause of Auto Scaling's activity, or the lab's own where AWS did not decide it.
        how: `continue`, `abandon` or `timeout` (what ended the terminating hook), `retained` (terminated after it had
            been retained), `no hook`, `terminated` (by EC2, without Auto Scaling), `powered off` (by itself) or
            `power cut`.
        waited_seconds: from the decision to terminate it to its end.
    """

    node_name: str
    instance: str
    pool: str | None
    cause: str
    how: str
    waited_seconds: float = 0.0


def termination_of(node: Node, ending: Ending | None, *, cause: str = "", how: str = "") -> Termination:
    """Combine what the lab itself did (`cause`, `how`), which comes first, with Auto Scaling's record."""
    recorded = ending or Ending(cause="", how="", waited=0.0)
    return Termination(
        node_name=node.name,
        instance=node.instance.id,
        pool=node.instance.tags.get("airflow:pool"),
        cause=cause or recorded.cause,
        how=how or {"outside": "terminated"}.get(recorded.how, recorded.how),
        waited_seconds=recorded.waited,
    )
