"""An Airflow option that the program sets on nodes, and its value on one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.environment import NodeEnvironment


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A value that depends on the stack file.

    Attributes:
        of: the value on a node; None leaves the option to Airflow's default.
        source: where the value comes from, for the reference.
    """

    of: Callable[[NodeEnvironment], str | None]
    source: str


@dataclass(frozen=True, kw_only=True)
class NodeOption:
    """An Airflow option that the program sets.

    Attributes:
        locked: whether other parts of the cluster rely on the value, so that `airflow:config` may not set it.
    """

    section: str
    option: str
    value: str | Computed
    reason: str
    locked: bool

    @property
    def name(self) -> tuple[str, str]:
        """The section and the option."""
        return self.section, self.option


def values(options: Iterable[NodeOption], environment: NodeEnvironment) -> dict[tuple[str, str], str]:
    """The options with their values on a node."""
    found = {
        each.name: each.value.of(environment) if isinstance(each.value, Computed) else each.value for each in options
    }
    return {name: value for name, value in found.items() if value is not None}
