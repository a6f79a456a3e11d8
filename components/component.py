"""The base of all components."""

from __future__ import annotations

from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A component whose children all get their options in one way."""

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """The options of a child resource: this component is the parent."""
        return pulumi.ResourceOptions(parent=self, **options)
