"""How the cluster reaches its database or its broker."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class DataStore:
    """A server's address and port, and what gives access to it.

    Attributes:
        credential: of the database, the ARN of the secret in which RDS keeps the admin's password; of the broker, its
            AUTH token.
    """

    address: pulumi.Input[str]
    port: int
    credential: pulumi.Input[str]
