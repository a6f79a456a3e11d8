"""A component whose children a test defines."""

from __future__ import annotations

from collections.abc import Callable

import pulumi


class Part(pulumi.ComponentResource):
    """A component with the children that it is given."""

    def __init__(
        self,
        name: str,
        children: Callable[[str, pulumi.ResourceOptions], object],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("airflow:test:Part", name, None, opts)
        children(name, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})
