"""What refuses `pulumi destroy` before anything else is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class DeletionProtectionArgs:
    """What is protected, and whether.

    Attributes:
        last: the parts of the stack on which no other part depends.
        protect: False lets a destroy pass.
    """

    last: Sequence[pulumi.Resource]
    protect: bool


class DeletionProtection(pulumi.ComponentResource):
    """Nothing but a name in Pulumi's state, which has to be deleted before all else and refuses to be.

    Pulumi looks at a resource's protection when its turn comes, and those on which nothing depends come first: without
    a preview a destroy would take the nodes, and stop at the database hours later. After a refusal it deletes nothing
    that the refusing resource depends on, not even with `--continue-on-error` or `--exclude-protected`:
    https://github.com/pulumi/pulumi/blob/master/pkg/resource/deploy/step.go (DeleteStep.Apply) and
    https://github.com/pulumi/pulumi/blob/master/pkg/resource/deploy/deployment_executor.go (performPostSteps).

    Parts that are taken out of the program are not held: by then this depends on them no more.
    """

    def __init__(self, name: str, args: DeletionProtectionArgs) -> None:
        # Made in every stack, protected or not: Pulumi would refuse to delete it together with its protection.
        opts = pulumi.ResourceOptions(depends_on=list(args.last), protect=args.protect)
        super().__init__("airflow:cluster:DeletionProtection", name, None, opts)
        self.register_outputs({})
