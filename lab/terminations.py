"""The nodes that went, and how."""

from __future__ import annotations

from dataclasses import dataclass

from lab.aws.fleet import Ending
from lab.node import Node


@dataclass(frozen=True, kw_only=True)
class Termination:
    """The end of one node.

    Attributes:
        pool: empty for a master.
        cause: why it went, in the words of Auto Scaling's activity, or of the lab where it was no decision of AWS.
        how: `continue`, `abandon` or `timeout` (what let it pass the terminating hook), `retained` (terminated after
            it had been retained), `no hook`, `terminated` (by EC2, past Auto Scaling), `powered off` (by itself) or
            `power cut`.
        waited_seconds: from the decision to terminate it to its end.
    """

    node_name: str
    instance: str
    pool: str
    cause: str
    how: str
    waited_seconds: float = 0.0


def termination_of(node: Node, ending: Ending | None, *, cause: str = "", how: str = "") -> Termination:
    """Put together what the lab saw (`cause`, `how`) and what Auto Scaling tells; the lab was closer."""
    told = ending or Ending(cause="", how="", waited=0.0)
    return Termination(
        node_name=node.name,
        instance=node.instance.id,
        pool=node.instance.tags.get("airflow:pool", ""),
        cause=cause or told.cause,
        how=how or {"outside": "terminated"}.get(told.how, told.how),
        waited_seconds=told.waited,
    )
