"""The target groups of the running HAProxy."""

from __future__ import annotations

from lab.target_groups import parse_state

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
3 moto 1 moto 127.0.0.1 2 0 1
5 targets0 1 place1 10.80.0.6 2 4 1
5 targets0 2 place2 10.80.32.4 0 4 1
5 targets0 3 place3 0.0.0.0 0 5 1
"""


def test_the_state_of_targets_is_read_from_haproxy():
    serving, failing, empty = parse_state(STATE)
    assert (str(serving.address), serving.healthy) == ("10.80.0.6", True)
    assert (str(failing.address), failing.healthy) == ("10.80.32.4", False)
    assert (empty.address, empty.healthy) == (None, False)
