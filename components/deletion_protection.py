"""Makes `pulumi destroy` of a protected stack fail before it deletes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.component import Component
from components.context import Context


@dataclass(frozen=True, kw_only=True)
class DeletionProtectionArgs:
    """What is protected.

    Attributes:
        last: the parts of the stack on which no other part depends.
    """

    context: Context
    last: Sequence[pulumi.Resource]


class DeletionProtection(Component):
    """A protected component without a cloud resource, which Pulumi has to delete before everything else.

    Pulumi checks a resource's protection only when it is about to delete it, and deletes resources without dependents
    first: without a preview, a destroy would delete the nodes and fail hours later at the database. After a refusal
    Pulumi deletes nothing that the protected resource depends on, not even with `--continue-on-error` or
    `--exclude-protected`:
    https://github.com/pulumi/pulumi/blob/master/pkg/resource/deploy/step.go (DeleteStep.Apply) and
    https://github.com/pulumi/pulumi/blob/master/pkg/resource/deploy/deployment_executor.go (performPostSteps).

    Resources that are removed from the program can still be deleted: this component no longer depends on them then.
    """

    def __init__(self, name: str, args: DeletionProtectionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Created in every stack, protected or not: if unprotecting a stack removed this component from the program,
        # Pulumi would refuse to delete it, because the state still says that it is protected.
        own = pulumi.ResourceOptions(depends_on=list(args.last), protect=args.context.protect)
        opts = pulumi.ResourceOptions.merge(opts, own)
        super().__init__("airflow:cluster:DeletionProtection", name, None, opts)
        self.register_outputs({})
