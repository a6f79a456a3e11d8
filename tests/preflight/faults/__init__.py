"""What can be wrong with an account, in a module for each of `preflight`."""

from tests.preflight.faults import compute, databases, names, network, permissions, web
from tests.preflight.faults.fault import Fault

FAULTS: list[Fault] = [
    *permissions.FAULTS,
    *names.FAULTS,
    *network.FAULTS,
    *databases.FAULTS,
    *web.FAULTS,
    *compute.FAULTS,
]
